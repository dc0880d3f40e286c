"""The reference of configuration keys: nothing is left unsaid."""

from __future__ import annotations

from bat.config import reference
from bat.config.dataset import Config


def test_every_key_that_is_no_section_has_a_meaning():
    models = []
    reference._collect(Config, models)
    unsaid = [
        f"{model.__name__}.{name}"
        for model in models
        for name, field in model.model_fields.items()
        if not field.description and not reference._sections(field.annotation)
    ]
    assert unsaid == []

"""A training of one's own for the trials behind the scores."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from bat import code_files
from bat.config.code import Code, Settings
from bat.config.values import Name, Section


class Trainer(Section):
    """A training of one's own, in any framework, in place of the trials' architecture.

    A function that is called with the ``index`` of a trial's subset and gives correctness
    or logits of all training and test samples; alone as text, it is called after its file.
    """

    name: Name = Field(
        description="what shards are called; filled in with the name of the file or module"
    )
    train: Code
    settings: Settings = Field({})


def with_trainer(raw: dict) -> dict:
    """A data set's section with its trainer spelled out, and named as the scores' architecture.

    Raises
    ------
    ValueError
        If an architecture is named beside it.
    """
    scores = raw.get("scores")
    if not isinstance(scores, dict) or scores.get("trainer") is None:
        return raw
    trainer: Any = scores["trainer"]
    if isinstance(trainer, str):
        trainer = {"train": trainer}
    if not isinstance(trainer, dict):
        return raw
    text = trainer.get("train")
    if "name" not in trainer and isinstance(text, str) and code_files.FORM.fullmatch(text):
        place = code_files.split(text)[0].removesuffix(".py")
        trainer = {"name": place.rpartition("/")[2].rpartition(".")[2]} | trainer
    name, asked = trainer.get("name"), scores.get("architecture")
    if asked not in (None, name):
        raise ValueError(
            f"scores.architecture is {asked!r}, and scores.trainer trains in its place; leave "
            "the architecture out, or the trainer"
        )
    known = {} if name is None else {"architecture": name}
    return raw | {"scores": scores | {"trainer": trainer} | known}

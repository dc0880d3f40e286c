"""What the documents print is what the package takes."""

import re

import pytest
import yaml

from bat.config import ConfigError
from bat.config.reading import load_config

DIGITS = {"source": "digits"}
PLACEHOLDERS = {"0f3a...": "a" * 64}


def blocks(repository):
    """Each block of YAML in README.md and docs, as a whole configuration."""
    for path in [repository / "README.md", *sorted((repository / "docs").glob("*.md"))]:
        text = path.read_text(encoding="utf-8")
        for number, block in enumerate(re.findall(r"^```ya?ml\n(.*?)^```", text, re.M | re.S), 1):
            for placeholder, value in PLACEHOLDERS.items():
                block = block.replace(placeholder, value)
            raw = yaml.safe_load(block)
            if "datasets" not in raw:
                raw = {"datasets": {"mine": {"data": DIGITS, **raw}}}
            if "csl" in block and "proxies" not in block:  # as said just before it
                raw["datasets"]["mine"]["proxies"] = {"names": ["csl"]}
            yield f"{path.name}, block {number}", raw


def test_every_configuration_in_the_documents_is_one(repository):
    found = dict(blocks(repository))
    assert len(found) > 15
    for name, raw in found.items():
        try:
            load_config(raw)
        except ConfigError as error:
            pytest.fail(f"{name}: {error}")


def test_a_sites_profile_names_every_rule_that_asks_for_a_gpu(repository):
    """Left out, such a rule would wait for a GPU in the partition of the others."""
    rules = "\n".join(path.read_text() for path in (repository / "workflow/rules").glob("*.smk"))
    with_gpu = {
        part.split(":", 1)[0]
        for part in re.split(r"^ *(?:use )?(?:rule|checkpoint) ", rules, flags=re.M)[1:]
        if re.search(r'RESOURCES\["(?:trials|training)"\]', part)
    }
    heirs = re.findall(r"^ *use rule (\w+) as (\w+)", rules, re.M)  # by their own names too
    with_gpu |= {heir for rule, heir in heirs if rule in with_gpu}
    text = (repository / "docs" / "cluster.md").read_text(encoding="utf-8")
    profile = re.search(r"^    default-resources:.*?(?=^\S)", text, re.M | re.S)[0]
    assert with_gpu == set(yaml.safe_load(profile.replace("\n    ", "\n").strip())["set-resources"])

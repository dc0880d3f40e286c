"""Code of one's own in a configuration: where it may stand, and what is refused by its key."""

import json

import pytest
import yaml

from bat import config
from bat.config import ConfigError
from bat.plan.specifications import all_specifications

TINY = {"name": "tiny", "network": "nets.py:Tiny", "settings": {"width": 12}}


def read(text):
    raw = yaml.safe_load(text) if isinstance(text, str) else text
    return config.load_config({"datasets": {"x": {"data": {"source": "digits"}} | raw}})


def dataset(text):
    return read(text).datasets["x"]


def refused(text):
    with pytest.raises(ConfigError) as caught:
        read(text)
    return "\n".join(caught.value.problems)


@pytest.mark.parametrize(
    "place",
    [
        {"scores": {"architecture": TINY}},
        {"ensemble": {"architectures": [TINY, "resnet9"]}},
        {"proxies": {"architecture": TINY}},
        {"architectures": ["resnet18", TINY]},
        {
            "architectures": ["tiny"],
            "external": {"a": {"checkpoint": "a.pt", "architecture": TINY}},
        },
        {"networks": {"tiny": {k: v for k, v in TINY.items() if k != "name"}}},
    ],
)
def test_a_network_stands_wherever_an_architecture_is_named(place):
    found = dataset(place)
    assert list(found.networks) == ["tiny"]
    assert found.networks["tiny"].settings == {"width": 12}
    names = [found.scores.architecture, *found.ensemble.architectures, *found.architectures]
    names += [found.proxies.architecture] if found.proxies else []
    assert "tiny" in names or "networks" in place
    assert all(isinstance(name, str) for name in names)


def test_a_network_is_defined_once_and_named_everywhere():
    found = dataset(
        {
            "scores": {"architecture": TINY, "seconds_per_trial": {"tiny": 2}},
            "ensemble": {"architectures": [TINY, "resnet9"]},
            "architectures": ["tiny"],
        }
    )
    assert found.scores.architecture == "tiny" == found.architectures[0]
    laid = {"scores": {"architecture": TINY}, "architectures": ["tiny"]}
    raw = {"defaults": laid, "datasets": {n: {"data": {"source": "digits"}} for n in "ab"}}
    assert all("tiny" in d.networks for d in config.load_config(raw).datasets.values())


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"architectures": ["tiny"]}, "architectures.0: 'tiny' is not an architecture. Known: "),
        ({"architectures": ["tiny"]}, "or a network of your own, as {name: tiny, network: "),
        ({"architectures": [{"network": "a.py:B"}]}, "needs a name, what its folders are called"),
        ({"architectures": [TINY | {"name": "a/b"}]}, "'a/b' cannot name a folder"),
        ({"architectures": [TINY | {"name": "resnet9-7"}]}, "resnet9-7 has the name of a built-in"),
        ({"architectures": [TINY | {"name": "data"}]}, "networks.data has the name of a folder"),
        (
            {"networks": {"scores": {"network": "a.py:B"}}},
            "networks.scores has the name of a folder",
        ),
        ({"architectures": [TINY, TINY | {"settings": {}}]}, "two networks are named 'tiny'"),
        ({"architectures": [TINY | {"widht": 1}]}, "networks.tiny.widht: unknown key"),
        ({"architectures": [TINY | {"network": "nets.Tiny"}]}, "'nets.Tiny' names no code; write "),
        ({"architectures": [TINY | {"settings": {"a": float("nan")}}]}, "settings must be numbers"),
        (
            {"architectures": [TINY | {"network": "~no-such-user/n.py:T"}]},
            "no home folder known here",
        ),
        ({"scores": {"trainer": "my training.py:go"}}, "'my training' cannot name a folder"),
        ({"scores": {"trainer": "t.py:go", "architecture": "resnet9"}}, "trains in its place"),
        ({"scores": {"trainer": "t.py:go"}, "architectures": ["t"]}, "not an architecture"),
        ({"scores": {"trainer": {"name": "resnet9", "train": "t.py:go"}}}, "set another"),
        ({"runs": {"mine": {"method": "mail.py"}}}, "runs.mine.method: 'mail.py' is none of"),
        ({"runs": {"mine": {"method": "m.py:M", "sigma": 0.2}}}, "score is not given"),
        ({"runs": {"mine": {"method": "m.py:M", "alpha": 2}}}, "runs.mine.alpha: unknown key"),
        ({"data": {"source": "d.py:load", "path": "x"}}, "data.path: unknown key"),
        ({"evaluation": {"attacks": {"pgd": {"attack": "a.py:a"}}}}, "has the name of a column"),
    ],
)
def test_what_is_refused(raw, words):
    assert words in refused(raw)


def test_a_trainer_is_named_after_its_file():
    found = dataset({"scores": {"trainer": "code/my_training.py:train"}})
    assert found.scores.architecture == found.scores.trainer.name == "my_training"
    found = dataset({"scores": {"trainer": "package.module:train", "architecture": None}})
    assert found.scores.architecture == "module"
    ensemble = {"architectures": ["module", "resnet9"]}
    raw = {"scores": {"trainer": "package.module:train"}, "ensemble": ensemble}
    assert dataset(raw).ensemble.architectures[0] == "module"


def test_specifications_hold_what_code_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = {
        "nets.py": "def Tiny(n_classes, width): raise SystemExit('run')",
        "mail.py": "def MAIL(eps): raise SystemExit('run')",
        "data.py": "def load(): raise SystemExit('run')",
        "attack.py": "def attack(x): raise SystemExit('run')",
        "my.py": "def train(index): raise SystemExit('run')",
    }
    for name, text in code.items():
        (tmp_path / name).write_text(text)
    raw = {
        "data": {"source": "data.py:load"},
        "scores": {"trainer": "my.py:train"},
        "ensemble": {"architectures": [TINY, "resnet9"]},
        "architectures": ["tiny", "resnet9"],
        "runs": {"mail": {"method": "mail.py:MAIL", "settings": {}}},
        "evaluation": {"attacks": {"mine": {"attack": "attack.py:attack"}}},
    }

    def specs():
        found = all_specifications(read(raw))
        return {stage: json.dumps(spec) for (_, stage), spec in found.items()}

    before = specs()
    depends = {
        "nets.py": ["trials-tiny", "ensembles", "network-tiny", "tiny-run-pgd-at"],
        "mail.py": ["tiny-run-mail", "resnet9-run-mail"],
        "data.py": ["data"],
        "attack.py": ["evaluation"],
        "my.py": ["trials-my", "scores", "convergence"],
    }
    for name, stages in depends.items():
        (tmp_path / name).write_text(code[name] + "\n")
        after = specs()
        changed = {stage for stage in after if after[stage] != before[stage]}
        assert changed >= set(stages), name
        others = {stage for stage in changed if "resnet9" in stage} - {
            *stages,
            "comparison-resnet9",
        }
        assert not others, name
        (tmp_path / name).write_text(code[name])
    assert specs() == before


def test_specifications_of_built_ins_are_as_they_were():
    for spec in all_specifications(config.read_config("config/config.yaml")).values():
        assert "network" not in spec
        assert "code" not in json.dumps(spec)

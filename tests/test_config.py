"""The configuration: what is refused, with which words, and what the defaults give."""

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter, ValidationError

from bat import config
from bat.config import ConfigError, load_config, read_config

DIGITS = {"data": {"source": "digits"}}


def problems(raw: dict) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(raw)
    return caught.value.problems


def dataset(**sections) -> dict:
    return {"datasets": {"digits": DIGITS | sections}}


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


# -- unknown keys ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "path", "nearest"),
    [
        (dataset() | {"dataset": {}}, "dataset", "datasets"),
        (dataset(score={}), "datasets.digits.score", "scores"),
        (dataset(scores={"trails": 10}), "datasets.digits.scores.trails", "trials"),
        (
            dataset(scores={"training": {"augmentation": {"flips": True}}}),
            "datasets.digits.scores.training.augmentation.flips",
            "flip",
        ),
        (
            {"datasets": {"digits": {"data": {"source": "digits", "n_tests": 1}}}},
            "datasets.digits.data.n_tests",
            "n_test",
        ),
        (dataset() | {"compute": {"devices": "cpu"}}, "compute.devices", "device"),
    ],
)
def test_unknown_key_is_refused_with_its_path_and_the_nearest_key(raw, path, nearest):
    (problem,) = problems(raw)
    assert problem.startswith(f"{path}: unknown key; did you mean {nearest!r}?")


def test_unknown_key_without_a_near_one_lists_those_known():
    (problem,) = problems(dataset(groups={"zzz": 1}))
    assert "did you mean" not in problem
    assert "atypical_above" in problem


def test_unknown_key_of_the_defaults_is_said_once_and_placed_there():
    raw = {"defaults": {"scores": {"trails": 3}}, "datasets": {"a": DIGITS, "b": DIGITS}}
    (problem,) = problems(raw)
    assert problem.startswith("defaults.scores.trails: unknown key; did you mean 'trials'?")


def test_a_mistake_in_what_all_runs_share_is_said_once_and_where_it_is():
    (problem,) = problems(dataset(training={"epocs": 3}))
    assert problem.startswith("datasets.digits.training.epocs: unknown key; did you mean 'epochs'?")
    raw = {"defaults": {"training": {"momentum": 2}}, "datasets": {"a": DIGITS, "b": DIGITS}}
    (problem,) = problems(raw)
    assert problem.startswith("defaults.training.momentum: ")
    (problem,) = problems(dataset(training={"epochs": 9}))  # the default milestones
    assert problem.startswith("datasets.digits.training: milestones [80, 120] lie beyond the 9")
    own = {"runs": {"mine": {"method": "bat", "training": {"epocs": 3}}}}
    (problem,) = problems(dataset(**own))
    assert problem.startswith("datasets.digits.runs.mine.training.epocs: unknown key")


def test_all_errors_at_once():
    raw = {
        "result": "x",
        "datasets": {
            "one": {"data": {"source": "digit"}, "groups": {"min_accuracy": 2}},
            "two": {"scores": {"trials": "many", "architecture": "resnet"}},
            "bad/name": DIGITS,
        },
    }
    found = problems(raw)
    for part in (
        "result: unknown key",
        "datasets.one.data.source: 'digit' is none of 'digits', ",
        "datasets.one.groups.min_accuracy: ",
        "datasets.two.data: required",
        "datasets.two.scores.trials: ",
        "datasets.two.scores.architecture: 'resnet' is not an architecture",
        "datasets.bad/name: 'bad/name' cannot name a folder",
    ):
        assert sum(part in problem for problem in found) == 1, (part, found)
    assert len(found) == 7


# -- values ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "value"), [("8/255", 8 / 255), (" 1 / 2 ", 0.5), (0.031, 0.031)])
def test_epsilon_accepts_fractions(text, value):
    assert TypeAdapter(config.Epsilon).validate_python(text) == value


@pytest.mark.parametrize(
    ("value", "advice"),
    [(8, "write 8/255"), ("16", "write 16/255"), (-0.1, "pixel scale"), ("8/0", "as 8/255")],
)
def test_epsilon_on_the_wrong_scale_is_refused_with_advice(value, advice):
    with pytest.raises(ValidationError, match=advice):
        TypeAdapter(config.Epsilon).validate_python(value)


def test_numbers_that_yaml_reads_as_text():
    raw = yaml.safe_load("{weight_decay: 5e-4, lr: 1/8}")
    assert raw["weight_decay"] == "5e-4"  # YAML 1.1
    training = load_config(dataset(scores={"training": raw})).datasets["digits"].scores.training
    assert (training.weight_decay, training.lr) == (5e-4, 1 / 8)


@pytest.mark.parametrize(
    ("sections", "part"),
    [
        ({"scores": {"trials": 1}}, "scores.trials: "),
        ({"scores": {"subset_ratio": 1}}, "scores.subset_ratio: "),
        ({"scores": {"seed": -1}}, "scores.seed: "),
        ({"scores": {"training": {"momentum": 1}}}, "scores.training.momentum: "),
        ({"scores": {"training": {"lr": 0}}}, "scores.training.lr: "),
        ({"scores": {"training": {"lr": float("nan")}}}, "scores.training.lr: "),
        ({"scores": {"training": {"epochs": 2.5}}}, "scores.training.epochs: "),
        (
            {"scores": {"training": {"schedule": "piecewise", "milestones": [40]}}},
            "milestones [40] lie beyond the 30 epochs",
        ),
        (
            {"scores": {"training": {"schedule": "piecewise", "milestones": [9, 5]}}},
            "milestones [9, 5] must increase",
        ),
        ({"adversary": {"eps": 8}}, "adversary.eps: 8 is outside [0, 1]"),
        ({"runs": {"x": {"method": "bet"}}}, "runs.x.method: 'bet' is none of 'erm', "),
        ({"runs": {"x": {"alpha": 1}}}, "runs.x.method: required, and not given"),
        ({"runs": {"x y": {"method": "erm"}}}, "'x y' cannot name a folder"),
        ({"scores": {"architecture": "wrn-27-2"}}, "depth must be 6 n + 4"),
        ({"scores": {"architecture": "small_cnn-0"}}, "the width must be 1 or more"),
        ({"ensemble": {"architectures": ["resnet9"]}}, "at least two different architectures"),
        ({"ensemble": {"architectures": ["resnet9", "resnet18", "resnet9"]}}, "listed twice"),
        ({"groups": {"typical_below": 0.5}}, "must not exceed atypical_above"),
        ({"scores": {"influence": {"keep_above": 0.1}}}, "lower keep_above"),
        (
            {"data": {"source": "digits", "subsample": {"train": 9, "train_per_class": 1}}},
            "give train or train_per_class, not both",
        ),
    ],
)
def test_ranges_and_contradictions(sections, part):
    (problem,) = problems(dataset(**sections))
    assert part in problem


def test_nothing_configured():
    assert problems({}) == ["datasets: required, and not given"]
    assert len(problems({"datasets": {}})) == 1


# -- layers of settings ---------------------------------------------------------------------


def test_defaults_lie_under_every_data_set():
    raw = {
        "defaults": {"scores": {"trials": 7, "training": {"epochs": 3, "milestones": []}}},
        "datasets": {
            "a": DIGITS,
            "b": DIGITS | {"scores": {"training": {"epochs": 5}}},
        },
    }
    a, b = load_config(raw).datasets.values()
    assert (a.scores.trials, a.scores.training.epochs) == (7, 3)
    assert (b.scores.trials, b.scores.training.epochs) == (7, 5)
    assert raw["datasets"]["a"] == DIGITS  # what was given is left alone


def test_later_files_lie_over_earlier_ones(tmp_path):
    base = write(tmp_path / "base.yaml", "datasets: {d: {data: {source: digits, n_test: 100}}}")
    top = write(tmp_path / "top.yaml", "datasets: {d: {data: {n_test: 200}}}")
    assert read_config(base, top).datasets["d"].data.n_test == 200


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (None, "the file does not exist"),
        (b"datasets: [", "not valid YAML"),
        (b"- a\n", "expected a mapping"),
        (b"a: \xff", "cannot be read"),
    ],
)
def test_unreadable_files_are_named(tmp_path, content, part):
    path = tmp_path / "wrong.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=part) as caught:
        read_config(path)
    assert str(path) in str(caught.value)


def test_keys_given_twice_are_refused_with_their_lines_beside_all_else(tmp_path):
    text = """\
datasets:
  digits:
    data: {source: digits}
    scores:
      trials: 400
      trials_per_job: 50
      trials: 40
    groups: {min_acuracy: 0.5}
    data: {source: digits}
"""
    path = write(tmp_path / "twice.yaml", text)
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    first, second, third = caught.value.problems
    assert first.startswith(f"{path}, line 7: the key 'trials' is given twice, first in line 5")
    assert second.startswith(f"{path}, line 9: the key 'data' is given twice, first in line 3")
    assert "did you mean 'min_accuracy'" in third


def test_one_key_in_several_mappings_and_yaml_anchors_are_no_repetition(tmp_path):
    text = """\
datasets:
  a: &a
    data: {source: digits, seed: 1}
    scores: {seed: 1}
  b:
    <<: *a
    scores: {seed: 2}
"""
    settings = read_config(write(tmp_path / "fine.yaml", text))
    assert settings.datasets["b"].data.seed == 1
    assert settings.datasets["b"].scores.seed == 2


# -- the schema for editors -----------------------------------------------------------------


def test_schema_file_is_what_the_command_prints(repository, run_bat):
    printed = run_bat("schema").stdout
    assert (repository / "config" / "schema.json").read_text(encoding="utf-8") == printed, (
        "config/schema.json is not in step with bat/config.py; run: make schema"
    )


def test_every_configuration_file_is_valid_and_names_the_schema(repository):
    validator = Draft202012Validator(config.json_schema())
    validator.check_schema(config.json_schema())
    files = sorted((repository / "config").glob("*.yaml"))
    assert files
    for path in files:
        read_config(path)
        text = path.read_text(encoding="utf-8")
        assert text.startswith("# yaml-language-server: $schema=schema.json\n"), path
        validator.validate(json.loads(json.dumps(yaml.safe_load(text))))


@pytest.mark.parametrize("wrong", [{"datset": {}}, dataset(scores={"trails": 1}), {"datasets": {}}])
def test_schema_refuses_what_the_package_refuses(wrong):
    assert not Draft202012Validator(config.json_schema()).is_valid(wrong)
    assert problems(wrong)

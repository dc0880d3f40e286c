"""The configuration: what is refused, with which words, and what the defaults give."""

import json
import os
import re
import time
import typing
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import BeforeValidator, TypeAdapter, ValidationError

from bat import config
from bat.config import ConfigError, load_config, read_config
from bat.config import attacks as config_attacks

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


def test_a_data_set_at_the_top_of_a_file_is_told_its_place():
    found = problems({"digits": DIGITS})
    assert any("a data set stands under datasets, as datasets: {digits: ...}" in p for p in found)
    assert not any("stands under" in p for p in problems(dataset() | {"zzz": {}}))


def test_an_unknown_source_is_told_the_nearest_and_how_to_name_code():
    (problem,) = problems({"datasets": {"d": {"data": {"source": "imagefolder"}}}})
    assert "did you mean 'image_folder'?" in problem
    assert "path/to/file.py:NAME" in problem and "'own'" not in problem


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
        (
            {"training": {"schedule": "one_cycle", "warmup_epochs": 2}},
            "one_cycle rises by warmup",
        ),
        (
            {"training": {"warmup_epochs": 80}},
            "leaves no epoch at the whole rate before the first milestone (80)",
        ),
        (
            {"runs": {"x": {"method": "erm", "start_from": "a b"}}},
            "'a b' names neither a run nor a checkpoint",
        ),
        ({"training": {"label_smoothing": 1}}, "training.label_smoothing: "),
        (
            {"runs": {"mart": {"training": {"label_smoothing": 0.1}}}},
            "label_smoothing (0.1) has no meaning for mart",
        ),
        (
            {"runs": {"x": {"method": "a.py:B", "training": {"label_smoothing": 0.1}}}},
            "give it a setting for this",
        ),
        ({"adversary": {"eps": 8}}, "adversary.eps: 8 is outside [0, 1]"),
        ({"runs": {"x": {"method": "bet"}}}, "runs.x.method: 'bet' is none of 'erm', "),
        ({"runs": {"x": {"alpha": 1}}}, "runs.x.method: required, and not given"),
        ({"runs": {"x y": {"method": "erm"}}}, "'x y' cannot name a folder"),
        (
            {"runs": {"x": {"method": "erm", "averaging": {"kind": "ema", "decay": 1}}}},
            "runs.x.averaging.decay: expected less than 1 (found 1)",
        ),
        (
            {"runs": {"x": {"method": "erm", "averaging": {"kind": "ema", "decay": -0.1}}}},
            "runs.x.averaging.decay: expected greater than or equal to 0",
        ),
        (
            {"runs": {"x": {"method": "erm", "averaging": {"kind": "swa", "start": 1}}}},
            "runs.x: averaging.start (1) leaves none of the 160 epochs to average",
        ),
        (
            {"runs": {"x": {"method": "erm", "averaging": {"kind": "mean"}}}},
            "runs.x.averaging.kind: 'mean' is none of 'ema', 'swa'",
        ),
        (
            {"runs": {"x": {"method": "erm", "averaging": {"kind": "swa", "decay": 0.9}}}},
            "runs.x.averaging.decay: unknown key (known keys: kind, start)",
        ),
        ({"scores": {"architecture": "wrn-27-2"}}, "depth must be 6 n + 4"),
        ({"scores": {"architecture": "small_cnn-0"}}, "the width must be 1 or more"),
        ({"ensemble": {"architectures": ["resnet9"]}}, "at least two different architectures"),
        ({"ensemble": {"architectures": ["resnet9", "resnet18", "resnet9"]}}, "listed twice"),
        ({"groups": {"typical_below": 0.5}}, "must not exceed atypical_above"),
        ({"groups": {"score": "confidence"}}, "score confidence needs top"),
        ({"groups": {"top": 0.1}}, "top is a share of the samples by score; set score"),
        ({"groups": {"bottom": 0.1}}, "bottom is a share of the samples by score; set score"),
        ({"groups": {"score": "confidence", "top": 0.6}}, "more than all samples together"),
        (
            {"groups": {"score": "confidence", "top": 0.1, "typical_below": 0.01}},
            "typical_below is the threshold of memorization",
        ),
        ({"groups": {"score": "csl", "top": 0.1}}, "groups.score is csl"),
        ({"scores": {"influence": {"keep_above": 0.1}}}, "lower keep_above"),
        (
            {"external": {"m": {"checkpoint": "m.pt", "architecture": "resnet9"}}},
            "external.m is of resnet9, which is not among architectures (resnet18)",
        ),
        ({"external": {"m": {"checkpoint": "m.pt", "key": "a;b"}}}, "external.m.key"),
        (
            {"data": {"source": "digits", "subsample": {"train": 9, "train_per_class": 1}}},
            "give train or train_per_class, not both",
        ),
        ({"data": {"source": "parquet", "train": "a"}}, "give test, the files of the test set"),
        ({"data": {"source": "parquet", "train": [], "test": "b"}}, "data.train: "),
        (
            {"data": {"source": "image_folder", "path": "a", "held_out": {"share": 1}}},
            "data.held_out.share: ",
        ),
        (
            {"data": {"source": "digits", "resize": 4}},
            "4 x 4 pixels are too small for resnet9, which needs 8 x 8; set data.resize",
        ),
    ],
)
def test_ranges_and_contradictions(sections, part):
    (problem,) = problems(dataset(**sections))
    assert part in problem


def test_files_are_one_path_or_a_list_and_are_written_as_they_were_given():
    for given in ("a", ["a", "b/*.parquet"]):
        raw = {"source": "parquet", "train": given, "test": "c"}
        data = load_config({"datasets": {"d": {"data": raw}}}).datasets["d"].data
        assert [str(path) for path in data.train] == ([given] if given == "a" else given)
        written = data.model_dump(mode="json")
        assert (written["train"], written["test"]) == (given, "c") and "held_out" not in written
        assert type(data).model_validate(written) == data


def test_sources_of_scores_need_no_network_for_the_images():
    data = {"source": "digits", "resize": 4}
    raw = {"data": data, "scores": {"source": "scores.zip"}, "architectures": ["small_cnn"]}
    load_config({"datasets": {"d": raw}})


@pytest.mark.parametrize(
    ("proxies", "words"),
    [
        ({"names": ["cls"]}, "names.0: expected 'csl', 'last_loss'"),
        ({"names": ["csl", "csl"]}, "names lists one twice; list each once"),
        ({"names": []}, "names: expected 1 or more, found 0"),
        ({"names": "csl"}, "names: expected a list, as [1, 2] (found 'csl')"),
        ({"seeds": [-1]}, "seeds.0: expected greater than or equal to 0 (found -1)"),
        ({"seeds": 3}, "seeds: expected a list, as [1, 2] (found 3)"),
        (["csl"], "proxies: expected a section"),
    ],
)
def test_each_mistake_in_a_list_is_said_once_and_in_words_of_the_file(proxies, words):
    (problem,) = problems(dataset(proxies=proxies))
    assert words in problem


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
    assert "<unicode string>" not in str(caught.value)  # PyYAML's name of what it reads


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
        "config/schema.json is not in step with bat/config; run: make schema"
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


# -- paths ----------------------------------------------------------------------------------


def configured(**changes):
    """A configuration with a path in every place that takes one, some of them changed."""
    paths = {
        "results": "results",
        "folder": "torchvision",
        "zip": "tiny.zip",
        "images": "photos",
        "train": "train.parquet",
        "test": "test.parquet",
        "checkpoint": "theirs.pt",
        "source": "scores.zip",
    }
    assert changes.keys() <= paths.keys()
    paths |= changes
    external = {"theirs": {"checkpoint": paths["checkpoint"]}}
    parquet = {"source": "parquet", "train": paths["train"], "test": paths["test"]}
    return {
        "results": paths["results"],
        "datasets": {
            "a": {"data": {"source": "cifar10", "folder": paths["folder"]}, "external": external},
            "b": {"data": {"source": "tiny_imagenet", "path": paths["zip"]}},
            "c": {"data": {"source": "image_folder", "path": paths["images"]}},
            "d": {"data": parquet, "scores": {"source": paths["source"]}},
        },
    }


def paths_of(settings):
    """Each path of `configured`, by the same names."""
    a, b, c, d = settings.datasets.values()
    found = {
        "results": settings.results,
        "folder": a.data.folder,
        "zip": b.data.path,
        "images": c.data.path,
        "train": d.data.train[0],
        "test": d.data.test[0],
        "checkpoint": a.external["theirs"].checkpoint,
        "source": d.scores.source,
    }
    return {name: str(path) for name, path in found.items()}


PLACES = list(paths_of(load_config(configured())))


@pytest.mark.parametrize("place", PLACES)
def test_home_and_variables_are_expanded_in_every_path(place, monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("DISK", "/mnt/$5 a")
    for written, meant in {
        "~/x": "/home/ada/x",
        "$DISK/x": "/mnt/$5 a/x",
        "${DISK}x": "/mnt/$5 ax",
        "a/~x": "a/~x",
        "r$(touch OWNED)": "r$(touch OWNED)",
        "costs 5$": "costs 5$",
        "$5/x": "$5/x",
    }.items():
        assert paths_of(load_config(configured(**{place: written})))[place] == meant
    for written, named in {
        "~nobody-of-this-name/x": "'~nobody-of-this-name' is no home folder",
        "$NOT_SET/x": "the variable 'NOT_SET' is not set",
        "a/${NOT SET}": "the variable 'NOT SET' is not set",
    }.items():
        with pytest.raises(ConfigError, match=re.escape(named)):
            load_config(configured(**{place: written}))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("character", ["\n", "\t", "\0", "\x1b", "\x7f", "\x85", "\u2028"])
def test_control_characters_are_refused_in_every_path(place, character):
    with pytest.raises(ConfigError, match=f"U\\+{ord(character):04X}.*control characters"):
        load_config(configured(**{place: f"a{character}b"}))


@pytest.mark.parametrize("name", ["r/{dataset}", "r/{ dataset }", "r/{a,b}", "r<logs>", "-x"])
@pytest.mark.parametrize("place", PLACES)
def test_what_tools_take_for_more_than_a_name_is_refused(place, name):
    raw = configured(**{place: name})
    if place == "results" or (place == "checkpoint" and name != "-x"):
        with pytest.raises(ConfigError, match=r"Snakemake takes|for an option"):
            load_config(raw)
    else:
        assert paths_of(load_config(raw))[place] == name


def test_an_address_is_left_as_it_is():
    address = "https://example.org/~ada/$scores.zip"
    raw = configured(source=address)
    raw["datasets"]["d"]["scores"]["sha256"] = "0" * 64
    assert paths_of(load_config(raw))["source"] == address


def test_variables_in_the_query_of_an_address_are_expanded(monkeypatch):
    raw = configured(source="https://example.org/$scores.zip?key=s3cret&token=${E_TOKEN}")
    raw["datasets"]["d"]["scores"]["sha256"] = "0" * 64
    monkeypatch.delenv("E_TOKEN", raising=False)
    (problem,) = problems(raw)
    assert "'E_TOKEN' is not set" in problem and "s3cret" not in problem
    monkeypatch.setenv("E_TOKEN", "abc")
    address = "https://example.org/$scores.zip?key=s3cret&token=abc"
    assert paths_of(load_config(raw))["source"] == address


def test_no_path_of_the_configuration_is_left_out():
    """Every field that holds a path takes part in the tests above."""

    def plain(annotation, metadata=()):
        if annotation is Path:
            return not any(isinstance(m, BeforeValidator) for m in metadata)
        inner = typing.get_args(annotation)
        if typing.get_origin(annotation) is typing.Annotated:
            return plain(inner[0], inner[1:])
        return any(plain(part, metadata) for part in inner)

    sections, found = [config.Section], []
    while sections:
        sections += (section := sections.pop()).__subclasses__()
        found += [
            f"{section.__name__}.{name}"
            for name, field in section.model_fields.items()
            if plain(field.annotation, field.metadata)
        ]
    assert found == []


# -- files that are no configuration ---------------------------------------------------------

_LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 13)
)
_MERGES = "a0: &a0 {k: 1}\n" + "".join(
    f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 13)
)


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 2000 + "]" * 2000,
        "{a: " * 2000,
        "".join(" " * i + "a:\n" for i in range(1200)),
        _LAUGHS,
        _MERGES,
        "a: &a [*a]",
        "a: " + "x" * (5 << 20),
        "a: \0",
        "a:\n\tb: 1",
        "a: 2020-99-99",
        "a: " + "9" * 10_000,
        "a: !!timestamp x",
        "a: !!bool x",
        "a: !!python/object/apply:os.system [ls]",
        "? [a]\n: b",
        "a: 1\n---\nb: 2",
        b"a: \xff\xfe",
    ],
)
def test_a_hostile_file_is_refused_by_name_at_once(tmp_path, text):
    path, start = tmp_path / "c.yaml", time.monotonic()
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=re.escape(str(path))):
        read_config(path)
    assert time.monotonic() - start < 20


def test_what_is_no_file_is_refused_by_name(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path, words in (
        (tmp_path / "pipe", "is a named pipe"),
        (tmp_path / "folder", "is a folder"),
        (tmp_path / "none", "does not exist"),
        ("/dev/zero", "is a device"),
        (tmp_path / "a\0b", "cannot be read"),
    ):
        with pytest.raises(ConfigError, match=words) as caught:
            read_config(path)
        assert repr(str(path))[1:-1] in str(caught.value)


def test_a_message_holds_no_control_code(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text('"a\\e[31mred": 1\ndatasets: {d: {data: {source: "x\\e]0;t\\a\\u202e"}}}')
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    text = str(caught.value)
    assert "a\\x1b[31mred: unknown key" in text
    assert all(c == "\n" or c.isprintable() for c in text)


@pytest.mark.parametrize("source", ["https://me:s3cret@example.org/a.zip", "ftp://s3cret@a/b"])
def test_no_password_of_an_address_is_shown(source):
    scores = {"source": source, "sha256": "0" * 64}
    with pytest.raises(ConfigError, match="source") as caught:
        load_config({"datasets": {"d": {"data": {"source": "digits"}, "scores": scores}}})
    assert "s3cret" not in str(caught.value)


# -- what the table of methods shows ---------------------------------------------------------


def test_the_reference_has_a_row_and_each_pgd_its_steps():
    (problem,) = problems(dataset(baseline="pgdat"))
    assert "baseline is pgdat, which has no row" in problem and "pgd-at" in problem
    (problem,) = problems(dataset(evaluation={"pgd_steps": 20, "pgd_more": [10, 20]}))
    assert "name 20, 10, 20 steps; expected each number once" in problem
    own = {"attacks": {"pgd-20": {"attack": "a.py:a"}}}
    (problem,) = problems(dataset(evaluation=own))
    assert "pgd-20 has the name of a column" in problem
    of = load_config(dataset(baseline="pgd-at", evaluation={"pgd_more": [20]})).datasets["digits"]
    found = config_attacks.attacks(of.evaluation, of.adversary)
    assert found["pgd-20"] == found["pgd"] | {"steps": 20} and found["pgd"]["steps"] == 100
    entry = config_attacks.entry_of("pgd-20")
    assert (entry.title, entry.label(found["pgd-20"])) == ("PGD-20", "PGD-20")

"""Specifications as files: named by their content, read only as what their name says."""

from __future__ import annotations

import json

import pytest

from bat import files
from bat.config import load_config
from bat.errors import ArtifactError, MisplacedError
from bat.files.specifications import read_specification, specification_name, specification_text
from bat.plan.specifications import all_specifications, run_specification


def write(folder, stage, spec):
    path = folder / f"{specification_name(stage, spec)}.json"
    path.write_text(specification_text(spec))
    return path


def test_the_name_follows_the_values_and_not_their_order():
    one, other = {"lr": 0.1, "attacks": {"pgd": {}, "cw": {}}}, {"lr": 0.2}
    turned = {"attacks": {"cw": {}, "pgd": {}}, "lr": 0.1}
    assert specification_name("data", one) == specification_name("data", turned)
    assert specification_name("data", one) != specification_name("data", one | other)
    assert specification_name("data", one) != specification_name("scores", one)


def test_every_specification_of_a_configuration_is_read_as_it_was_written(tmp_path):
    config = load_config({"datasets": {"x": {"data": {"source": "cifar10", "folder": "ä b"}}}})
    specs = all_specifications(config)
    names = {specification_name(stage, spec) for (_, stage), spec in specs.items()}
    assert len(names) == len(specs) > 20
    for (_, stage), spec in specs.items():
        found = read_specification(write(tmp_path, stage, spec))
        assert found == json.loads(json.dumps(spec))
        assert list(found) == list(spec)


def test_a_run_has_the_recipe_of_its_seed(tmp_path):
    """Histories of earlier versions hold the specification with the seed as their recipe."""
    dataset = load_config({"datasets": {"x": {"data": {"source": "cifar10"}}}}).datasets["x"]
    run = ("x", dataset, "resnet18", "trades", dataset.runs["trades"])
    shared = run_specification(*run)
    assert "seed" not in shared
    path = write(tmp_path, "resnet18-run-trades", shared)
    for seed in (0, 7):
        assert read_specification(path, seed=seed) == run_specification(*run, seed)
    own = tmp_path / "spec.json"
    own.write_text(json.dumps(run_specification(*run, 7)))
    assert read_specification(own) == read_specification(own, seed=7)
    with pytest.raises(ArtifactError, match=r"spec\.json: is of seed 7, and seed 8 was asked for"):
        read_specification(own, seed=8)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"lr": 0.2}', "edited or damaged .*remove it and run the workflow again"),
        ("[1]", "holds list, expected a mapping"),
        ('{"lr": 0.1', "not a readable JSON file"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(content, words, tmp_path):
    path = write(tmp_path, "data", {"lr": 0.1})
    path.write_text(content)
    with pytest.raises(ArtifactError, match=rf"data-\w+\.json: {words}"):
        read_specification(path)
    path.unlink()
    with pytest.raises(ArtifactError, match="does not exist"):
        read_specification(path)


def test_a_run_without_a_seed_is_refused(tmp_path, few_digits, run_bat):
    path = write(tmp_path, "run", {"run": "pgd-at"})
    done = run_bat(
        *("train", "--spec", path, "--data", few_digits.folder, "--out", tmp_path / "out"),
        check=False,
    )
    assert done.returncode == 2
    assert "holds for every seed of the run; give one with --seed" in done.stderr


def test_an_evaluation_of_the_last_epoch_is_no_other_ones(tmp_path):
    place = tmp_path / "small_cnn" / "evaluations" / "trades"
    best, last = (files.place_of(place / name) for name in ("seed3.parquet", "seed3-last.parquet"))
    assert best == {"architecture": "small_cnn", "run": "trades", "seed": 3}
    assert last == best | {"checkpoint": "last"}
    with pytest.raises(MisplacedError, match="of checkpoint best, and it lies"):
        files.check_identity(
            place / "seed3-last.parquet", {"identity": last | {"checkpoint": "best"}}
        )

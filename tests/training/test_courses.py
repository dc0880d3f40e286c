"""Watched trainings, their files, the scores made of them, and runs that go by these."""

import logging

import numpy as np
import pytest
import torch
from short_runs import CPU

from bat import config
from bat.data import as_float, to_device
from bat.errors import ArtifactError, BatError
from bat.files import column, read_table, write_table
from bat.plan.catalogue import find_entry
from bat.plan.inputs import course_files, is_drawn, shared_tables
from bat.plan.specifications import all_specifications
from bat.scores.proxies import proxy_scores
from bat.scoring.proxies import course_of, write_proxies
from bat.training import courses, halves, plain
from bat.training.inputs import score_masks

NAMES = ("csl", "loss_sensitivity", "aum", "el2n")


def specs(**proxies):
    raw = {
        "data": {"source": "digits"},
        "scores": {
            "architecture": "small_cnn-4",
            "training": {"epochs": 3, "batch_size": 50, "augmentation": {"crop": 0, "flip": False}},
        },
        "proxies": {"names": NAMES, "seeds": [0, 1]} | proxies,
    }
    configured = config.load_config({"datasets": {"digits": raw}})
    return configured.datasets["digits"], all_specifications(configured)


def record(folder, prepared, seed=0, **proxies):
    _, found = specs(**proxies)
    path = folder / "proxies" / f"small_cnn-4-seed{seed}.parquet"
    courses.record_course(
        path, prepared, found["digits", "courses"], seed, device=CPU, command="a test"
    )
    return path


@pytest.fixture(scope="module")
def watched(few_digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("watched") / "digits"
    return folder, [record(folder, few_digits, seed) for seed in (0, 1)]


def trained(monkeypatch):
    """The seeds that are trained from now on."""
    found, run = [], plain.Training

    def training(*arguments, **named):
        found.append(named["seed"])
        return run(*arguments, **named)

    monkeypatch.setattr(plain, "Training", training)
    return found


def test_a_course_has_all_epochs_of_what_was_asked_for(watched, few_digits):
    _, (path, _) = watched
    table, about = read_table(path, "courses")
    assert column(table, "epoch").tolist() == [1, 2, 3]
    course = course_of(table, 200)
    assert set(course) == {"loss", "margin", "error", "input_gradient"}
    assert all(values.shape == (3, 200) for values in course.values())
    assert course["loss"][-1].mean() < course["loss"][0].mean()
    right = (course["margin"][-1] > 0).mean()
    assert about["accuracies"]["included"] == pytest.approx(right)
    assert about["identity"] == {"dataset": "digits", "architecture": "small_cnn-4", "seed": 0}


def test_the_same_seed_gives_the_same_file_and_another_another(watched, few_digits, tmp_path):
    _, paths = watched
    again = read_table(record(tmp_path / "digits", few_digits), "courses")[0]
    first, other = (read_table(path, "courses")[0] for path in paths)
    assert again.column("loss") == first.column("loss") != other.column("loss")


def test_what_holds_all_that_is_wanted_is_not_trained_again(watched, few_digits, monkeypatch):
    folder, (path, _) = watched
    seeds, before = trained(monkeypatch), path.read_bytes()
    record(folder, few_digits)
    record(folder, few_digits, names=["csl"])
    record(folder, few_digits, names=["last_loss", "forgetting", "margin", "learning_time"])
    assert not seeds and path.read_bytes() == before


def test_another_observation_or_recipe_is_trained(watched, few_digits, tmp_path, monkeypatch):
    _, (path, _) = watched
    place = tmp_path / "digits" / "proxies" / path.name
    place.parent.mkdir(parents=True)
    place.write_bytes(path.read_bytes())
    seeds = trained(monkeypatch)
    record(tmp_path / "digits", few_digits, names=["grand"])
    assert seeds == [0]
    found = course_of(read_table(place, "courses")[0], 200)
    assert list(found) == ["weight_gradient"]
    assert np.isnan(found["weight_gradient"][1:]).all()  # GraNd looks at the early epoch alone
    short = {"epochs": 2, "batch_size": 50, "augmentation": {"crop": 0, "flip": False}}
    record(tmp_path / "digits", few_digits, names=["grand"], training=short)
    assert seeds == [0, 0]


def test_second_split_forgetting_has_trainings_of_its_own(
    watched, few_digits, tmp_path, monkeypatch
):
    _, (path, _) = watched
    seeds, names, out = trained(monkeypatch), [*NAMES, "ssft"], tmp_path / "digits"
    place = record(out, few_digits, names=names)
    assert seeds == [0] * 5  # that of before, and two models on one half and then on the other
    table, before = (read_table(p, "courses")[0] for p in (place, path))
    for name in ("loss", "margin", "error", "input_gradient"):
        assert table.column(name) == before.column(name)
    scores = proxy_scores(course_of(table, 200), ["ssft"])["ssft"]
    assert set(scores) <= {1, 2, 3, 4} and len(set(scores)) > 1
    spec = specs(names=names, seeds=[0])[1]["digits", "proxies"]
    write_proxies([place], few_digits, spec, out, command="a test")
    found, about = read_table(out / "scores" / "proxies.parquet", "proxies")
    assert column(found, "ssft").tolist() == scores.tolist()
    took = column(table, "second_split_seconds").sum() / column(table, "seconds").sum()
    assert about["cost"]["ssft"] == pytest.approx(took)
    record(out, few_digits)  # without it
    assert len(seeds) == 5


def test_a_half_is_watched_while_the_other_is_trained_on(few_digits, monkeypatch):
    """Each sample, one at a time, by the model that left its half."""
    recipe, phases = specs()[1]["digits", "courses"]["recipe"], []
    data, labels = to_device(few_digits, CPU.device), few_digits.train_labels

    class Looked(plain.Training):
        def run_epoch(self, *arguments):
            statistics = super().run_epoch(*arguments)
            self.model.eval()
            with torch.no_grad():
                logits = [self.model(as_float(data.train_images[i : i + 1]))[0] for i in range(200)]
            phases.append((self.model, set(self.index.tolist()), torch.stack(logits).numpy()))
            return statistics

    monkeypatch.setattr(plain, "Training", Looked)
    margins, seconds = halves.forget_halves(few_digits, data, recipe, 0, CPU, "a test")
    assert margins.shape == (3, 200) and len(seconds) == 3 and min(seconds) > 0
    assert len(phases) == 12  # three epochs of two models, twice
    (one, other) = (phases[0][1], phases[3][1])
    assert len(one) == len(other) == 100 and not one & other
    for at, own in ((0, one), (6, other)):
        first, second = phases[at : at + 3], phases[at + 3 : at + 6]
        assert len({id(model) for model, _, _ in first + second}) == 1
        assert all(index == own for _, index, _ in first)
        assert all(not index & own for _, index, _ in second)
        for epoch, (_, _, logits) in enumerate(second):
            for i in own:
                others = np.delete(logits[i], labels[i])
                expected = logits[i, labels[i]] - others.max()
                assert margins[epoch, i] == pytest.approx(expected, abs=1e-4)
    assert (margins[-1] > 0).mean() < 1


def test_a_damaged_course_is_said_and_trained_again(watched, few_digits, tmp_path, caplog):
    _, (path, _) = watched
    place = tmp_path / "digits" / "proxies" / path.name
    place.parent.mkdir(parents=True)
    place.write_bytes(path.read_bytes()[:-200])
    with caplog.at_level(logging.WARNING, "bat"):
        record(tmp_path / "digits", few_digits)
    assert "trained again" in caplog.text and str(place) in caplog.text
    assert read_table(place, "courses")[0].num_rows == 3


# -- scores ---------------------------------------------------------------------------------


def write(watched, prepared, out, **proxies):
    _, paths = watched
    write_proxies(paths, prepared, specs(**proxies)[1]["digits", "proxies"], out, command="a test")
    return read_table(out / "scores" / "proxies.parquet", "proxies")


def test_scores_are_means_over_seeds_with_their_errors(watched, few_digits, tmp_path):
    table, about = write(watched, few_digits, tmp_path)
    each = [proxy_scores(course_of(read_table(p, "courses")[0], 200), NAMES) for p in watched[1]]
    for name in NAMES:
        both = np.stack([scores[name] for scores in each])
        assert column(table, name).tolist() == both.mean(axis=0).tolist()
        error = np.abs(both[0] - both[1]) / 2
        assert column(table, f"{name}_se") == pytest.approx(error)
    assert table.column("curvature").null_count == 200
    by_seed = read_table(tmp_path / "proxies" / "by_seed.parquet", "proxies_by_seed")[0]
    assert column(by_seed, "seed").tolist() == [0] * 200 + [1] * 200
    assert column(by_seed, "aum")[200:].tolist() == each[1]["aum"].tolist()
    cost = about["cost"]
    assert 1 < cost["csl"] < cost["loss_sensitivity"]
    assert cost["el2n"] < 0.7 * cost["csl"]  # the first of three epochs


def test_courses_of_other_seeds_or_recipes_are_refused(watched, few_digits, tmp_path):
    with pytest.raises(ArtifactError, match=r"of the seeds \[0, 1\], expected one of each"):
        write(watched, few_digits, tmp_path, seeds=[0, 2])
    with pytest.raises(ArtifactError, match=r"small_cnn-4-seed0.parquet: trained with another"):
        write(watched, few_digits, tmp_path, training={"epochs": 4})
    assert not (tmp_path / "scores").exists()


def test_values_that_are_none_are_refused(watched, few_digits, tmp_path):
    _, (path, other) = watched
    table, about = read_table(path, "courses")
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    columns["loss"][1] = np.full(200, np.nan, np.float32).tobytes()
    place = tmp_path / "digits" / "proxies" / path.name
    given = {key: about[key] for key in ("fingerprint", "recipe", "command", "identity")}
    write_table(place, "courses", columns, **given)
    spec = specs()[1]["digits", "proxies"]
    with pytest.raises(ArtifactError, match="loss of epoch 2 holds values that are not finite"):
        write_proxies([place, other], few_digits, spec, tmp_path, command="a test")


# -- what goes by them ----------------------------------------------------------------------


@pytest.mark.parametrize(("name", "high"), [("csl", True), ("aum", False)])
def test_a_run_counts_the_top_share_as_memorized(watched, few_digits, tmp_path, name, high):
    table, _ = write(watched, few_digits, tmp_path)
    spec = {"dataset": "digits", "run": "r", "score": {"kind": name, "top": 0.1}}
    memorized, others = score_masks(spec, table)
    values = column(table, name)
    assert memorized.sum() == 20 and (memorized ^ others).all()
    if high:
        assert values[memorized].min() >= values[others].max()
    else:
        assert values[memorized].max() <= values[others].min()


def test_a_run_by_a_score_that_the_table_lacks_is_refused(watched, few_digits, tmp_path):
    table, _ = write(watched, few_digits, tmp_path)
    spec = {"dataset": "digits", "run": "r", "score": {"kind": "grand", "top": 0.1}}
    with pytest.raises(BatError, match="grand is not known of 200 of 200 samples"):
        score_masks(spec, table)


def test_without_a_section_nothing_is_asked_for():
    plain = config.load_config({"datasets": {"x": {"data": {"source": "digits"}}}}).datasets["x"]
    dataset, found = specs()
    assert not is_drawn(plain, find_entry("proxies")) and is_drawn(dataset, find_entry("proxies"))
    assert "proxies" in shared_tables(dataset) and "proxies" not in shared_tables(plain)
    assert course_files(dataset) == [f"proxies/small_cnn-4-seed{seed}.parquet" for seed in (0, 1)]
    assert found["digits", "courses"]["observe"] == ["loss", "margin", "error", "input_gradient"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"proxies": {"names": []}}, "expected 1 or more, found 0"),
        ({"proxies": {"names": ["csl", "csl"]}}, "names lists one twice"),
        ({"proxies": {"names": ["cls"]}}, "csl"),
        ({"runs": {"r": {"method": "bat", "score": "csl", "top": 0.1}}}, "add it to proxies.names"),
        ({"runs": {"r": {"method": "bat", "score": "csl"}}}, "needs top"),
        ({"runs": {"r": {"method": "bat", "score": "csl", "sigma": 0.1}}}, "not sigma"),
        ({"runs": {"r": {"method": "bat", "sigma": 0.2, "top": 0.1}}}, "sigma is another one"),
    ],
)
def test_what_has_no_meaning_is_refused_before_anything_runs(change, words):
    with pytest.raises(config.ConfigError, match=words):
        config.load_config({"datasets": {"x": {"data": {"source": "digits"}, **change}}})

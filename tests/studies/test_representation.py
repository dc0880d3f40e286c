"""Similarities against a loop over pairs, the probe on separable data, and the table."""

import json
from itertools import combinations

import numpy as np
import pytest

from bat.errors import ArtifactError, BatError
from bat.files import write_json
from bat.studies import representation
from bat.studies.representation import class_similarity, linear_probe


def by_pairs(features, labels):
    """Within, between and their difference from a loop over all pairs."""
    cosines = {True: [], False: []}
    for i, j in combinations(range(len(labels)), 2):
        a, b = features[i], features[j]
        cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        cosines[bool(labels[i] == labels[j])].append(cosine)
    within, between = (np.mean(cosines[same]) for same in (True, False))
    return np.array([within, between, within - between])


@pytest.fixture
def some():
    """40 samples of 5 classes of different sizes, one of them with a single sample."""
    rng = np.random.default_rng(3)
    labels = rng.permutation([7] + [0] * 12 + [2] * 9 + [3] * 15 + [9] * 3)
    return rng.normal(size=(40, 6)) + 1.5 * rng.normal(size=(10, 6))[labels], labels


# -- similarity -----------------------------------------------------------------------------


def test_orthogonal_prototypes_of_any_length():
    labels = np.repeat(np.arange(4), 5)
    lengths = np.random.default_rng(0).uniform(0.1, 9, (20, 1))
    found = class_similarity(lengths * np.eye(4)[labels], labels)
    assert [found[name].value for name in found] == pytest.approx([1, 0, 1], abs=1e-12)
    assert [found[name].se for name in found] == pytest.approx([0, 0, 0], abs=1e-7)


def test_opposite_classes_are_as_far_as_can_be():
    labels = np.array([0, 0, 1, 1])
    found = class_similarity(np.array([[1.0], [2.0], [-1.0], [-5.0]]), labels)
    assert found["discrimination"].value == pytest.approx(2)


def test_prototypes_at_an_angle():
    angle = 0.7
    rows = np.array([[1, 0], [np.cos(angle), np.sin(angle)]])
    found = class_similarity(rows[[0, 0, 0, 1, 1]], np.array([5, 5, 5, 1, 1]))
    assert found["within"].value == pytest.approx(1)
    assert found["between"].value == pytest.approx(np.cos(angle))


def test_equals_a_loop_over_pairs(some):
    found = class_similarity(*some)
    assert list(found) == ["within", "between", "discrimination"]
    assert [found[name].value for name in found] == pytest.approx(by_pairs(*some))


def test_standard_errors_equal_a_jackknife_by_hand(some):
    features, labels = some
    n = len(labels)
    without = [by_pairs(np.delete(features, i, 0), np.delete(labels, i)) for i in range(n)]
    expected = np.sqrt((n - 1) * np.var(without, axis=0))
    found = class_similarity(features, labels)
    assert [found[name].se for name in found] == pytest.approx(expected)


def test_standard_errors_cover_the_truth():
    """Within +- 1.96 standard errors in 95 % of draws, up to five errors of 400 draws."""
    rng, labels = np.random.default_rng(1), np.repeat(np.arange(3), 40)
    means = 2 * np.eye(3)

    def draw(n):
        return means[labels[:n]] + rng.normal(size=(n, 3))

    directions = {c: means[c] + rng.normal(size=(200_000, 3)) for c in range(3)}
    mean = [np.mean(x / np.linalg.norm(x, axis=1)[:, None], axis=0) for x in directions.values()]
    truth = np.mean([mean[c] @ mean[c] for c in range(3)]) - np.mean(
        [mean[a] @ mean[b] for a, b in combinations(range(3), 2)]
    )
    inside = 0
    for _ in range(400):
        found = class_similarity(draw(120), labels)["discrimination"]
        inside += abs(found.value - truth) < 1.96 * found.se
    assert abs(inside / 400 - 0.95) < 5 * np.sqrt(0.95 * 0.05 / 400)


def test_order_and_names_of_classes_do_not_matter(some):
    features, labels = some
    order = np.random.default_rng(0).permutation(len(labels))
    a, b = class_similarity(features, labels), class_similarity(features[order], 10 - labels[order])
    for name in a:
        assert b[name] == pytest.approx(a[name])


@pytest.mark.parametrize(
    ("features", "labels", "words"),
    [
        (np.ones((4, 2)), [0, 0, 0, 1], "1 of 2 classes"),
        (np.eye(4)[:3], [0, 0, 1, 1], "expected"),
        (np.array([[1.0, 0], [0, 0], [1, 1], [0, 1]]), [0, 0, 1, 1], "no direction"),
        (np.array([[1.0, 0], [np.nan, 0], [1, 1], [0, 1]]), [0, 0, 1, 1], "no direction"),
    ],
)
def test_undefined_similarities_are_refused(features, labels, words):
    with pytest.raises(BatError, match=words):
        class_similarity(features, np.array(labels))


# -- probe ----------------------------------------------------------------------------------


def test_probe_separates_what_a_plane_separates():
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=300)
    features = 1000 + np.eye(3)[labels] + rng.uniform(-0.1, 0.1, (300, 3))
    probe = linear_probe(features[:200], labels[:200], features[200:], labels[200:])
    assert (probe.accuracy, probe.train_accuracy, probe.converged) == (1, 1, True)
    assert 0 < probe.accuracy_se < 0.02


def test_probe_of_noise_is_a_guess():
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(1000, 3)), rng.permutation(np.arange(1000) % 4)
    probe = linear_probe(features[:500], labels[:500], features[500:], labels[500:])
    assert abs(probe.accuracy - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 500)


def test_probe_cannot_do_what_no_plane_does():
    rng = np.random.default_rng(0)
    features = rng.choice([-1.0, 1.0], (600, 2))
    labels = (features[:, 0] == features[:, 1]).astype(int)
    probe = linear_probe(features[:400], labels[:400], features[400:], labels[400:])
    assert probe.accuracy < 0.9


def test_probe_says_that_it_did_not_converge(monkeypatch):
    monkeypatch.setattr(representation, "PROBE_ITERATIONS", 1)
    rng = np.random.default_rng(0)
    probe = linear_probe(rng.normal(size=(50, 9)), np.arange(50) % 5, np.eye(9), np.zeros(9))
    assert (probe.iterations, probe.converged) == (1, False)


def test_probe_of_one_class_is_refused():
    with pytest.raises(BatError, match="of one class"):
        linear_probe(np.eye(3), np.zeros(3), np.eye(3), np.zeros(3))


# -- features -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured(few_digits, tmp_path_factory):
    """An untrained model's measures on half of the digits, as the command writes them."""
    import torch

    from bat import config, files
    from bat.devices import Runtime
    from bat.models import build_model
    from bat.plan.runs import study_runs
    from bat.plan.specifications import run_specification
    from bat.studies import features

    folder = tmp_path_factory.mktemp("representation")
    info = few_digits.info
    typical = {split: np.arange(info[f"n_{split}"]) % 2 == 0 for split in ("train", "test")}
    for split, mask in typical.items():
        files.write_table(
            folder / "groups" / f"{split}.parquet",
            "groups",
            {"index": np.arange(len(mask)), "typical": mask, "atypical": ~mask},
            fingerprint=info["fingerprint"],
            recipe={},
            command="a test",
        )
    model = build_model(
        "small_cnn-4", n_classes=10, channels=1, mean=info["mean"], std=info["std"], seed=0
    )
    files.write_torch(folder / "last.pt", model.state_dict())
    dataset = config.Dataset.model_validate({"data": {"source": "digits"}})
    run = study_runs(dataset)["erm-atypical-0"]
    spec = run_specification("digits", dataset, "small_cnn-4", "erm-atypical-0", run, 0)
    content = features.represent_checkpoint(
        folder / "last.pt",
        folder / "groups",
        few_digits,
        spec,
        folder / "seed0.json",
        device=Runtime(torch.device("cpu")),
        command="a test",
    )
    return folder, model, typical, content


def test_features_are_those_before_the_last_layer(few_digits, measured):
    import torch

    from bat.studies.features import penultimate_features

    _, model, _, _ = measured
    model.train()
    found = penultimate_features(model, few_digits.test_images)
    assert found.shape == (100, 16)
    assert model.training
    model.eval()
    with torch.no_grad():
        x = torch.from_numpy(np.array(few_digits.test_images)).float() / 255
        logits = model.logits(torch.from_numpy(found))
        assert torch.allclose(logits, model(x), atol=1e-5)


def test_measures_are_of_the_typical_samples(few_digits, measured):
    from bat.studies.features import penultimate_features

    folder, model, typical, content = measured
    features = {
        split: penultimate_features(model, getattr(few_digits, f"{split}_images")[mask])
        for split, mask in typical.items()
    }
    labels = {s: np.asarray(getattr(few_digits, f"{s}_labels"))[m] for s, m in typical.items()}
    assert (content["n_train"], content["n_test"], content["dim"]) == (100, 50, 16)
    similarity = class_similarity(features["test"], labels["test"])
    for name, estimate in similarity.items():
        assert (content[name], content[f"{name}_se"]) == pytest.approx(estimate, rel=1e-4)
    probe = linear_probe(features["train"], labels["train"], features["test"], labels["test"])
    assert content["probe_accuracy"] == pytest.approx(probe.accuracy)
    assert representation.read_measures(folder / "seed0.json", content["fingerprint"]) == content


def test_measures_of_other_data_or_kind_are_refused(measured, tmp_path):
    folder, _, _, content = measured
    with pytest.raises(ArtifactError, match="the one in use is"):
        representation.read_measures(folder / "seed0.json", "another")
    write_json(tmp_path / "seed0.json", {"kind": "another"})
    with pytest.raises(ArtifactError, match="no measures"):
        representation.read_measures(tmp_path / "seed0.json", content["fingerprint"])


# -- table ----------------------------------------------------------------------------------


def test_measures_are_plain_json(measured):
    folder, _, _, content = measured
    written = json.loads((folder / "seed0.json").read_text())
    assert len(written.pop("checksum")) == 64
    assert written == content

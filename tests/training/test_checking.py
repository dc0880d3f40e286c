"""The job that checks a trained model for a masked gradient, on a few digits."""

import numpy as np
import pytest
import torch
from short_runs import CPU, specification, train

from bat.checkpoints.formats import checkpoint_digest
from bat.errors import ArtifactError
from bat.files import MASKING, read_table
from bat.report.masking import checks
from bat.training import check_checkpoint
from bat.training.evaluating import judged_samples
from bat.validation import read_checked

SPEC = {
    "stage_version": 1,
    "dataset": "digits",
    "attack": {"eps": 0.1, "step": 0.025, "few": 5, "many": 20, "queries": 150},
    "batch_size": 64,
    "seed": 0,
    "max_samples": 60,
}
PLACE = "small_cnn-4/masking/pgd-at/seed0.parquet"


@pytest.fixture(scope="module")
def trained(few_digits, inputs, tmp_path_factory):
    """The best models of two seeds, trained for long enough to be right about half of the time."""
    folder, paths = tmp_path_factory.mktemp("runs"), []
    for seed in (0, 1):
        place = folder / "digits" / "small_cnn-4" / "runs" / "pgd-at" / f"seed{seed}"
        longer = {"training": {"epochs": 25, "milestones": [20], "lr": 0.1}}
        train(place, few_digits, specification(seed=seed, **longer), inputs)
        paths.append(place / "best.pt")
    return paths


def check(few_digits, trained, out, source=None, spec=SPEC, checkpoint=None):
    return check_checkpoint(
        *(checkpoint or trained[0], "small_cnn-4", few_digits, spec, out),
        source=source,
        device=CPU,
        command="test",
        normalize=True,
    )


def test_verdicts_are_kept_with_what_they_were_made_of(few_digits, trained, tmp_path):
    out = tmp_path / "digits" / PLACE
    accuracies = check(few_digits, trained, out, source=trained[1])
    assert list(accuracies) == ["clean", *MASKING]
    table, metadata = read_checked(out, "masking", few_digits)
    assert table["index"].to_pylist() == judged_samples(SPEC, 100).tolist()
    assert (
        len(set(judged_samples(SPEC | {"max_samples": 20}, 100)) - set(table["index"].to_pylist()))
        == 0
    )
    for name, accuracy in accuracies.items():
        assert np.mean(table[name].to_pylist()) == pytest.approx(accuracy)
    assert metadata["inputs"]["checkpoint"] == checkpoint_digest(trained[0])
    assert metadata["inputs"]["source"] == checkpoint_digest(trained[1])
    assert metadata["identity"] == {
        "dataset": "digits",
        "architecture": "small_cnn-4",
        "run": "pgd-at",
        "seed": 0,
    }
    content = out.read_bytes()
    assert check(few_digits, trained, out, source=trained[1]) == accuracies
    assert out.read_bytes() == content
    out.unlink()
    check(few_digits, trained, out, source=trained[1])
    assert out.read_bytes() == content  # the same bit for bit


def test_it_is_made_again_for_another_source_or_attack_only(few_digits, trained, tmp_path, caplog):
    out = tmp_path / "digits" / PLACE
    quick = SPEC | {"max_samples": 5, "attack": SPEC["attack"] | {"many": 6, "queries": 5}}
    caplog.set_level("INFO", "bat")
    without = check(few_digits, trained, out, spec=quick)
    assert "transfer" not in without
    assert read_checked(out, "masking", few_digits)[0]["transfer"].null_count == 5
    assert check(few_digits, trained, out, spec=quick) == without
    assert "there already" in caplog.text and "made again" not in caplog.text
    assert "transfer" in check(few_digits, trained, out, source=trained[1], spec=quick)
    assert "of other source; made again" in caplog.text
    check(few_digits, trained, out, spec=quick)
    other = quick | {"attack": quick["attack"] | {"queries": 6}}
    check(few_digits, trained, out, spec=other)
    assert "of other settings; made again" in caplog.text


def test_a_trained_model_passes_and_the_same_with_large_logits_fails(few_digits, trained, tmp_path):
    """The logits of the second are 10,000 times those of the first, so both are as robust."""
    content = torch.load(trained[0], weights_only=True)
    weights = dict(content["state_dict"])
    last = [name for name in weights if name.endswith((".weight", ".bias"))][-2:]
    for name in last:
        weights[name] = 1e4 * weights[name]
    torch.save(weights, tmp_path / "large.pt")
    verdicts = {}
    for run, checkpoint in (("plain", trained[0]), ("large", tmp_path / "large.pt")):
        out = tmp_path / f"{run}.parquet"
        check(few_digits, trained, out, source=trained[1], checkpoint=checkpoint)
        verdicts[run, 0] = read_table(out, "masking")[0].to_pandas()
    assert (verdicts["plain", 0]["clean"] == verdicts["large", 0]["clean"]).all()
    table = checks(verdicts, 0.1).set_index(["run", "check"])
    assert table.loc["plain", "passed"].all()
    assert not table.loc[("large", "square"), "passed"]
    assert not table.loc[("large", "unbounded"), "passed"]
    assert table.loc[("large", "steps"), "before"] > table.loc[("plain", "steps"), "before"] + 0.1


def test_a_table_that_cannot_be_is_refused(few_digits, trained, tmp_path):
    from bat import files

    n, given = 5, {"fingerprint": few_digits.fingerprint, "recipe": SPEC | {"max_samples": 5}}
    columns = {"index": np.arange(n), **dict.fromkeys(("clean", *MASKING), np.ones(n, bool))}
    for changes, source, wrong in (
        ({"few": np.arange(n) < 2}, "a" * 64, "what withstands many withstands few"),
        ({"square": np.ones(n, bool), "many": np.zeros(n, bool)}, "a" * 64, "withstands many"),
        ({}, files.NO_SOURCE, "transfer has verdicts, and names no source"),
        ({"transfer": [None] * n}, "a" * 64, "transfer has no values"),
        ({"index": np.zeros(n)}, "a" * 64, "index rises"),
    ):
        path = tmp_path / "masking.parquet"
        made = {"inputs": {"source": source}, "command": "test"}
        files.write_table(path, "masking", columns | changes, **given, **made)
        with pytest.raises(ArtifactError, match=wrong):
            read_checked(path, "masking", few_digits)

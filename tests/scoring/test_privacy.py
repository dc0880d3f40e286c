"""The attack from shards to files: known answers, what is refused, the same bytes again."""

import numpy as np
import pandas as pd
import pytest

from bat import scoring
from bat.errors import ArtifactError
from bat.figures import privacy as figure
from bat.files import column, read_signed, read_table, write_json, write_table
from bat.files.bits import pack
from bat.report.folder import Folder
from bat.scores.subsets import subset
from bat.tables import privacy_rates
from bat.validation import check_files, read_checked

N_TRIALS, RATIO = 100, 0.7
RECIPE = {"architecture": "made-up", "subset_ratio": RATIO, "seed": 3, "training": {}}
SPEC = {"dataset": "digits", "trials": N_TRIALS, "recipe": RECIPE}
FIGURES = {"atypical_above": 0.15}


def write_shard(folder, prepared, *, with_margins=N_TRIALS):
    """Trials that give away every fifth sample for sure, and nothing of the others."""
    n, n_test = prepared.info["n_train"], prepared.info["n_test"]
    rows = []
    for trial in range(N_TRIALS):
        rng = np.random.default_rng(trial)
        included = subset(RECIPE["seed"], trial, n, RATIO)
        margin = rng.normal(3.0, 0.3, size=n) + 10.0 * (included & (np.arange(n) % 5 == 0))
        kept = trial < with_margins
        rows.append(
            {
                "trial": trial,
                "seed": RECIPE["seed"],
                "included": pack(included),
                "train_correct": pack(margin > 0),
                "test_correct": pack(np.ones(n_test, bool)),
                "included_accuracy": 1.0,
                "excluded_accuracy": 1.0,
                "test_accuracy": 1.0,
                "seconds": 0.0,
                "device": "none",
                "probabilities": None,
                "train_margin": margin.astype(np.float16).tobytes() if kept else None,
                "test_margin": np.ones(n_test, np.float16).tobytes() if kept else None,
            }
        )
    path = folder / f"made-up-000000-{N_TRIALS - 1:06d}.parquet"
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    provenance = {"fingerprint": prepared.fingerprint, "recipe": RECIPE, "command": "a test"}
    write_table(path, "trials", columns, **provenance)
    return path


@pytest.fixture(scope="module")
def made(few_digits, inputs, tmp_path_factory):
    """A results folder of the digits; the groups are those of `inputs`: every fifth is atypical."""
    folder = tmp_path_factory.mktemp("results") / "digits"
    shard = write_shard(folder / "trials", few_digits)
    (folder / "data").symlink_to(few_digits.folder)
    (folder / "groups").mkdir()
    for split in ("train", "test"):
        table, about = read_table(inputs.groups / "train.parquet", "groups")
        given = {key: about[key] for key in ("fingerprint", "recipe", "command")}
        path = folder / "groups" / f"{split}.parquet"
        write_table(path, "groups", table.slice(0, 200 if split == "train" else 100), **given)
    about = {"influence": {"pairs": "same_class", "keep_above": 0.02}, "min_included_accuracy": 0}
    scoring.write_scores([shard], few_digits, SPEC | about, folder / "scores", command="a test")
    attack(folder, few_digits, folder / "scores")
    return folder


def attack(folder, prepared, out, spec=SPEC):
    shards, groups = [*folder.glob("trials/*.parquet")], folder / "groups" / "train.parquet"
    scoring.write_privacy(shards, groups, prepared, spec, out, command="a test")


def test_what_is_given_away_is_found_and_nothing_else(made, few_digits):
    table, metadata = read_checked(made / "scores" / "privacy.parquet", "privacy", few_digits)
    area, given = column(table, "auc"), np.arange(200) % 5 == 0
    assert np.array_equal(column(table, "label"), few_digits.train_labels)
    assert (area[given] == 1).all() and 0 < column(table, "auc_se")[given].max() < 0.05
    assert area[~given].mean() == pytest.approx(0.5, abs=0.02)
    assert metadata["recipe"]["trials"] == N_TRIALS
    rates = pd.read_csv(made / "scores" / "privacy.csv")
    assert rates["part"].drop_duplicates().tolist()[:4] == ["all", "typical", "atypical", "class 0"]
    parts = rates[rates["fpr"] == 0.01].set_index("part")
    assert parts.loc["atypical", ["n_samples", "auc", "tpr"]].tolist() == [40, 1, 1]
    assert parts.loc["typical", "tpr"] == pytest.approx(0.01, abs=0.01)
    assert parts.loc["typical", "auc"] == pytest.approx(0.5, abs=0.02)
    assert parts.loc["all", "tpr"] == pytest.approx(0.2, abs=0.02)
    parts = parts.dropna()  # of a class or two, too few to show one in a hundred
    assert (parts["tpr_low"] <= parts["tpr"]).all() and (parts["tpr"] <= parts["tpr_high"]).all()
    few = rates[(rates["part"] == "class 0") & (rates["fpr"] == 0.001)]
    assert few["tpr"].isna().all()  # some hundred non-members do not show one in a thousand
    whole = rates[rates["part"] == "all"]
    assert whole["fpr"].is_monotonic_increasing and whole["tpr"].is_monotonic_increasing
    assert whole["tpr"].iloc[-1] == 1


def test_the_same_bytes_again(made, few_digits, tmp_path):
    attack(made, few_digits, tmp_path)
    for name in ("privacy.parquet", "privacy.csv", "privacy.json"):
        assert (tmp_path / name).read_bytes() == (made / "scores" / name).read_bytes()


@pytest.mark.parametrize("n_with", [0, 60])
def test_trials_without_margins_are_refused_by_name(made, few_digits, tmp_path, n_with):
    (tmp_path / "groups").symlink_to(made / "groups")
    write_shard(tmp_path / "trials", few_digits, with_margins=n_with)
    words = rf"made-up-000000-000099.parquet: holds no margins of {N_TRIALS - n_with} trials.*Move"
    with pytest.raises(ArtifactError, match=words):
        attack(tmp_path, few_digits, tmp_path / "scores")
    assert not (tmp_path / "scores").exists()


def test_figure_and_table(made, tmp_path):
    folder = Folder(made, FIGURES)
    files = figure.write(folder, tmp_path / "privacy")
    assert {path.suffix for path in files} == {".pdf", ".png", ".csv"}
    samples = pd.read_csv(tmp_path / "privacy_samples.csv")
    assert samples["atypical"].sum() == 0  # nothing is memorized: all are always right
    files = privacy_rates.write(folder, tmp_path / "table")
    text = files[1].read_text(encoding="utf-8")
    assert "| atypical | 40 | 1.000 [1.000, 1.000] |" in text
    assert "| 0 | " in text and "–" in text
    table = pd.read_csv(files[0])
    assert table.loc[0, "tpr_0.01_low"] <= table.loc[0, "tpr_0.01"] <= table.loc[0, "tpr_0.01_high"]


def test_rates_of_other_groups_or_edited_ones_are_refused(made, few_digits, tmp_path):
    for name in ("data", "trials"):
        (tmp_path / name).symlink_to(made / name)
    for name in ("scores", "groups"):
        (tmp_path / name).mkdir()
        for path in (made / name).iterdir():
            (tmp_path / name / path.name).write_bytes(path.read_bytes())
    folder = Folder(tmp_path, FIGURES)
    assert len(folder.rates())
    path = tmp_path / "scores" / "privacy.csv"
    whole = path.read_text()
    path.write_text(whole.replace("typical", "other", 1))
    with pytest.raises(ArtifactError, match=r"is not the file that privacy\.json"):
        folder.rates()
    path.write_text(whole)
    groups = tmp_path / "groups" / "train.parquet"
    _, about = read_table(groups, "groups")
    columns = {"index": np.arange(200), "typical": np.ones(200, bool), "atypical": [False] * 200}
    given = {key: about[key] for key in ("fingerprint", "recipe", "command")}
    write_table(groups, "groups", columns, **given)
    with pytest.raises(ArtifactError, match="was made of other groups"):
        folder.rates()
    attack(tmp_path, few_digits, tmp_path / "scores")
    assert "atypical" not in set(folder.rates()["part"])  # there are none


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "of no row"),
        ("a,b\n1,2\n", "has the columns a, b, expected part, n_samples"),
        ("{}\nall,10,0.5,,,0.1,x,,\n", "not a table of rates"),
        ("{}\nall,10,0.5,,,0.1,1.5,,\n", "lie in"),
        ("{}\nall,0,0.5,,,0.1,,,\n", "n_samples must be 1"),
        ("{}\ntypical,10,0.5,,,0.1,,,\n", "no rows of the part 'all'"),
    ],
)
def test_rates_that_cannot_be(made, tmp_path, content, words):
    header = (made / "scores" / "privacy.csv").read_text().splitlines()[0]
    path = tmp_path / "privacy.csv"
    path.write_text(content.format(header))
    with pytest.raises(ArtifactError, match=words):
        list(check_files([path]))


def test_files_are_validated_together(made, few_digits):
    paths = [*(made / "scores").glob("*.parquet"), made / "scores" / "privacy.csv"]
    said = {path.name: text for path, text in check_files(paths, few_digits)}
    assert said["privacy.parquet"] == "privacy, 200 rows"
    assert said["privacy.csv"].startswith("privacy, ")
    label = read_signed(made / "scores" / "privacy.json")
    assert label["fingerprint"] == few_digits.fingerprint
    assert set(label["inputs"]) == {"trials", "margins", "groups"}


def test_the_command_does_the_same(made, run_bat, tmp_path):
    write_json(tmp_path / "spec.json", SPEC)
    given = ["--spec", tmp_path / "spec.json", "--data", made / "data", "--out", tmp_path]
    given += ["--groups", made / "groups" / "train.parquet"]
    run_bat("privacy", *given, "--shards", *made.glob("trials/*.parquet"))
    for name in ("privacy.csv", "privacy.json"):
        assert (tmp_path / name).read_bytes() == (made / "scores" / name).read_bytes()

"""What chance gives, from shards to captions: no influence, planted influence, unknown counts."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch

from bat import config, files, scoring, sharing
from bat.data import PreparedData
from bat.devices import Runtime
from bat.errors import BatError
from bat.figures import convergence, fig7
from bat.figures import groups as sizes
from bat.files import column, read_table, write_table
from bat.files.bits import unpack
from bat.plan.specifications import trial_recipe
from bat.progress import log
from bat.report.folder import Folder
from bat.report.summary import summary
from bat.scores import chance, memorization
from bat.scores.subsets import subset
from bat.sharing.cards import description, facts
from bat.sharing.folders import opened
from bat.streams import generator
from bat.training import trials
from bat.training.trial_rows import trial_row

N_TRIALS = 60
RECIPE = {"architecture": "made", "subset_ratio": 0.7, "seed": 5, "training": {}}
SPEC = {
    "dataset": "digits",
    "trials": N_TRIALS,
    "recipe": RECIPE,
    "influence": {"pairs": "same_class", "keep_above": 0.02},
    "min_included_accuracy": 0.5,
}
FIGURES = {"atypical_above": 0.15, "influence_above": 0.15, "precision": 0.05}
CARRIED = [3, 14, 15, 92]  # test samples that are right where one training sample was seen


def groups_spec(**settings) -> dict:
    return {"dataset": "digits", "groups": config.Groups(**settings).model_dump(mode="json")}


def write_trials(path, prepared, *, carriers=(), margins=False) -> None:
    """Models that memorize every fifth training sample; verdicts on test samples are luck.

    With ``margins``, what the training samples carry is a rise of a noisy margin.
    """
    n, n_test = prepared.info["n_train"], prepared.info["n_test"]
    rows = []
    for trial in range(N_TRIALS):
        included = subset(RECIPE["seed"], trial, n, 0.7)
        rng = generator(RECIPE["seed"], trial, "verdicts")
        right = included | (rng.random(n) > np.where(np.arange(n) % 5 == 0, 0.7, 0.02))
        test_right = rng.random(n_test) < 0.8
        for test, train in zip(CARRIED, carriers, strict=False):
            test_right[test] = included[train]
        both = None
        if margins:
            test_margin = rng.normal(0.4, 0.7, n_test)
            for test, train in zip(CARRIED, carriers, strict=False):
                test_margin[test] += 1.4 * included[train]
            test_right, both = test_margin > 0, (np.where(right, 1.0, -1.0), test_margin)
        verdicts = included, right, test_right
        rows.append(trial_row(RECIPE, trial, *verdicts, seconds=0.0, device="none", margins=both))
    columns = {name: [value for row in rows for value in row[name]] for name in rows[0]}
    about = {"fingerprint": prepared.fingerprint, "recipe": RECIPE, "command": "a test"}
    write_table(path, "trials", columns, **about)


def results(folder, prepared, *, carried: bool, margins: bool = False):
    """A results folder with scores, convergence and specifications."""
    carriers = []
    if carried:
        labels, test_labels = np.asarray(prepared.train_labels), np.asarray(prepared.test_labels)
        own = [np.flatnonzero((labels == test_labels[j])[::5])[0] * 5 for j in CARRIED]
        carriers = [int(i) for i in own]
    shard = folder / "made-000000-000059.parquet"
    write_trials(shard, prepared, carriers=carriers, margins=margins)
    scoring.write_scores([shard], prepared, SPEC, folder / "scores", command="a test")
    scoring.write_convergence([shard], prepared, SPEC, folder / "scores" / "convergence.csv")
    (folder / "data").symlink_to(prepared.folder)
    return folder


@pytest.fixture(scope="module")
def without(few_digits, tmp_path_factory):
    return results(tmp_path_factory.mktemp("without") / "digits", few_digits, carried=False)


@pytest.fixture(scope="module")
def planted(few_digits, tmp_path_factory):
    return results(tmp_path_factory.mktemp("planted") / "digits", few_digits, carried=True)


def group(folder, prepared, out, **settings) -> tuple[np.ndarray, dict]:
    """The test atypical samples, and what the metadata say of chance, by split."""
    spec = groups_spec(**settings)
    scoring.write_groups(folder / "scores", prepared, spec, out, command="a test")
    found = {s: read_table(out / f"{s}.parquet", "groups") for s in ("train", "test")}
    members = np.flatnonzero(column(found["test"][0], "atypical"))
    return members, {split: metadata["chance"] for split, (_, metadata) in found.items()}


def test_a_group_of_noise_is_called_so_everywhere(without, few_digits, tmp_path, caplog):
    log.addHandler(caplog.handler)
    try:
        members, found = group(without, few_digits, without / "groups")
    finally:
        log.removeHandler(caplog.handler)
    assert len(members) == found["test"]["members"] > 20
    assert found["test"]["expected"] == pytest.approx(len(members), rel=0.3)
    assert "test atypical samples about" in caplog.text
    assert "false_discovery" in caplog.text
    assert 40 <= found["train"]["members"] < 44  # every fifth of 200 is memorized indeed
    assert found["train"]["expected"] < 8
    assert "train atypical" not in caplog.text
    folder = Folder(without, FIGURES)
    caution = f"of the {len(members)} test atypical samples about"
    assert caution in folder.caution()
    sizes.write(folder, tmp_path / "groups")
    text = (tmp_path / "groups.md").read_text()
    assert caution in text
    assert f"test of {len(members)}, about" in text
    fig7.write(folder, tmp_path / "fig7")
    assert b"None of them stands" in (tmp_path / "fig7.png").read_bytes()
    convergence.write(folder, tmp_path / "convergence")
    shares = pd.read_csv(tmp_path / "convergence.csv")
    measured = shares[shares["source"] == "measured"]
    assert (measured["share_by_chance"] > 0.6).all()
    assert shares["n_needed_influence"].iloc[0] > N_TRIALS
    assert shares["share_by_chance"].iloc[-1] <= 0.5


def test_the_rate_of_false_discoveries_is_kept_and_what_is_planted_is_found(
    without, planted, few_digits, tmp_path
):
    members, found = group(without, few_digits, tmp_path / "none", false_discovery=0.1)
    assert members.size == 0
    assert found["test"] == {"members": 0, "expected": 0.0, "false_discovery": 0.1}
    members, found = group(planted, few_digits, tmp_path / "some", false_discovery=0.1)
    assert set(CARRIED) <= set(members.tolist())
    assert len(members) <= len(CARRIED) + 2  # at the rate 0.4 are expected; 2 in this draw
    assert found["test"]["expected"] == pytest.approx(0.1 * len(members))
    pairs, metadata = read_table(planted / "scores" / "influence.parquet", "influence")
    stands = column(pairs, "q") <= 0.1
    assert sorted(set(column(pairs, "test_index")[stands])) == CARRIED
    assert metadata["chance"]["standing"] == stands.sum()
    fig7.write(Folder(planted, FIGURES), tmp_path / "fig7")
    shown = pd.read_csv(tmp_path / "fig7.csv")
    n_first = len(set(column(pairs, "train_index")[stands]))
    assert n_first >= 2
    assert shown["stands"].tolist() == [True] * n_first + [False] * (len(shown) - n_first)


def test_groups_stand_by_margins_where_counts_see_too_little(few_digits, tmp_path):
    folder = results(tmp_path / "digits", few_digits, carried=True, margins=True)
    rule = {"false_discovery": 0.1}
    members, found = group(folder, few_digits, folder / "groups", **rule)
    assert set(CARRIED) <= set(members.tolist()) and len(members) <= len(CARRIED) + 1
    assert found["test"]["evidence"] == "margins" and "evidence" not in found["train"]
    assert "by margins" in chance.chance_text(found["test"])
    influence = folder / "scores" / "influence.parquet"
    pairs, about = read_table(influence, "influence")
    at = pairs.schema.get_field_index("influence_margin")
    other = pairs.set_column(at, "influence_margin", pc.negate(pairs.column(at)))
    about = {
        k: v
        for k, v in about.items()
        if k
        in (
            "fingerprint",
            "dataset",
            "recipe",
            "influence",
            "chance",
            "accuracies",
            "inputs",
            "command",
        )
    }
    write_table(influence, "influence", other, **about)
    with pytest.raises(BatError, match="influence"):
        Folder(folder, FIGURES).groups("test")  # made of other margins
    columns = [name for name in pairs.column_names if "margin" not in name]
    about["chance"] = {k: v for k, v in about["chance"].items() if k != "standing_margin"}
    write_table(influence, "influence", pairs.select(columns), **about)
    members, _ = group(folder, few_digits, tmp_path / "counts", **rule)
    assert not set(CARRIED) <= set(members.tolist())


def test_cards_and_summary_say_what_chance_gives(planted, few_digits, capsys):
    group(planted, few_digits, planted / "groups")
    archive = planted.parent / "scores.zip"
    sharing.export(planted, archive, licence="CC-BY-4.0")
    with opened(archive) as source:
        known = facts(source)
        words = dict(description(source, known))
    assert "by chance" in words["Memorization above 0.15"]
    assert "by chance" in words["Influence above 0.15"]
    assert "4 stand" in words["Chance"]
    settings = {
        "results": str(planted.parent),
        "datasets": {"digits": {"data": {"source": "digits"}}},
    }
    lines = "\n".join(summary(config.load_config(settings)))
    assert "4 stand" in lines
    assert "test atypical samples: of" in lines
    assert "Caution: of the" in lines


def test_tables_of_an_older_version_are_read_and_grouped(planted, few_digits, tmp_path):
    """No q, no chance in the metadata, the old standard errors."""
    old = tmp_path / "digits"
    (old / "scores").mkdir(parents=True)
    for kind in ("memorization", "influence", "test"):
        path = planted / "scores" / f"{kind}.parquet"
        table = pq.read_table(path)
        metadata = json.loads(table.schema.metadata[b"bat"])
        for name in ("checksum", "content", "inputs", "identity", "chance"):
            metadata.pop(name, None)
        if kind == "influence":
            table = table.drop_columns(["q"])
        if kind == "memorization":
            place = table.schema.get_field_index("memorization_se")
            n = {side: column(table, f"n_{side}") for side in ("included", "excluded")}
            parts = [
                (column(table, f"accuracy_{side}") * n[side] + 1) / (n[side] + 2) for side in n
            ]
            terms = [q * (1 - q) / (m + 2) for q, m in zip(parts, n.values(), strict=True)]
            table = table.set_column(place, "memorization_se", pa.array(np.sqrt(sum(terms))))
        text = {"bat": json.dumps(metadata)}
        pq.write_table(table.replace_schema_metadata(text), old / "scores" / path.name)
    pairs, _ = read_table(old / "scores" / "influence.parquet", "influence")
    assert pairs.column_names == files.SCHEMAS["influence"].names
    assert pairs.column("q").null_count == pairs.num_rows
    few, _ = read_table(old / "scores" / "influence.parquet", "influence", columns=["q"])
    assert few.column_names == ["q"]
    assert len(list(sharing.validate(old / "scores", few_digits))) == 3
    members, _ = group(old, few_digits, tmp_path / "groups", false_discovery=0.1)
    rule = {"false_discovery": 0.1}
    assert members.tolist() == group(planted, few_digits, tmp_path / "now", **rule)[0].tolist()
    (old / "data").symlink_to(few_digits.folder)
    files.write_json(
        old / "specs" / "figures.json", {"atypical_above": 0.15, "influence_above": 0.15}
    )
    fig7.write(Folder(old, FIGURES), tmp_path / "fig7")
    assert b"more than chance is not known" in (tmp_path / "fig7.png").read_bytes()


def test_scores_without_counts_and_errors_are_refused_where_they_are_needed(
    planted, few_digits, tmp_path
):
    folder = tmp_path / "scores"
    folder.mkdir()
    for kind in ("memorization", "influence", "test"):
        table, metadata = read_table(planted / "scores" / f"{kind}.parquet", kind)
        for name in ("memorization_se", "influence_se", "n_included", "q"):
            if name in table.column_names:
                place = table.schema.get_field_index(name)
                field = table.schema.field(name)
                table = table.set_column(place, field, pa.nulls(table.num_rows, field.type))
        about = {key: metadata[key] for key in ("fingerprint", "recipe", "influence")}
        write_table(folder / f"{kind}.parquet", kind, table, **about, command="a test")
    _, found = group(tmp_path, few_digits, tmp_path / "groups")
    assert found["test"]["expected"] is found["train"]["expected"] is None
    assert chance.chance_text(found["test"]).endswith("how many by chance is not known")
    with pytest.raises(BatError, match="significance needs memorization_se"):
        group(tmp_path, few_digits, tmp_path / "groups", significance=2.0)
    with pytest.raises(BatError, match="false_discovery needs the counts"):
        group(tmp_path, few_digits, tmp_path / "groups", false_discovery=0.1)


def test_few_trials_tell_how_many_are_needed():
    """Shares kept, 30 trials ask for about as many as 300 do; the root law for twice as many."""
    rng = np.random.default_rng(0)
    n, precision = 1300, 0.035
    often = 1 - rng.beta(0.05, 1.5, n)  # of most samples nearly all models are right
    included = rng.random((300, n)) < 0.7
    correct = included | (rng.random((300, n)) < often)
    needed = {}
    for n_trials in (30, 300):
        part = included[:n_trials], correct[:n_trials]
        usable = part[0].any(axis=0) & ~part[0].all(axis=0)
        scores = memorization(*(mask[:, usable] for mask in part))
        table = vars(scores) | {"label": np.zeros(usable.sum(), int)}
        test = {"label": np.zeros(1, int), "accuracy": np.ones(1)}
        counts = chance.counts_of(table, test, {"influence": {}})
        error = scores.memorization_se
        rows = pd.DataFrame(
            {"n_trials": [n_trials], "repeats": 1, "se_mean": error.mean()}
            | {"se_p95": np.quantile(error, 0.95)}
        )
        for name, known in (("shares", counts), ("root", None)):
            found = convergence.convergence_study(rows, precision=precision, counts=known)
            needed[name, n_trials] = found["n_needed"].iloc[0]
    assert needed["shares", 30] == pytest.approx(needed["shares", 300], rel=0.3)
    assert needed["root", 30] > 1.7 * needed["shares", 300]


@pytest.mark.slow
def test_planted_near_duplicates_of_digits_are_found(prepare, tmp_path):
    """Real trainings: wrongly labelled digits, each with a near copy in the test set."""
    clean = prepare(subsample={"train": 300, "test": 100})
    rng = np.random.default_rng(0)
    train, test = (np.array(getattr(clean, f"{split}_images")) for split in ("train", "test"))
    labels, test_labels = np.array(clean.train_labels), np.array(clean.test_labels)
    wrong, copies = rng.permutation(300)[:6], rng.permutation(100)[:6]
    labels[wrong] = (labels[wrong] + 1 + rng.integers(9, size=6)) % 10
    noise = rng.integers(-4, 5, test[copies].shape)
    test[copies] = np.clip(train[wrong].astype(int) + noise, 0, 255).astype(np.uint8)
    test_labels[copies] = labels[wrong]
    arrays = {"train_images": train, "train_labels": labels}
    arrays |= {"test_images": test, "test_labels": test_labels}
    prepared = PreparedData(**vars(clean) | arrays)
    settings = config.Scores(
        architecture="small_cnn-8",
        training={
            "epochs": 14,
            "batch_size": 50,
            "lr": 0.2,
            "augmentation": {"crop": 0, "flip": False},
        },
    )
    recipe, n_trials = trial_recipe(settings.architecture, settings), 36
    shard = tmp_path / f"{settings.architecture}-000000-000035.parquet"
    cpu = Runtime(torch.device("cpu"))
    trials.run_shard(shard, prepared, recipe, 0, n_trials - 1, 0, device=cpu, command="a test")
    spec = SPEC | {"trials": n_trials, "recipe": recipe}
    scoring.write_scores([shard], prepared, spec, tmp_path / "scores", command="a test")
    members, _ = group(tmp_path, prepared, tmp_path / "groups", false_discovery=0.1)
    assert set(copies) <= set(members)
    assert len(members) < 20  # others are carried too: once verdicts are mixed, none is
    pairs, about = read_table(tmp_path / "scores" / "influence.parquet", "influence")
    found = pairs.to_pandas().query("q_margin <= 0.1")
    planted = set(zip(found.train_index, found.test_index, strict=True))
    assert set(zip(wrong, copies, strict=True)) <= planted
    assert about["chance"]["standing_margin"] == len(found) > about["chance"]["standing"]
    assert f"and {len(found)} by margins" in chance.pairs_by_chance(about)
    # the same trials with the verdicts of others: nothing is left to find
    columns, about = read_table(shard, "trials")
    others = pa.array(np.roll(np.arange(n_trials), 7))
    for name in ("test_correct", "test_margin"):
        mixed = columns.column(name).take(others)
        columns = columns.set_column(columns.schema.get_field_index(name), name, mixed)
    mixed = columns.column("test_correct")
    accuracy = [unpack(bits, 100).mean() for bits in mixed.to_pylist()]
    place = columns.schema.get_field_index("test_accuracy")
    columns = columns.set_column(place, "test_accuracy", pa.array(accuracy))
    write_table(
        shard, "trials", columns, fingerprint=about["fingerprint"], recipe=recipe, command=""
    )
    scoring.write_scores([shard], prepared, spec, tmp_path / "scores", command="a test")
    members, _ = group(tmp_path, prepared, tmp_path / "groups", false_discovery=0.1)
    assert members.size == 0


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([0.9, 0.7, 0.3], 142),  # half-way between 100 and 200 in their logarithms
        ([0.4, 0.3, 0.2], 50),
        ([0.4, 0.7, 0.3], 142),  # it must stay below a half
        ([0.9, 0.8, 0.6], None),
        ([float("nan"), 0.4, 0.3], 100),
    ],
)
def test_trials_until_half_of_the_pairs_are_real_are_those_measured(shares, expected):
    rows = pd.DataFrame(
        {
            "n_trials": [50, 100, 200],
            "repeats": 20,
            "se_mean": [0.1, 0.07, 0.05],
            "se_p95": [0.2, 0.14, 0.1],
            "influence_above": 100.0,
            "influence_by_chance": [100 * share for share in shares],
        }
    )
    found = convergence.convergence_study(rows, precision=0.05)["n_needed_influence"].iloc[0]
    assert np.isnan(found) if expected is None else found == expected

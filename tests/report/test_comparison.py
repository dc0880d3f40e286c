import io
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from bat.errors import BatError
from bat.figures import drawing as figures
from bat.files.bits import pack
from bat.report import comparison, tables
from bat.report.comparison import PAPER
from bat.scores.subsets import followed_samples, measured_samples

ATTACKS = {
    "fgsm": {"eps": 8 / 255},
    "pgd": {"eps": 8 / 255, "step": 2 / 255, "steps": 100, "restarts": 1},
    "cw": {"eps": 8 / 255, "step": 2 / 255, "steps": 100},
    "aa": {"eps": 8 / 255, "version": "standard"},
}
EVALUATION = {"dataset": "cifar100", "attacks": ATTACKS}

PRINTED_DIFFERENCES = {
    ("cifar100", "wrn-28-10"): [
        [-2.3, -3.7, -3.8, -2.3, -2.3],
        [-4.7, -4.1, -3.6, -1.9, -1.9],
        [-5.5, -2.5, -1.7, -1.2, -1.0],
        [-1.8, -3.8, -4.1, -1.5, -1.9],
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [-0.6, 0.3, -0.3, -0.2, 0.0],
    ],
    ("tiny_imagenet", "wrn-28-10"): [
        [-3.4, -5.9, -4.1, -3.7, -4.3],
        [-2.6, -4.2, -3.8, -1.9, -2.3],
        [-4.1, -0.6, -0.2, 0.2, -0.2],
        [-1.8, -2.5, -2.7, -1.8, -2.0],
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [0.1, 1.5, 1.6, 1.6, 0.7],
    ],
    ("cifar100", "resnet18"): [
        [-2.6, -1.3, 0.1, -1.2, -0.7],
        [-2.9, -0.8, -0.4, -1.3, -0.4],
        [-7.7, -1.2, 3.1, -0.8, 0.1],
        [-1.3, -1.2, 0.5, -0.7, -0.2],
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [-0.2, -0.2, 0.1, -0.1, 0.7],
    ],
    ("tiny_imagenet", "resnet32"): [
        [-3.1, -2.9, 0.3, -1.7, -2.2],
        [-4.0, -5.2, -3.2, -4.5, -5.0],
        [-3.2, -2.3, 2.5, 0.3, 0.0],
        [-1.0, -3.1, -1.6, -2.6, -3.0],
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [0.0, 0.9, 0.9, 0.3, 0.4],
    ],
}
"""Differences from BAT(1, 0.2) as the paper prints them, in points; rows as in its tables."""


def evaluation(aa=None, **right):
    """Ten test samples of which the first ``right[column]`` are right."""
    right = {"clean": 10, "fgsm": 8, "pgd": 6, "cw": 5} | right
    columns = {name: np.arange(10) < n for name, n in right.items()}
    return pd.DataFrame(
        {"index": np.arange(10) * 3, **columns, "aa": None if aa is None else np.arange(10) < aa}
    )


def judged(**by_run):
    """Accuracies under one attack, a value for each seed from 0."""
    rows = [
        (run.replace("_", "-"), seed, "pgd", value, 100)
        for run, values in by_run.items()
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=["run", "seed", "attack", "accuracy", "n"])


def spec(epochs=160, **selection):
    return {
        "architecture": "resnet18",
        "training": {"epochs": epochs},
        "selection": {"by": "validation", "validation": 0.02, "steps": 10} | selection,
    }


# --- The paper's numbers -----------------------------------------------------


def test_paper_has_every_table_once_and_every_cell():
    assert sorted(n for table in PAPER.values() for n in table.tables) == [1, 2, 3, 4, 5, 6]
    for table in PAPER.values():
        assert list(table.accuracies) == list(comparison.LABELS)[1:7]
        for row in table.accuracies.values():
            assert list(row) == ["clean", "fgsm", "pgd", "cw", "aa"]


def test_paper_agrees_with_the_differences_that_it_prints():
    wrong = []
    for key, rows in PRINTED_DIFFERENCES.items():
        accuracies = PAPER[key].accuracies
        for (run, row), printed in zip(accuracies.items(), rows, strict=True):
            for attack, difference in zip(row, printed, strict=True):
                found = round(row[attack] - accuracies["bat-1-0.2"][attack], 1)
                if found != difference:
                    wrong.append((*key, run, attack, difference, found))
    assert wrong == [  # the paper's own slips, as `PAPER` names them
        ("cifar100", "wrn-28-10", "gairat", "cw", -1.5, -1.7),
        ("tiny_imagenet", "wrn-28-10", "bat-2-0.2", "aa", 0.7, 1.3),
        ("cifar100", "resnet18", "gairat", "fgsm", -1.2, -0.8),
        ("cifar100", "resnet18", "gairat", "aa", -0.2, -0.5),
        ("cifar100", "resnet18", "bat-2-0.2", "aa", 0.7, -0.3),
    ]


# --- Accuracies --------------------------------------------------------------


def test_accuracies_are_shares_of_the_samples():
    table = comparison.accuracies(
        {("pgd-at", 0): evaluation(), ("trades", 1): evaluation(aa=4, clean=9)}
    )
    found = list(table.itertuples(index=False, name=None))
    assert found == [
        ("pgd-at", 0, "clean", 1.0, 10),
        ("pgd-at", 0, "fgsm", 0.8, 10),
        ("pgd-at", 0, "pgd", 0.6, 10),
        ("pgd-at", 0, "cw", 0.5, 10),
        ("trades", 1, "clean", 0.9, 10),
        ("trades", 1, "fgsm", 0.8, 10),
        ("trades", 1, "pgd", 0.6, 10),
        ("trades", 1, "cw", 0.5, 10),
        ("trades", 1, "aa", 0.4, 10),
    ]


def test_accuracies_read_what_evaluation_files_hold():
    import pyarrow as pa

    flags = pa.array([True, False, True, True])
    columns = {"index": pa.array([0, 1, 2, 3], pa.int32()), "aa": pa.nulls(4, pa.bool_())}
    table = pa.table(columns | dict.fromkeys(("clean", "fgsm", "pgd", "cw"), flags))
    found = comparison.accuracies({("mart", 0): table.to_pandas()})
    assert found["attack"].tolist() == ["clean", "fgsm", "pgd", "cw"]
    assert (found["accuracy"] == 0.75).all()


def test_accuracies_refuse_other_samples_and_gaps():
    other = evaluation().assign(index=np.arange(10))
    with pytest.raises(BatError, match=r"trades, seed 1, judged 10 .* of pgd-at, seed 0"):
        comparison.accuracies({("pgd-at", 0): evaluation(), ("trades", 1): other})
    with pytest.raises(BatError, match="judged 9 test samples"):
        comparison.accuracies({("pgd-at", 0): evaluation(), ("pgd-at", 1): evaluation()[1:]})
    gap = evaluation().astype({"cw": object})
    gap.loc[[2, 5], "cw"] = None
    with pytest.raises(BatError, match="under cw for 2 of 10"):
        comparison.accuracies({("pgd-at", 0): gap})
    with pytest.raises(BatError, match="evaluate at least one"):
        comparison.accuracies({})


# --- Methods -----------------------------------------------------------------


def test_methods_are_compared_by_seed():
    frame = judged(**{"mine": [0.5], "bat_1_0.2": [0.30, 0.34, 0.38], "pgd_at": [0.20, 0.28, 0.24]})
    table = comparison.methods_table(frame).set_index("run")
    assert list(table.index) == ["pgd-at", "bat-1-0.2", "mine"]  # the paper's order, then others
    row = table.loc["pgd-at"]
    # differences -0.10, -0.06, -0.14: mean -0.10, sd 0.04; unpaired, sd would be 0.057
    assert row["n"] == 100
    assert row["n_seeds"] == row["n_pairs"] == 3
    assert row[["mean", "sd"]].tolist() == pytest.approx([0.24, 0.04])
    assert row[["difference", "difference_sd"]].tolist() == pytest.approx([-0.10, 0.04])
    half = 4.30265273 * 0.04 / 3**0.5  # Student's quantile for two degrees of freedom
    assert row[["low", "high"]].tolist() == pytest.approx([-0.10 - half, -0.10 + half])
    assert table.loc["bat-1-0.2", ["difference", "difference_sd"]].tolist() == [0, 0]
    # one seed: paired with that seed of the baseline, 0.30, not with its mean; no spread
    row = table.loc["mine"]
    assert row["n_pairs"] == 1
    assert row["difference"] == pytest.approx(0.2)
    assert math.isnan(row["sd"]) and math.isnan(row["difference_sd"])
    assert table[["paper", "paper_difference"]].isna().all(axis=None)


def test_methods_pair_only_common_seeds():
    frame = judged(**{"bat_1_0.2": [0.3, 0.4], "mart": [0.1, 0.1]})
    frame["seed"] = [0, 1, 1, 2]
    row = comparison.methods_table(frame).set_index("run").loc["mart"]
    assert (row["n_seeds"], row["n_pairs"]) == (2, 1)
    assert row["difference"] == pytest.approx(-0.3)
    frame["seed"] = [0, 1, 2, 3]
    row = comparison.methods_table(frame).set_index("run").loc["mart"]
    assert row["n_pairs"] == 0
    assert math.isnan(row["difference"])


def test_methods_without_the_baseline():
    table = comparison.methods_table(judged(mart=[0.2, 0.4]), paper=PAPER["cifar100", "resnet18"])
    assert table["difference"].isna().all()
    assert table["n_pairs"].tolist() == [0]
    # the paper's own difference does not need our baseline: 30.4 - 27.3
    assert table[["paper", "paper_difference"]].to_numpy() == pytest.approx(
        np.array([[0.304, 0.031]])
    )
    other = comparison.methods_table(judged(mart=[0.2], trades=[0.1]), baseline="trades")
    assert other["difference"].tolist() == pytest.approx([0, 0.1])


def test_methods_stand_beside_the_paper():
    evaluations = {("pgd-at", 0): evaluation(aa=3), ("bat-1-0.2", 0): evaluation(aa=4)}
    evaluations["own", 0] = evaluation()
    paper = PAPER["cifar100", "wrn-28-10"]
    table = comparison.methods_table(comparison.accuracies(evaluations), paper=paper)
    assert table.shape == (14, 13)
    cells = table.set_index(["run", "attack"])
    assert cells.loc[("pgd-at", "aa"), "paper"] == pytest.approx(0.225)
    assert cells.loc[("pgd-at", "aa"), "paper_difference"] == pytest.approx(-0.023)
    assert cells.loc["own", "paper"].isna().all()
    seeds_twice = pd.concat([comparison.accuracies(evaluations)] * 2)
    with pytest.raises(BatError, match="more than once"):
        comparison.methods_table(seeds_twice)


def test_presentation_of_a_whole_table():
    evaluations = {
        ("own|run", 0): evaluation(),
        ("bat-1-0.2", 0): evaluation(aa=4, clean=9),
        ("bat-1-0.2", 1): evaluation(aa=4, clean=10),
        ("pgd-at", 0): evaluation(aa=3, clean=8),
        ("pgd-at", 1): evaluation(aa=1, clean=10),
    }
    table = comparison.methods_table(
        comparison.accuracies(evaluations), paper=PAPER["cifar100", "wrn-28-10"]
    )
    wide = comparison.presentation(table, ATTACKS)
    assert list(wide.columns) == [
        *("Method", "Clean", "Clean, paper", "FGSM", "FGSM, paper", "PGD-100", "PGD-100, paper"),
        *("CW", "CW, paper", "AA", "AA, paper"),
    ]
    assert wide["Method"].tolist() == ["PGD-AT", "BAT(1, 0.2)", "own|run"]
    assert wide["Clean"].tolist() == ["90.0 ± 14.1 (−5.0)", "95.0 ± 7.1 (+0.0)", "100.0 (+10.0)"]
    assert wide["Clean, paper"].fillna("").tolist() == ["59.7 (−2.3)", "62.0 (+0.0)", ""]
    assert wide["AA"].fillna("").tolist() == ["20.0 ± 14.1 (−20.0)", "40.0 ± 0.0 (+0.0)", ""]

    markdown = tables.markdown_text(wide, "C.").splitlines()
    assert markdown[-1].startswith("| own\\|run | 100.0 (+10.0) | – |")
    assert markdown[-1].endswith("| – | – |")
    latex = tables.latex_text(wide, "C.")
    assert r"90.0 $\pm$ 14.1 ($-$5.0) & 59.7 ($-$2.3)" in latex
    assert latex.isascii()
    again = pd.read_csv(io.StringIO(tables.csv_text(wide)))
    assert again["AA"].isna().tolist() == [False, False, True]


def test_presentation_without_paper_and_baseline():
    wide = comparison.presentation(
        comparison.methods_table(judged(trades=[0.25])), {"pgd": {"steps": 20}}
    )
    assert wide.to_dict("list") == {"Method": ["TRADES"], "PGD-20": ["25.0"]}


def test_labels_name_the_quick_autoattack():
    attacks = ATTACKS | {"aa": {"eps": 0.1, "version": "aa-fast"}}
    assert comparison.attack_labels(attacks)["aa"] == "AA-fast"
    assert comparison.attack_labels(ATTACKS)["aa"] == "AA"


# --- Captions ----------------------------------------------------------------


def test_caption_says_what_was_measured():
    frame = judged(**{"bat_1_0.2": [0.3, 0.4, 0.5], "pgd_at": [0.1, 0.2, 0.3]})
    table = comparison.methods_table(frame)
    caption = comparison.caption_methods(
        table,
        EVALUATION,
        dict.fromkeys(("bat-1-0.2", "pgd-at"), spec()),
        paper=PAPER["cifar100", "resnet18"],
    )
    assert caption == (
        "Accuracy (%) on 100 test samples of cifar100, resnet18, clean and under l_inf attacks "
        "with eps 8/255: PGD-100 with steps of 2/255. Mean ± standard deviation over 3 seeds. "
        "In parentheses: mean difference from BAT(1, 0.2), paired by seed. Trained for 160 epochs. "
        "Models of the epoch with the best accuracy under PGD-10 on 2\u00a0% of the training "
        "samples, held out. Paper: its table 3, with PGD-100; differences taken from its "
        "accuracies."
    )
    assert r"l\_inf" in tables.latex_text(comparison.presentation(table, ATTACKS), caption)
    assert tables.latex_text(comparison.presentation(table, ATTACKS), caption).isascii()


def test_caption_names_protocols_and_what_is_missing():
    evaluations = {("mart", 0): evaluation(aa=3), ("mart", 1): evaluation(aa=3)}
    evaluations |= {("trades", 0): evaluation(aa=2), ("theirs", 0): evaluation(aa=2)}
    table = comparison.methods_table(comparison.accuracies(evaluations))
    restarts = {"pgd": ATTACKS["pgd"] | {"restarts": 5, "eps": 0.1}}
    caption = comparison.caption_methods(
        table,
        {"dataset": "digits", "attacks": ATTACKS | restarts},
        {"mart": spec(90, by="test"), "trades": spec(76, by="test")},
    )
    for part in (
        "on 10 test samples of digits, resnet18",
        "eps 8/255 and 0.1",
        "FGSM; PGD-100 with steps of 2/255 and 5 restarts; CW, 100 steps of 2/255; "
        "AA, AutoAttack standard",
        "over 1 to 2 seeds",
        "no differences, since the run bat-1-0.2 is not in the table",
        "Trained for: TRADES 76 epochs; MART 90 epochs.",
        "on the test set, as in the paper",
        "Trained elsewhere: theirs.",
    ):
        assert part in caption
    assert "Paper:" not in caption

    one = comparison.methods_table(judged(**{"bat_1_0.2": [0.3]}))
    caption = comparison.caption_methods(one, EVALUATION, {"bat-1-0.2": spec(by="last")})
    assert "One seed, so no spread is known." in caption
    assert "Models of the last epoch." in caption
    uneven = comparison.methods_table(judged(**{"bat_1_0.2": [0.3], "mart": [0.1, 0.2]}))
    caption = comparison.caption_methods(uneven, EVALUATION, {"mart": spec()})
    assert "paired by seed, over the seeds that both have." in caption


# --- Ablation ----------------------------------------------------------------


def test_ablation_takes_pgd_at_as_its_origin():
    frame = judged(
        **{"pgd_at": [0.2, 0.4], "bat_1_0": [0.5], "bat_1_0.2": [0.6, 0.8], "mart": [0.9]}
    )
    clean = frame.assign(attack="clean", accuracy=1.0)
    table = comparison.ablation(pd.concat([clean, frame]), [0, 1], [0, 0.2], "pgd")
    found = table[["attack", "alpha", "beta", "mean", "n_seeds"]]
    assert list(found.itertuples(index=False, name=None)) == [
        ("pgd", 0.0, 0.0, pytest.approx(0.3), 2),
        ("pgd", 1.0, 0.0, pytest.approx(0.5), 1),
        ("pgd", 1.0, 0.2, pytest.approx(0.7), 2),
    ]  # bat-0-0.2 is missing
    assert table["sd"].tolist() == pytest.approx(
        [math.sqrt(0.02), math.nan, math.sqrt(0.02)], nan_ok=True
    )
    with pytest.raises(BatError, match=r"under cw; expected some of pgd-at, bat-0-0.2"):
        comparison.ablation(frame, [0, 1], [0, 0.2], "cw")

    both = pd.concat([table.assign(attack="clean"), table])
    figure = figures.draw_ablation(both, comparison.attack_labels(ATTACKS))
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["Clean accuracy (%)", "PGD-100 accuracy (%)"]
    written = {text.get_text() for text in figure.axes[1].texts}
    assert written == {"30.0\n± 14.1", "50.0", "70.0\n± 14.1"}

    caption = comparison.caption_ablation(
        table, EVALUATION, {"pgd-at": spec()} | dict.fromkeys(("bat-1-0", "bat-1-0.2"), spec()), 100
    )
    assert "(0, 0) is PGD-AT" in caption
    assert "on 100 test samples" in caption
    assert "Trained elsewhere" not in caption


# --- Along training ----------------------------------------------------------

INFO = {"n_train": 41, "n_test": 23}


def groups_of(rng):
    frames = {}
    for split in ("train", "test"):
        kind = rng.integers(3, size=INFO[f"n_{split}"])
        frames[split] = pd.DataFrame(
            {"index": np.arange(len(kind)), "typical": kind == 0, "atypical": kind == 1}
        )
    return frames


def test_an_unset_budget_is_2000_and_was_everything():
    """The length of the verdicts tells a history of version 0.1.0 from one of today."""
    info = {"n_train": 5001, "n_test": 1999}
    bits = {split: bytes(-(-n // 8)) for split, n in (("train", 5001), ("test", 1999))}
    old = followed_samples(info, None, bits)
    assert [len(index) for index in old.values()] == [5001, 1999]
    new = followed_samples(info, None, bits | {"train": bytes(250)})
    assert [len(index) for index in new.values()] == [2000, 1999]
    for limit, n in ((None, 2000), (2000, 2000), ("all", 5001), (30, 30)):
        size = {"train": bytes(-(-n // 8)), "test": bytes(250)}
        assert len(followed_samples(info, limit, size)["train"]) == n


@pytest.mark.parametrize("max_samples", [None, 30])
def test_along_training_equals_a_count_by_hand(max_samples):
    rng = np.random.default_rng(0)
    groups, measured = groups_of(rng), measured_samples(INFO, max_samples)
    histories, expected = {}, {}
    for run, seed in (("pgd-at", 0), ("pgd-at", 1), ("trades", 0)):
        rows = []
        for epoch in (1, 2, 3, 4):
            row = {"epoch": epoch, "loss": 1.0}
            for split in ("train", "test"):
                for attack in ("clean", "pgd"):
                    if epoch % 2:
                        row[f"{split}_{attack}"] = None
                        continue
                    correct = rng.random(len(measured[split])) < 0.6
                    row[f"{split}_{attack}"] = pack(correct)
                    for group in ("all", "typical", "atypical"):
                        right = n = 0
                        for place, sample in enumerate(measured[split]):
                            if group == "all" or groups[split].loc[sample, group]:
                                n += 1
                                right += bool(correct[place])
                        expected[run, seed, epoch, split, group, attack] = (right / n, n)
            rows.append(row)
        histories[run, seed] = pd.DataFrame(rows)
    table = comparison.along_training(histories, groups, INFO, max_samples)
    found = {row[:6]: row[6:] for row in table.itertuples(index=False, name=None)}
    assert len(found) == len(table) == len(expected) == 3 * 2 * 2 * 3 * 2
    for key, (accuracy, n) in expected.items():
        assert found[key] == (pytest.approx(accuracy), n)


def test_measured_samples_are_a_sorted_draw():
    chosen = measured_samples(INFO, 10)
    for split, n in (("train", 41), ("test", 23)):
        assert len(set(chosen[split])) == 10
        assert (np.diff(chosen[split]) > 0).all()
        assert chosen[split].max() < n
    everything = measured_samples(INFO, 30)
    assert everything["test"].tolist() == list(range(23))
    assert set(chosen["train"]) < set(everything["train"])
    assert measured_samples(INFO, None)["train"].tolist() == list(range(41))


def test_along_training_of_an_empty_group_is_no_number():
    groups = groups_of(np.random.default_rng(0))
    groups["test"]["atypical"] = False
    bits = {f"train_{a}": [pack(np.ones(41, bool))] for a in ("clean", "pgd")}
    bits |= {f"test_{a}": [pack(np.ones(23, bool))] for a in ("clean", "pgd")}
    history = pd.DataFrame({"epoch": [5], **bits})
    table = comparison.along_training({("mart", 3): history}, groups, INFO, None)
    empty = table[table["n"] == 0]
    assert list(zip(empty["split"], empty["group"], strict=True)) == [("test", "atypical")] * 2
    assert empty["accuracy"].isna().all()
    assert (table.drop(empty.index)["accuracy"] == 1).all()
    assert set(table["epoch"]) == {5}


def test_along_training_refuses_what_is_of_another_size():
    groups = groups_of(np.random.default_rng(0))
    history = pd.DataFrame({"epoch": [1], "train_clean": [pack(np.ones(50, bool))]})
    with pytest.raises(BatError, match="7 bytes; expected 6"):
        comparison.along_training({("mart", 0): history}, groups, INFO, None)
    with pytest.raises(BatError, match="40 rows and the data set has 41 train samples"):
        other = groups | {"train": groups["train"][1:]}
        comparison.along_training({("mart", 0): history}, other, INFO, None)
    with pytest.raises(BatError, match="train at least one run"):
        comparison.along_training({}, groups, INFO, None)


def test_comparing_needs_no_heavy_imports():
    code = (
        "import sys, bat.report.comparison\n"
        "heavy = {'torch', 'scipy', 'sklearn', 'snakemake', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

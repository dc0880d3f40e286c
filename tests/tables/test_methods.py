"""Tables 1 to 6, from made-up evaluations."""

import io
import math

import numpy as np
import pandas as pd
import pytest
from evaluated import ATTACKS, EVALUATION, evaluation, judged, spec

from bat.errors import BatError
from bat.report import judged as judging
from bat.report import paper
from bat.report.writing import csv_text, latex_text, markdown_text
from bat.tables import methods


def test_methods_are_compared_by_seed():
    frame = judged(**{"mine": [0.5], "bat_1_0.2": [0.30, 0.34, 0.38], "pgd_at": [0.20, 0.28, 0.24]})
    table = methods.methods_table(frame).set_index("run")
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
    row = methods.methods_table(frame).set_index("run").loc["mart"]
    assert (row["n_seeds"], row["n_pairs"]) == (2, 1)
    assert row["difference"] == pytest.approx(-0.3)
    frame["seed"] = [0, 1, 2, 3]
    row = methods.methods_table(frame).set_index("run").loc["mart"]
    assert row["n_pairs"] == 0
    assert math.isnan(row["difference"])


def test_methods_without_the_baseline():
    table = methods.methods_table(
        judged(mart=[0.2, 0.4]), paper=paper.TABLES["cifar100", "resnet18"]
    )
    assert table["difference"].isna().all()
    assert table["n_pairs"].tolist() == [0]
    # the paper's own difference does not need our baseline: 30.4 - 27.3
    assert table[["paper", "paper_difference"]].to_numpy() == pytest.approx(
        np.array([[0.304, 0.031]])
    )
    other = methods.methods_table(judged(mart=[0.2], trades=[0.1]), baseline="trades")
    assert other["difference"].tolist() == pytest.approx([0, 0.1])


def test_methods_stand_beside_the_paper():
    evaluations = {("pgd-at", 0): evaluation(aa=3), ("bat-1-0.2", 0): evaluation(aa=4)}
    evaluations["own", 0] = evaluation()
    printed = paper.TABLES["cifar100", "wrn-28-10"]
    table = methods.methods_table(judging.accuracies(evaluations), paper=printed)
    assert table.shape == (14, 13)
    cells = table.set_index(["run", "attack"])
    assert cells.loc[("pgd-at", "aa"), "paper"] == pytest.approx(0.225)
    assert cells.loc[("pgd-at", "aa"), "paper_difference"] == pytest.approx(-0.023)
    assert cells.loc["own", "paper"].isna().all()
    seeds_twice = pd.concat([judging.accuracies(evaluations)] * 2)
    with pytest.raises(BatError, match="more than once"):
        methods.methods_table(seeds_twice)


def test_presentation_of_a_whole_table():
    evaluations = {
        ("own|run", 0): evaluation(),
        ("bat-1-0.2", 0): evaluation(aa=4, clean=9),
        ("bat-1-0.2", 1): evaluation(aa=4, clean=10),
        ("pgd-at", 0): evaluation(aa=3, clean=8),
        ("pgd-at", 1): evaluation(aa=1, clean=10),
    }
    table = methods.methods_table(
        judging.accuracies(evaluations), paper=paper.TABLES["cifar100", "wrn-28-10"]
    )
    wide = methods.presentation(table, ATTACKS)
    assert list(wide.columns) == [
        *("Method", "Clean", "Clean, paper", "FGSM", "FGSM, paper", "PGD-100", "PGD-100, paper"),
        *("CW", "CW, paper", "AA", "AA, paper"),
    ]
    assert wide["Method"].tolist() == ["PGD-AT", "BAT(1, 0.2)", "own|run"]
    assert wide["Clean"].tolist() == ["90.0 ± 14.1 (−5.0)", "95.0 ± 7.1 (+0.0)", "100.0 (+10.0)"]
    assert wide["Clean, paper"].fillna("").tolist() == ["59.7 (−2.3)", "62.0 (+0.0)", ""]
    assert wide["AA"].fillna("").tolist() == ["20.0 ± 14.1 (−20.0)", "40.0 ± 0.0 (+0.0)", ""]

    markdown = markdown_text(wide, "C.").splitlines()
    assert markdown[-1].startswith("| own\\|run | 100.0 (+10.0) | – |")
    assert markdown[-1].endswith("| – | – |")
    latex = latex_text(wide, "C.")
    assert r"90.0 $\pm$ 14.1 ($-$5.0) & 59.7 ($-$2.3)" in latex
    assert latex.isascii()
    again = pd.read_csv(io.StringIO(csv_text(wide)))
    assert again["AA"].isna().tolist() == [False, False, True]


def test_presentation_without_paper_and_baseline():
    wide = methods.presentation(
        methods.methods_table(judged(trades=[0.25])), {"pgd": {"steps": 20}}
    )
    assert wide.to_dict("list") == {"Method": ["TRADES"], "PGD-20": ["25.0"]}


def test_caption_says_what_was_measured():
    frame = judged(**{"bat_1_0.2": [0.3, 0.4, 0.5], "pgd_at": [0.1, 0.2, 0.3]})
    table = methods.methods_table(frame)
    caption = methods.caption(
        table,
        EVALUATION,
        dict.fromkeys(("bat-1-0.2", "pgd-at"), spec()),
        paper=paper.TABLES["cifar100", "resnet18"],
    )
    assert caption == (
        "Accuracy (%) on 100 test samples of cifar100, resnet18, clean and under l_inf attacks "
        "with eps 8/255: PGD-100 with steps of 2/255. Mean ± standard deviation over 3 seeds. "
        "In parentheses: mean difference from BAT(1, 0.2), paired by seed. Trained for 160 epochs. "
        "Models of the epoch with the best accuracy under PGD-10 on 2\u00a0% of the training "
        "samples, held out. Paper: its table 3, with PGD-100; differences taken from its "
        "accuracies."
    )
    assert r"l\_inf" in latex_text(methods.presentation(table, ATTACKS), caption)
    assert latex_text(methods.presentation(table, ATTACKS), caption).isascii()


def test_caption_names_protocols_and_what_is_missing():
    evaluations = {("mart", 0): evaluation(aa=3), ("mart", 1): evaluation(aa=3)}
    evaluations |= {("trades", 0): evaluation(aa=2), ("theirs", 0): evaluation(aa=2)}
    table = methods.methods_table(judging.accuracies(evaluations))
    restarts = {"pgd": ATTACKS["pgd"] | {"restarts": 5, "eps": 0.1}}
    caption = methods.caption(
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

    one = methods.methods_table(judged(**{"bat_1_0.2": [0.3]}))
    caption = methods.caption(one, EVALUATION, {"bat-1-0.2": spec(by="last")})
    assert "One seed, so no spread is known." in caption
    assert "Models of the last epoch." in caption
    ema = spec(by="last") | {"averaging": {"kind": "ema", "decay": 0.999, "begin_epoch": 1}}
    swa = spec(by="last") | {"averaging": {"kind": "swa", "begin_epoch": 56}}
    for of_run, words in (
        (ema, "Moving average of the weights (EMA, decay 0.999) from epoch 1 on"),
        (swa, "Weights averaged over the epochs (SWA) from epoch 56 on"),
    ):
        caption = methods.caption(one, EVALUATION, {"bat-1-0.2": of_run})
        assert f"epochs. {words}: BAT(1, 0.2). Models of the last epoch." in caption
    uneven = methods.methods_table(judged(**{"bat_1_0.2": [0.3], "mart": [0.1, 0.2]}))
    caption = methods.caption(uneven, EVALUATION, {"mart": spec()})
    assert "paired by seed, over the seeds that both have." in caption

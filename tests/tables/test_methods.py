"""Tables 1 to 6, from made-up evaluations."""

import io
import math

import numpy as np
import pandas as pd
import pytest
from evaluated import ATTACKS, EVALUATION, evaluation, judgements, spec

from bat.errors import BatError
from bat.intervals import crossed_mean
from bat.report import methods_shown, paper
from bat.report.writing import csv_text, latex_text, markdown_text
from bat.tables import methods


def test_methods_are_compared_by_seed_and_sample():
    frames = judgements(
        **{"mine": [0.5], "bat_1_0.2": [0.30, 0.34, 0.38], "pgd_at": [0.20, 0.28, 0.24]}
    )
    table = methods.methods_table(frames).set_index("run")
    assert list(table.index) == ["pgd-at", "bat-1-0.2", "mine"]  # the paper's order, then others
    row = table.loc["pgd-at"]
    # differences -0.10, -0.06, -0.14: mean -0.10, sd 0.04; unpaired, sd would be 0.057
    assert row["n"] == 100
    assert row["n_seeds"] == row["n_pairs"] == 3
    assert row[["mean", "sd"]].tolist() == pytest.approx([0.24, 0.04])
    assert row[["difference", "difference_sd"]].tolist() == pytest.approx([-0.10, 0.04])
    of = [[frames[run, s]["pgd"] for s in range(3)] for run in ("pgd-at", "bat-1-0.2")]
    expected = crossed_mean(np.array(of[0], float) - np.array(of[1], float))
    found = row[["difference_se", "low", "high", "p"]].tolist()
    assert found == pytest.approx(
        [expected.standard_error, expected.low, expected.high, expected.p]
    )
    assert row["p_holm"] == row["p"]  # the only difference with a p
    own = table.loc["bat-1-0.2"]
    assert own[["difference", "difference_sd"]].tolist() == [0, 0]
    assert math.isnan(own["p"]) and math.isnan(own["p_holm"])
    # one seed: paired with that seed of the baseline, 0.30, not with its mean; no spread
    row = table.loc["mine"]
    assert row["n_pairs"] == 1
    assert row["difference"] == pytest.approx(0.2)
    assert row[["sd", "difference_sd", "low", "mean_low", "p"]].isna().all()
    assert table[["paper", "paper_difference"]].isna().all(axis=None)


def test_methods_pair_only_common_seeds():
    frames = judgements(**{"bat_1_0.2": [0.3, 0.4], "mart": [0.1, 0.1]})
    frames["mart", 2] = frames.pop(("mart", 0))
    row = methods.methods_table(frames).set_index("run").loc["mart"]
    assert (row["n_seeds"], row["n_pairs"]) == (2, 1)
    assert row["difference"] == pytest.approx(-0.3)
    frames["mart", 3] = frames.pop(("mart", 1))
    row = methods.methods_table(frames).set_index("run").loc["mart"]
    assert row["n_pairs"] == 0
    assert math.isnan(row["difference"])


def test_methods_without_the_baseline():
    table = methods.methods_table(
        judgements(mart=[0.2, 0.4]), paper=paper.TABLES["cifar100", "resnet18"]
    )
    assert table["difference"].isna().all()
    assert table["n_pairs"].tolist() == [0]
    # the paper's own difference does not need our baseline: 30.4 - 27.3
    assert table[["paper", "paper_difference"]].to_numpy() == pytest.approx(
        np.array([[0.304, 0.031]])
    )
    other = methods.methods_table(judgements(mart=[0.2], trades=[0.1]), baseline="trades")
    assert other["difference"].tolist() == pytest.approx([0, 0.1])


def test_methods_stand_beside_the_paper():
    evaluations = {("pgd-at", 0): evaluation(aa=3), ("bat-1-0.2", 0): evaluation(aa=4)}
    evaluations["own", 0] = evaluation()
    printed = paper.TABLES["cifar100", "wrn-28-10"]
    table = methods.methods_table(evaluations, paper=printed)
    assert len(table) == 14
    cells = table.set_index(["run", "attack"])
    assert cells.loc[("pgd-at", "aa"), "paper"] == pytest.approx(0.225)
    assert cells.loc[("pgd-at", "aa"), "paper_difference"] == pytest.approx(-0.023)
    assert cells.loc["own", "paper"].isna().all()
    with pytest.raises(BatError, match="no evaluation"):
        methods.methods_table({})


def test_presentation_of_a_whole_table():
    evaluations = {
        ("own|run", 0): evaluation(),
        ("bat-1-0.2", 0): evaluation(aa=4, clean=9),
        ("bat-1-0.2", 1): evaluation(aa=4, clean=10),
        ("pgd-at", 0): evaluation(aa=3, clean=8),
        ("pgd-at", 1): evaluation(aa=1, clean=10),
    }
    table = methods.methods_table(evaluations, paper=paper.TABLES["cifar100", "wrn-28-10"])
    wide, marked = methods_shown.presentation(table, ATTACKS)
    assert not marked.to_numpy().any()
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
    wide, _ = methods_shown.presentation(
        methods.methods_table(judgements(trades=[0.25])), {"pgd": {"steps": 20}}
    )
    assert wide.to_dict("list") == {"Method": ["TRADES"], "PGD-20": ["25.0"]}


def test_caption_says_what_was_measured():
    frames = judgements(**{"bat_1_0.2": [0.3, 0.4, 0.5], "pgd_at": [0.1, 0.2, 0.3]})
    table = methods.methods_table(frames)
    caption = methods_shown.caption(
        table,
        EVALUATION,
        dict.fromkeys(("bat-1-0.2", "pgd-at"), spec()),
        paper=paper.TABLES["cifar100", "resnet18"],
    )
    assert caption == (
        "Accuracy (%) on 100 test samples of cifar100, resnet18, clean and under l_inf attacks "
        "with eps 8/255: PGD-100 with steps of 2/255. Mean ± standard deviation over 3 seeds. "
        "In parentheses: mean difference from BAT(1, 0.2), paired by seed. Bold: ahead of "
        "every other run, each difference established (p below 0.05, counting seeds and test "
        "samples). Trained for 160 epochs. "
        "Models of the epoch with the best accuracy under PGD-10 on 2\u00a0% of the training "
        "samples, held out. Paper: its table 3, with PGD-100; differences taken from its "
        "accuracies."
    )
    cells, _ = methods_shown.presentation(table, ATTACKS)
    assert r"l\_inf" in latex_text(cells, caption)
    assert latex_text(cells, caption).isascii()


def test_caption_names_protocols_and_what_is_missing():
    evaluations = {("mart", 0): evaluation(aa=3), ("mart", 1): evaluation(aa=3)}
    evaluations |= {("trades", 0): evaluation(aa=2), ("theirs", 0): evaluation(aa=2)}
    table = methods.methods_table(evaluations)
    restarts = {"pgd": ATTACKS["pgd"] | {"restarts": 5, "eps": 0.1}}
    caption = methods_shown.caption(
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

    one = methods.methods_table(judgements(**{"bat_1_0.2": [0.3]}))
    caption = methods_shown.caption(one, EVALUATION, {"bat-1-0.2": spec(by="last")})
    assert "One seed, so no spread is known." in caption
    assert "Models of the last epoch." in caption
    ema = spec(by="last") | {"averaging": {"kind": "ema", "decay": 0.999, "begin_epoch": 1}}
    swa = spec(by="last") | {"averaging": {"kind": "swa", "begin_epoch": 56}}
    for of_run, words in (
        (ema, "Moving average of the weights (EMA, decay 0.999) from epoch 1 on"),
        (swa, "Weights averaged over the epochs (SWA) from epoch 56 on"),
    ):
        caption = methods_shown.caption(one, EVALUATION, {"bat-1-0.2": of_run})
        assert f"epochs. {words}: BAT(1, 0.2). Models of the last epoch." in caption
    uneven = methods.methods_table(judgements(**{"bat_1_0.2": [0.3], "mart": [0.1, 0.2]}))
    caption = methods_shown.caption(uneven, EVALUATION, {"mart": spec()})
    assert "paired by seed, over the seeds that both have." in caption


def random_evaluations(**shares):
    """Three seeds of 400 samples, right with these chances under PGD."""
    random = np.random.default_rng(0)
    nothing = dict.fromkeys(("clean", "fgsm", "cw", "aa"))
    return {
        (run.replace("_", "-"), seed): pd.DataFrame(
            {"index": np.arange(400), **nothing, "pgd": random.random(400) < share}
        )
        for run, share in shares.items()
        for seed in range(3)
    }


def test_the_best_is_bold_where_it_is_established(tmp_path):
    shares = {"bat_1_0.2": 0.5, "mart": 0.8, "trades": 0.45}
    table = methods.methods_table(random_evaluations(**shares))
    cells, marked = methods_shown.presentation(table, ATTACKS)
    text = markdown_text(cells, "C.", marked=marked)
    assert text.count("**") == 2 and "| MART | **8" in text
    assert latex_text(cells, "C.", marked=marked).count(r"\textbf{") == 1
    tied = methods.methods_table(random_evaluations(**shares | {"gairat": 0.8}))
    assert not methods_shown.presentation(tied, ATTACKS)[1].to_numpy().any()
    caption = methods_shown.caption(tied, EVALUATION, {})
    assert "test samples); here none is." in caption
    theirs = random_evaluations(theirs=0.1)["theirs", 0]
    beside = methods.methods_table(random_evaluations(**shares) | {("theirs", 0): theirs})
    assert not beside["best"].any()
    caption = methods_shown.caption(beside, EVALUATION, {})
    assert "; here none is, since of one seed no difference can be: theirs. " in caption


def test_differences_have_intervals_and_corrected_p():
    table = methods.methods_table(random_evaluations(**{"bat_1_0.2": 0.5, "mart": 0.8, "own": 0.5}))
    part = methods_shown.differences(table, ATTACKS, "bat-1-0.2")
    assert list(part.cells.columns) == ["Method", "PGD-100", "PGD-100, Holm p"]
    assert part.cells["Method"].tolist() == ["MART", "own"]
    assert part.cells["PGD-100, Holm p"].iloc[0] == "< 0.001"
    assert "[" in part.cells["PGD-100"].iloc[0]
    assert "corrected for the 2 differences" in part.caption
    assert "other seeds and other test samples" in part.caption
    one = methods.methods_table(judgements(**{"bat_1_0.2": [0.3], "mart": [0.2]}))
    part = methods_shown.differences(one, ATTACKS, "bat-1-0.2")
    assert part.caption.endswith("no interval is known.")
    assert part.cells.iloc[0].tolist() == ["MART", "−10.0", None]


def test_groups_of_test_samples_have_their_own_columns():
    frames = random_evaluations(**{"bat_1_0.2": 0.5, "mart": 0.8})
    for (run, _), frame in frames.items():  # atypical ones: never right, and by MART always
        frame["index"] = np.arange(400) + 100
        frame.loc[300:, "pgd"] = run == "mart"
    # of the data set's 500 samples the last 400 were judged
    groups = pd.DataFrame({"typical": np.arange(500) < 400, "atypical": np.arange(500) >= 400})
    table = methods.methods_table(frames, groups=groups, costs={"mart": 1.1}).set_index("run")
    row, other = table.loc["mart"], table.loc["bat-1-0.2"]
    assert row[["typical_n", "atypical_n"]].tolist() == [300, 100]
    assert row[["atypical_mean", "atypical_difference"]].tolist() == [1, 1]
    typical = np.mean([frames["mart", seed]["pgd"][:300].mean() for seed in range(3)])
    assert row["typical_mean"] == pytest.approx(typical)
    assert row["typical_low"] < row["typical_difference"] < row["typical_high"]
    assert row["cost"] == 1.1 and math.isnan(other["cost"])

    part = methods_shown.by_group(table.reset_index(), ATTACKS, "Beware.")
    assert list(part.cells) == ["Method", "PGD-100, typical", "PGD-100, atypical"]
    assert part.cells["PGD-100, atypical"].tolist() == ["100.0 ± 0.0 (+100.0)", "0.0 ± 0.0 (+0.0)"]
    assert "300 typical and the 100 atypical" in part.caption and part.caption.endswith("Beware.")
    cells, _ = methods_shown.presentation(table.reset_index(), ATTACKS)
    assert cells["Cost"].fillna("").tolist() == ["1.10", ""]
    none = groups.assign(atypical=False)
    assert methods.methods_table(frames, groups=none)["atypical_mean"].isna().all()


def test_last_epochs_have_rows_and_what_they_lost():
    best = random_evaluations(**{"bat_1_0.2": 0.7, "mart": 0.8, "theirs": 0.5})
    last = random_evaluations(**{"bat_1_0.2": 0.4, "mart": 0.8})
    table = methods.methods_table(best, last=last, paper=paper.TABLES["cifar100", "resnet18"])
    assert list(zip(table["run"], table["checkpoint"], strict=True)) == [
        *(("mart", "best"), ("mart", "last")),
        *(("bat-1-0.2", "best"), ("bat-1-0.2", "last"), ("theirs", "best")),
    ]
    cells = table.set_index(["run", "checkpoint"])

    def mean(of, run):
        return np.mean([of[run, seed]["pgd"].mean() for seed in range(3)])

    row = cells.loc[("bat-1-0.2", "last")]
    assert row["lost"] == pytest.approx(mean(best, "bat-1-0.2") - mean(last, "bat-1-0.2"))
    assert 0 < row["lost_low"] < row["lost"] < row["lost_high"]
    of = [
        np.array([frames["bat-1-0.2", seed]["pgd"] for seed in range(3)], float)
        for frames in (best, last)
    ]
    assert row["lost_low"] == pytest.approx(crossed_mean(of[0] - of[1]).low)
    row = cells.loc[("mart", "last")]  # compared with the baseline's last, not with its best
    assert row["difference"] == pytest.approx(mean(last, "mart") - mean(last, "bat-1-0.2"))
    assert row["best"] and math.isnan(row["paper"])
    assert cells.loc[("mart", "best"), "paper"] == pytest.approx(0.304)
    assert cells["lost"].isna().tolist() == [True, False, True, False, True]

    shown, marked = methods_shown.presentation(table, ATTACKS)
    assert shown["Epoch"].tolist() == ["best", "last", "best", "last", "best"]
    assert marked["PGD-100"].tolist()[1] and not marked["PGD-100"].tolist()[3]
    assert shown["PGD-100, paper"].notna().tolist() == [True, False, True, False, False]
    part = methods_shown.losses(table, ATTACKS)
    assert part.cells["Method"].tolist() == ["MART", "BAT(1, 0.2)"]
    assert part.cells["PGD-100"][1].startswith("+29.6 [+27.0")
    assert "robust overfitting" in part.caption
    caption = methods_shown.caption(table, EVALUATION, {})
    assert "among models of the same epoch" in caption
    other = {of: frame.assign(index=frame["index"] + 1) for of, frame in last.items()}
    with pytest.raises(BatError, match="judged other test samples"):
        methods.methods_table(best, last=other)


def test_further_pgd_stands_before_pgd():
    frames = random_evaluations(**{"bat_1_0.2": 0.7})
    frames = {of: frame.assign(**{"pgd-20": True}) for of, frame in frames.items()}
    attacks = ATTACKS | {"pgd-20": ATTACKS["pgd"] | {"steps": 20}}
    shown, _ = methods_shown.presentation(methods.methods_table(frames), attacks)
    assert list(shown) == ["Method", "PGD-20", "PGD-100"]

"""Robust overfitting, from made-up histories."""

import numpy as np
import pandas as pd
import pytest

from bat.figures import overfitting
from bat.files.bits import pack
from bat.intervals import crossed_mean
from bat.statistics import paired_difference

INFO = {"n_train": 20, "n_test": 12}
SPEC = {
    "run": "pgd-at",
    "history": {"steps": 10, "max_samples": None},
    "adversary": {"eps": 8 / 255, "step": 2 / 255},
}


def history(robust, selection=None, clean=10, every=1):
    """Epochs from 1 on: how many of the first test samples withstand PGD after each."""
    rows = []
    for epoch, right in enumerate(robust, start=1):
        row = {
            "epoch": epoch,
            "selection_accuracy": None if selection is None else selection[epoch - 1],
        }
        for split, n in (("train", 20), ("test", 12)):
            measured = epoch % every == 0 or epoch == len(robust)
            for attack, count in (("clean", clean), ("pgd", right + 2 * (split == "train"))):
                row[f"{split}_{attack}"] = pack(np.arange(n) < count) if measured else None
        rows.append(row)
    return pd.DataFrame(rows)


HISTORIES = {
    ("pgd-at", 0): history([4, 8, 6], selection=[0.2, 0.6, 0.6]),
    ("pgd-at", 1): history([4, 6, 5], selection=[0.2, 0.6, 0.3]),
    ("pgd-at-ema", 0): history([4, 6, 6], selection=[0.2, 0.5, 0.6]),
    ("pgd-at-ema", 1): history([4, 7, 9], selection=[0.2, 0.5, 0.6]),
}


def test_curves_are_means_over_seeds_of_all_measured_samples():
    table = overfitting.accuracy_curves(HISTORIES, INFO, None).set_index(["run", "series", "epoch"])
    row = table.loc["pgd-at", "test PGD", 2]
    assert row[["mean", "sd"]].tolist() == pytest.approx([7 / 12, 2 / 12 / np.sqrt(2)])
    assert row[["n", "n_seeds"]].tolist() == [12, 2]
    assert table.loc[("pgd-at", "train PGD", 2), "mean"] == pytest.approx(9 / 20)
    assert table.loc[("pgd-at", "test clean", 3), "mean"] == pytest.approx(10 / 12)
    assert len(table) == 2 * 4 * 3


def test_gaps_are_of_the_epoch_that_selection_keeps():
    lost = overfitting.gaps(HISTORIES, INFO, None).set_index("run")
    row = lost.loc["pgd-at"]
    assert (row["kept"], row["measured"], row["n"], row["n_seeds"]) == ("2 2", "2 2", 12, 2)
    assert row[["best", "last", "gap"]].tolist() == pytest.approx([7 / 12, 5.5 / 12, 1.5 / 12])
    places = np.arange(12)
    expected = crossed_mean([(places < 8) * 1.0 - (places < 6), (places < 6) * 1.0 - (places < 5)])
    assert row[["low", "high"]].tolist() == pytest.approx([expected.low, expected.high])
    # the last epoch is the best: nothing is lost
    assert lost.loc["pgd-at-ema", ["gap", "low", "high"]].tolist() == [0, 0, 0]


def test_one_seed_counts_the_images_alone_and_a_kept_epoch_may_be_unmeasured():
    one = {("trades", 0): history([4, 9, 8, 8, 6], [0.1, 0.2, 0.9, 0.3, 0.3], every=2)}
    row = overfitting.gaps(one, INFO, None).iloc[0]
    assert (row["kept"], row["measured"]) == ("3", "4")  # 2 and 4 are as near: the later
    assert row["gap"] == pytest.approx(2 / 12)
    expected = paired_difference(np.arange(12) < 8, np.arange(12) < 6)
    assert row[["low", "high"]].tolist() == pytest.approx([expected.low, expected.high])
    table = overfitting.accuracy_curves(one, INFO, None)
    text = overfitting.caption(
        table, overfitting.gaps(one, INFO, None), {"trades": SPEC}, "digits", "small_cnn"
    )
    assert "mean of 1 seed." in text and "counts the test images alone" in text
    assert "nearest one that was stands for it" in text


def test_without_a_selection_the_last_epoch_is_kept():
    assert overfitting.kept_epoch(history([4, 9, 8])) == 3
    assert overfitting.kept_epoch(history([4, 9, 8], selection=[0.3, 0.3, 0.1])) == 1


def test_each_run_has_a_panel_with_its_kept_epochs_and_its_gap():
    histories = HISTORIES | {("$x$" * 20, 0): history([1, 2, 3])}
    lost = overfitting.gaps(histories, INFO, None)
    table = overfitting.accuracy_curves(histories, INFO, None)
    fig = overfitting.draw_overfitting(table, lost)
    panels = [ax for ax in fig.axes if ax.get_visible()]
    titles = [ax.get_title(loc="left") for ax in panels]
    assert titles[0].startswith("PGD-AT\nbest − last +12.5 [")
    assert titles[1] == "pgd-at-ema\nbest − last +0.0 [+0.0, +0.0]"
    assert len(titles) == 3 and titles[2].count("…") == 1
    curve = panels[0].lines[3]
    assert curve.get_label() == "test PGD"
    assert curve.get_ydata().tolist() == pytest.approx([4 / 12, 7 / 12, 5.5 / 12])
    dotted = [line.get_xdata()[0] for line in panels[0].lines[4:]]
    assert dotted == [2]
    averaged = SPEC | {"averaging": {"kind": "ema", "decay": 0.99, "begin_epoch": 3}}
    specs = {"pgd-at": SPEC, "pgd-at-ema": averaged, "trades-ema": averaged}
    text = overfitting.caption(table, lost, specs, "digits", "small_cnn")
    words = "Moving average of the weights (EMA, decay 0.99) from epoch 3 on"
    assert text.endswith(f". {words}: pgd-at-ema, trades-ema.")
    assert "20 training and 12 test samples of digits (small_cnn)" in text
    assert "PGD-10 with eps 8/255, mean of 2 seeds" in text
    assert "counts the seeds and the test images" in text and "nearest" not in text


def test_long_names_keep_both_ends_and_the_lowest_panels_their_epochs():
    names = [f"bat-awp-ema_with-a-long-name-of-{end}" for end in ("one", "two", "six", "ten")]
    histories = {(name, 0): history([1, 2, 3]) for name in names}
    lost = overfitting.gaps(histories, INFO, None)
    fig = overfitting.draw_overfitting(overfitting.accuracy_curves(histories, INFO, None), lost)
    fig.canvas.draw()
    panels = [ax for ax in fig.axes if ax.get_visible()]
    titles = [ax.get_title(loc="left").partition("\n")[0] for ax in panels]
    assert titles[0] == "bat-awp-ema_wi…ong-name-of-one" and len(set(titles)) == 4
    labelled = [
        any(tick.label1.get_visible() for tick in ax.xaxis.get_major_ticks()) for ax in panels
    ]
    assert labelled == [False, True, True, True]


def test_a_single_epoch_has_its_number():
    histories = {("a", 0): history([1])}
    lost = overfitting.gaps(histories, INFO, None)
    fig = overfitting.draw_overfitting(overfitting.accuracy_curves(histories, INFO, None), lost)
    fig.canvas.draw()
    ticks = fig.axes[0].get_xticks()
    assert 1 in ticks and all(tick == round(tick) for tick in ticks)

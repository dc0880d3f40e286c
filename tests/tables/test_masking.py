"""The table of the checks of gradient masking."""

import numpy as np
import pandas as pd

from bat.report.masking import checks
from bat.report.writing import latex_text
from bat.tables import masking

SPEC = {
    "dataset": "digits",
    "attack": {"eps": 8 / 255, "step": 2 / 255, "few": 10, "many": 100, "queries": 1000},
}


def verdicts(**counts):
    counts = {"clean": 95, "few": 60, "many": 58, "square": 57, "unbounded": 0} | counts
    columns = {name: np.arange(100) < n for name, n in counts.items()}
    return pd.DataFrame({"transfer": None} | columns)


FOUND = {
    ("pgd-at", 0): verdicts(transfer=58),
    ("pgd-at", 1): verdicts(transfer=57, few=62),
    ("theirs", 0): verdicts(square=20, unbounded=50),
}


def test_readers_see_accuracies_before_and_after_and_what_fails():
    shown = masking.presentation(checks(FOUND, 0.1), SPEC["attack"]).set_index("Method")
    assert shown.loc["PGD-AT"].tolist() == [
        *("61.0 → 58.0", "58.0 → 57.5", "58.0 → 57.0", "58.0 → 0.0", "pass"),
    ]
    assert list(shown.columns[:4]) == ["PGD-10 → 100", "and transfer", "and Square", "at eps 1"]
    assert latex_text(shown.reset_index(), "C.").isascii()
    theirs = shown.loc["theirs"]
    assert pd.isna(theirs["and transfer"])  # there is no other seed
    assert theirs["Verdict"] == "fails: Square (seed 0), eps 1 (seed 0)"


def test_the_caption_says_attacks_limits_and_who_fails():
    text = masking.caption(checks(FOUND, 0.25), SPEC, "resnet18")
    for part in (
        "100 test samples of digits, resnet18",
        "eps 8/255, 10 and 100 steps of 2/255",
        "1,000 queries",
        "more steps break over 5 %, transfer over 2 % or Square over 2 %",
        "more than chance, 25 %",
        "theirs fails Square (seed 0), eps 1 (seed 0)",
    ):
        assert part in text
    held = checks({("pgd-at", 0): FOUND["pgd-at", 0]}, 0.25)
    assert masking.caption(held, SPEC, "resnet18").endswith("No model fails.")

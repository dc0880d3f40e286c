"""Every number of the paper: those of its text, tables 1 to 6, and its table of annotators.

"Towards the Memorization Effect of Neural Networks in Adversarial Training".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from bat.config.attacks import ATTACKS
from bat.scores import ATYPICAL_ABOVE

# --- Annotators (appendix B.3) -----------------------------------------------

ANNOTATED = {"high": "High poisoning score", "low": "Low poisoning score"}
ANSWERS = {"y1": "Label (y1)", "y2": "Predicted (y2)", "both": "Both", "neither": "Neither"}

ANNOTATION_SHARES = {"high": (0.59, 0.12, 0.26, 0.04), "low": (0.96, 0.0, 0.015, 0.025)}
"""Shares of the answers in the paper's table, 200 CIFAR-100 images and two annotators.

Those of the high scores add up to 1.01 as printed.
"""

# --- The text ----------------------------------------------------------------


class Claim(NamedTuple):
    """A number of the paper.

    Attributes
    ----------
    quantity : str
        A key of one of the mappings below.
    dataset : str
    architecture : str, optional
        None where the paper names none.
    printed : str
        The number as the paper prints it.
    """

    quantity: str
    dataset: str
    architecture: str | None
    printed: str


SCORES = {"atypical": f"training samples with memorization > {ATYPICAL_ABOVE:g}"}
WHOLE = {
    f"{split}-{attack}": f"{title}, {how}"
    for split, title in (("train", "training set"), ("test", "test set"))
    for attack, how in (("clean", "clean"), ("pgd", "adversarial"))
}
ATYPICAL = {
    f"{split} atypical-{attack}": f"{title} atypical group, {how}"
    for split, title in (("train", "training"), ("test", "test"))
    for attack, how in (("clean", "clean"), ("pgd", "adversarial"))
}
SHARES = {"0": "0 % atypical", "100": "100 % atypical", "change": "change from 0 % to 100 %"}
TYPICAL = {
    f"{method}-{share}-{attack}": f"{title}, {SHARES[share]}, {how}"
    for method, title, attacks in (
        ("pgd-at", "PGD-AT", (("clean", "clean"), ("pgd", "adversarial"))),
        ("erm", "ERM", (("clean", "clean"),)),
    )
    for attack, how in attacks
    for share in SHARES
}
DISCRIMINATION = {
    f"{method}-{share}-{measure}": f"{title}, {SHARES[share]}, {what}"
    for method, title in (("pgd-at", "PGD-AT"), ("erm", "ERM"))
    for measure, what in (
        ("discrimination", "similarity within − between classes"),
        ("probe_accuracy", "linear probe"),
    )
    for share in SHARES
}
ANNOTATION = {
    f"{group}-{answer}": f"{title.lower()}: {said}"
    for group, title in ANNOTATED.items()
    for answer, said in ANSWERS.items()
}
"""What readers call each quantity of a section of the page, in order; likewise those above."""

_ANNOTATED = [
    Claim(f"{group}-{answer}", "cifar100", None, f"{100 * share:g} %")
    for group, shares in ANNOTATION_SHARES.items()
    for answer, share in zip(ANSWERS, shares, strict=True)
]
_STUDIED = ("cifar100", "wrn-28-10")

CLAIMS = [
    Claim("atypical", "cifar10", None, "> 11 % (A.2: > 10 %)"),
    Claim("atypical", "cifar100", None, "> 40 %"),
    Claim("atypical", "tiny_imagenet", None, "> 49 % (A.2: > 50 %)"),
    Claim("train-clean", *_STUDIED, "100 %"),
    Claim("train-pgd", *_STUDIED, "99 %"),
    Claim("test-clean", *_STUDIED, "59 %"),
    Claim("test-pgd", *_STUDIED, "24 %"),
    Claim("train atypical-clean", *_STUDIED, "≈ 100 %"),
    Claim("train atypical-pgd", *_STUDIED, "≈ 100 %"),
    Claim("test atypical-clean", *_STUDIED, "41 %"),
    Claim("test atypical-pgd", *_STUDIED, "around 10 %"),
    Claim("pgd-at-0-clean", *_STUDIED, "94.7 %"),
    Claim("pgd-at-0-pgd", *_STUDIED, "55.0 %"),
    Claim("pgd-at-100-clean", *_STUDIED, "90.2 %"),
    Claim("pgd-at-100-pgd", *_STUDIED, "50.4 %"),
    Claim("pgd-at-change-clean", "cifar100", None, "∼ −7 points"),
    Claim("pgd-at-change-pgd", "cifar100", None, "−8 points"),
    Claim("erm-change-clean", *_STUDIED, "equal"),
    *_ANNOTATED,
]
"""Sections 1 to 3.2 and 2.1; the drops by 7 and 8 points are from B.2, which names no model,
and are not those of section 3.2 (4.5 and 4.6)."""


# --- Tables 1 to 6 -----------------------------------------------------------

BASELINE = "bat-1-0.2"
"""The run that the paper compares every method with."""


class PaperTable(NamedTuple):
    """What the paper reports for one data set and architecture.

    ``tables``: the numbers of the tables that print it. ``accuracies``: percent
    by run, then by column.
    """

    tables: tuple[int, ...]
    accuracies: Mapping[str, Mapping[str, float]]


def _table(tables: tuple[int, ...], rows: dict[str, tuple[float, ...]]) -> PaperTable:
    return PaperTable(
        tables, {run: dict(zip(("clean", *ATTACKS), row, strict=True)) for run, row in rows.items()}
    )


TABLES = {
    ("cifar100", "wrn-28-10"): _table(
        (1, 4),
        {
            "pgd-at": (59.7, 34.9, 24.7, 24.2, 22.5),
            "trades": (57.3, 34.5, 24.9, 24.6, 22.9),
            "mart": (56.5, 36.1, 26.8, 25.3, 23.8),
            "gairat": (60.2, 34.8, 24.4, 24.8, 22.9),
            "bat-1-0.2": (62.0, 38.6, 28.5, 26.5, 24.8),
            "bat-2-0.2": (61.4, 38.9, 28.2, 26.3, 24.8),
        },
    ),
    ("tiny_imagenet", "wrn-28-10"): _table(
        (2, 6),
        {
            "pgd-at": (58.9, 35.7, 31.7, 30.0, 30.0),
            "trades": (59.7, 37.4, 32.0, 31.8, 32.0),
            "mart": (58.2, 41.0, 35.6, 33.9, 34.1),
            "gairat": (60.5, 39.1, 33.1, 31.9, 32.3),
            "bat-1-0.2": (62.3, 41.6, 35.8, 33.7, 34.3),
            "bat-2-0.2": (62.4, 43.1, 37.4, 35.3, 35.6),
        },
    ),
    ("cifar100", "resnet18"): _table(
        (3,),
        {
            "pgd-at": (56.9, 36.0, 27.4, 25.4, 23.6),
            "trades": (56.6, 36.5, 26.9, 25.3, 23.9),
            "mart": (51.8, 36.1, 30.4, 25.8, 24.4),
            "gairat": (58.2, 36.5, 27.8, 25.9, 23.8),
            "bat-1-0.2": (59.5, 37.3, 27.3, 26.6, 24.3),
            "bat-2-0.2": (59.3, 37.1, 27.4, 26.5, 24.0),
        },
    ),
    ("tiny_imagenet", "resnet32"): _table(
        (5,),
        {
            "pgd-at": (56.3, 37.5, 32.3, 29.8, 29.8),
            "trades": (55.4, 35.2, 28.8, 27.0, 27.0),
            "mart": (56.2, 38.1, 34.5, 31.8, 32.0),
            "gairat": (58.4, 37.3, 30.4, 28.9, 29.0),
            "bat-1-0.2": (59.4, 40.4, 32.0, 31.5, 32.0),
            "bat-2-0.2": (59.4, 41.3, 32.9, 31.8, 32.4),
        },
    ),
}
"""Tables 1 to 6 by (data set, architecture).

Five printed differences do not follow from the printed accuracies: GAIRAT's CW
in tables 1 and 4 (-1.5; the accuracies give -1.7), BAT(2, 0.2)'s AA in tables 2
and 6 (+0.7; +1.3), and in table 3 GAIRAT's FGSM (-1.2; -0.8) and AA (-0.2;
-0.5) and BAT(2, 0.2)'s AA (+0.7; -0.3). `bat.tables.methods.methods_table` subtracts accuracies.
"""

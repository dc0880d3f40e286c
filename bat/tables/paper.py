"""The numbers that the paper states in its text; tables 1 to 6 are in `bat.report.comparison`.

"Towards the Memorization Effect of Neural Networks in Adversarial Training".
"""

from __future__ import annotations

from typing import NamedTuple

from bat.studies import annotation


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


ATYPICAL_ABOVE = 0.15
"""Memorization above which the paper calls a sample atypical."""

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
    for group, title in annotation.GROUPS.items()
    for answer, said in annotation.ANSWERS.items()
}
"""What readers call each quantity of a section of the page, in order; likewise those above."""

_ANNOTATED = [
    Claim(f"{group}-{answer}", "cifar100", None, f"{100 * share:g} %")
    for group, shares in annotation.PAPER.items()
    for answer, share in zip(annotation.ANSWERS, shares, strict=True)
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

"""The scores of training samples that groups, BAT and comparisons can go by, each said once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bat.statistics import above, below

ATYPICAL_ABOVE = 0.15
"""Memorization above which a training sample is atypical (paper, 3.1); BAT's sigma."""

INFLUENCE_ABOVE = ATYPICAL_ABOVE
"""Influence above which an atypical sample makes a test sample atypical (paper, 3.1)."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """One score.

    Attributes
    ----------
    name : str
        Of its table and of the column in it.
    label : str
        As readers see it within a sentence or a legend.
    content : str
        What its table holds, in words.
    low, high : float
        Its range.
    atypical : {"high", "low"}
        Which end is that of the atypical samples.
    sigma : float
        BAT's default threshold; the paper gives memorization's.
    made_of : {"trials", "ensemble"}
        The subset trainings of one architecture, or some of several.
    """

    name: str
    label: str
    content: str
    low: float
    high: float
    atypical: Literal["high", "low"]
    sigma: float
    made_of: Literal["trials", "ensemble"]

    def split(self, values: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
        """Tell the samples beyond a threshold on the atypical side from those on the other.

        Parameters
        ----------
        values : ndarray of float, shape (n,)
        sigma : float

        Returns
        -------
        atypical, typical : ndarray of bool, shape (n,)
            A sample at the threshold is neither; see `bat.statistics.above`.
        """
        sides = above(values, sigma), below(values, sigma)
        return sides if self.atypical == "high" else sides[::-1]


SCORES = {
    score.name: score
    for score in (
        Score(
            name="memorization",
            label="memorization",
            content="memorization of each training label",
            low=-1.0,
            high=1.0,
            atypical="high",
            sigma=ATYPICAL_ABOVE,
            made_of="trials",
        ),
        Score(
            name="disagreement",
            label="disagreement",
            content="disagreement of an ensemble on each training sample",
            low=0.0,
            high=math.log(2),
            atypical="high",
            sigma=0.1,
            made_of="ensemble",
        ),
        Score(
            name="confidence",
            label="confidence",
            content="confidence of an ensemble in each training label",
            low=0.0,
            high=1.0,
            atypical="low",
            sigma=0.5,
            made_of="ensemble",
        ),
    )
}
"""By name, the one that the paper's groups go by first."""

ENSEMBLE_SCORES = tuple(name for name, score in SCORES.items() if score.made_of == "ensemble")
"""The cheap ones, which can take memorization's place in BAT."""


def default_sigmas() -> str:
    """The default thresholds in words, for documents."""
    return ", ".join(
        f"{score.sigma:g} for {name}"
        + (", where lower is atypical" if score.atypical == "low" else "")
        for name, score in SCORES.items()
    )

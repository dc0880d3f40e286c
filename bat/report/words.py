"""Numbers and names as readers see them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bat.escaping import plain

LABELS = {
    "erm": "ERM",
    "pgd-at": "PGD-AT",
    "trades": "TRADES",
    "mart": "MART",
    "gairat": "GAIRAT",
    "mail-at": "MAIL-AT",
    "mail-trades": "MAIL-TRADES",
    "mail-mart": "MAIL-MART",
    "bat-1-0.2": "BAT(1, 0.2)",
    "bat-2-0.2": "BAT(2, 0.2)",
    "bat-1-0.2-disagreement": "BAT(1, 0.2), disagreement",
    "bat-1-0.2-confidence": "BAT(1, 0.2), confidence",
}
"""What readers call a run, in the order of the paper's tables; other runs keep their names."""


LONGEST = 30  # letters of a name in a figure, above a panel or beside a point


def short_name(name: str) -> str:
    """A name that fits into a figure; long ones differ at their ends most often.

    >>> short_name("bat-with-all-of-the-switches-at-once")
    'bat-with-all-o…witches-at-once'
    """
    half = LONGEST // 2
    return name if len(name) <= LONGEST else f"{name[: half - 1]}…{name[-half:]}"


def counted(n: int, noun: str) -> str:
    """Write a number of things, whose plural ends in s.

    >>> counted(1, "seed"), counted(1200, "sample")
    ('1 seed', '1,200 samples')
    """
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def percent(share: float, digits: int = 1) -> str:
    """Write a share of 1 as '12.3 %', with a space that does not break."""
    return f"{100 * share:.{digits}f}\u00a0%"


def exact_percent(share: float) -> str:
    """Write a share that was asked for, with the digits that it was given.

    >>> exact_percent(0.1), exact_percent(0.125)
    ('10\xa0%', '12.5\xa0%')
    """
    return f"{100 * share:g}\u00a0%"


def mean_text(mean: float, sd: float, *, scale: float = 100, digits: int = 1) -> str:
    """Write a mean with its standard deviation, where there is one.

    >>> mean_text(0.62, 0.003), mean_text(0.25, float("nan"), scale=1, digits=3)
    ('62.0 ± 0.3', '0.250')
    """
    text = f"{scale * mean:.{digits}f}"
    return text if pd.isna(sd) else f"{text} ± {scale * sd:.{digits}f}"


def difference_text(
    difference: float, low: float, high: float, *, scale: float = 100, digits: int = 1
) -> str:
    """Write a difference with its interval, where there is one.

    >>> difference_text(-0.017, -0.031, -0.002), difference_text(-0.0004, *[float("nan")] * 2)
    ('−1.7 [−3.1, −0.2]', '+0.0')
    """

    def signed(value: float) -> str:
        return f"{scale * value:+z.{digits}f}".replace("-", "−")

    text = signed(difference)
    return text if pd.isna(low) else f"{text} [{signed(low)}, {signed(high)}]"


def p_text(p: float) -> str:
    """Write a p-value; empty where there is none.

    >>> p_text(0.0312), p_text(0.00004), p_text(1), p_text(float("nan"))
    ('0.031', '< 0.001', '1.000', '')
    """
    if pd.isna(p):
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def interval_text(low: float, high: float, *, scale: float = 100, digits: int = 1) -> str:
    """Write an interval in brackets; empty where it is not known.

    >>> interval_text(0.012, 0.0345), interval_text(0.4, 0.6, scale=1, digits=2)
    ('[1.2, 3.5]', '[0.40, 0.60]')
    """
    if pd.isna(low) or pd.isna(high):
        return ""
    return f"[{scale * low:.{digits}f}, {scale * high:.{digits}f}]"


def cell_text(mean: float, sd: float, difference: float) -> str:
    """Shares as percent, the parts that are known: mean ± deviation (difference).

    >>> cell_text(0.62, 0.003, -0.0004), cell_text(0.597, float("nan"), -0.023)
    ('62.0 ± 0.3 (+0.0)', '59.7 (−2.3)')
    """
    text = mean_text(mean, sd)
    if not np.isnan(difference):
        text += f" ({difference_text(difference, np.nan, np.nan)})"
    return text


def names_of(class_names: Sequence[str], labels: pd.Series) -> np.ndarray:
    """Look up class names, shape (n,) of str."""
    names = np.array([plain(str(name)) for name in class_names], dtype=object)
    return names[labels.to_numpy(dtype=np.int64)]

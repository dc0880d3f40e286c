"""Training samples as points, a scatter that several figures share."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bat.report.style import SERIES


def scatter_by_memorization(ax: Axes, table: pd.DataFrame, name: str) -> None:
    """Draw a column against memorization, one point per training sample.

    Parameters
    ----------
    ax : Axes
    table : DataFrame
        ``memorization``, the column, and ``atypical``, whose samples get a colour of
        their own.
    name : str
        Of the column on the vertical axis.
    """
    alpha = float(np.clip(1000 / len(table), 0.1, 0.6))
    for atypical, group in ((False, "typical"), (True, "atypical")):
        points = table[table["atypical"] == atypical]
        color, _, marker = SERIES[group]
        ax.plot(
            points["memorization"],
            points[name],
            linestyle="none",
            marker=marker,
            markersize=2.2,
            markeredgewidth=0,
            color=color,
            alpha=alpha,
            rasterized=True,
        )

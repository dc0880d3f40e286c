"""Values of samples as data frames, with the columns that score tables have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bat.errors import BatError

if TYPE_CHECKING:
    import pandas as pd


def samples_frame(columns: dict[str, np.ndarray], labels=None) -> pd.DataFrame:
    """Columns of one value for each sample as a data frame.

    Parameters
    ----------
    columns : dict of str to ndarray, shape (n,)
    labels : array-like, shape (n,), optional
        Class numbers or names.

    Returns
    -------
    DataFrame
        ``index`` from 0 up, ``label`` where it is given, and the columns.

    Raises
    ------
    BatError
        If there are more or fewer labels than samples.
    """
    import pandas as pd

    n = len(next(iter(columns.values())))
    head = {"index": np.arange(n, dtype=np.int32)}
    if labels is not None:
        head["label"] = np.asarray(labels)
        if head["label"].shape != (n,):
            raise BatError(f"labels have shape {head['label'].shape}; expected ({n},)")
    return pd.DataFrame(head | columns)

"""Weights from a file for a model that is to be trained further."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bat.checkpoints.formats import read_checkpoint
from bat.checkpoints.loading import check_code, statements
from bat.checkpoints.state_dicts import load_weights
from bat.data import PreparedData
from bat.errors import ArtifactError
from bat.models import Classifier
from bat.progress import log

TOLERANCE = 1e-4  # of normalizations that are the same, written with few digits


def start_from(
    path: Path,
    model: Classifier,
    architecture: str,
    prepared: PreparedData,
    network: dict[str, Any] | None = None,
) -> None:
    """Load weights into a model that is built, before it is trained.

    Parameters
    ----------
    path : path
        A file of ours, or anyone's with a state dict of the architecture.
    model : Classifier
        Its weights and running statistics are replaced; its normalization stays.
    architecture : str
        The model's.
    prepared : PreparedData
        The data set that it will be trained on.
    network : dict, optional
        The code of a network of one's own, as its specification records it.

    Raises
    ------
    ArtifactError
        If the file is missing or damaged, or of another architecture, other
        classes or another normalization than the model.

    Notes
    -----
    A file that does not say its normalization is taken for one of the model's, with a
    warning: images that entered as they are, as in the code of TRADES and MART, are not
    told from normalized ones.
    """
    content = read_checkpoint(path)
    stated, of_run = statements(path, content, architecture, prepared)
    if network is not None:
        check_code(path, stated.get("network"), network, of_run)
    what = f"{architecture} with {len(prepared.info['class_names'])} classes"
    statistics = load_weights(model, path, content, what, has_options=False)
    own = [getattr(model, name).flatten().tolist() for name in ("mean", "std")]
    if statistics is None:
        if network is None:
            log.warning(
                "%s: does not say how its images were normalized; it is taken for a model whose "
                "images are those of this training, by mean and deviation %s",
                *(path, _rounded(own)),
            )
        return
    if not np.allclose(own, statistics, rtol=TOLERANCE, atol=TOLERANCE):
        raise ArtifactError(
            f"{path}: a model whose images are normalized by mean and deviation "
            f"{_rounded(statistics)}, and this training normalizes by {_rounded(own)}; start from "
            "one that was trained on this data set"
        )


def _rounded(statistics) -> str:
    mean, std = ([round(value, 4) for value in values] for values in statistics)
    return f"{mean} and {std}"

"""Scores of one training: what the course of a training says of each sample.

A training is observed after each epoch, in eval mode and without augmentation; what
is seen of every sample is kept (`Course`), and each score is a function of that. So
another score of the same observations needs no further training.

Sources are named beside each score; high is atypical unless `Proxy.high_is_atypical`
says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from bat.errors import BatError

Course = Mapping[str, np.ndarray]
"""Observations by name, each of shape (n_epochs, n) in the order of the epochs; NaN where a
sample was not observed."""

OBSERVATIONS = {
    "loss": "cross entropy of the label",
    "margin": "logit of the label less the largest other",
    "error": "norm of the class probabilities less the one-hot label",
    "input_gradient": "norm of the gradient of the loss by the image",
    "curvature": "mean norm of the change of that gradient at random steps",
    "weight_gradient": "norm of the gradient of the loss by all weights",
}
"""What is observed of a sample after an epoch. All but the last three come from one pass of the
logits."""

OF_HALVES = {
    "second_margin": "that margin while the half without the sample is trained on, after its own",
}
"""What is observed in trainings on halves of the samples (`bat.training.halves`)."""

KEPT = OBSERVATIONS | OF_HALVES
"""All that may be kept of a training and a seed."""


PASSES = ("logits", "input_gradient", "curvature", "weight_gradient")
"""What observing costs after an epoch, each timed by itself: a forward pass, the backward pass that
follows it, the ten of both at random steps, and one of each sample alone."""

_PASSES_OF = {
    "input_gradient": ("logits", "input_gradient"),
    "curvature": ("logits", "input_gradient", "curvature"),
    "weight_gradient": ("weight_gradient",),
}


def passes_of(observation: str) -> tuple[str, ...]:
    """The passes that an observation takes; those of the logits take the first alone."""
    return _PASSES_OF.get(observation, ("logits",))


@dataclass(frozen=True)
class Proxy:
    """A score that stands in for memorization, from one training's course.

    Attributes
    ----------
    title : str
        What readers call it.
    needs : str
        Which observation it is made of.
    compute : callable
        From that observation, an array of shape (n_epochs, n), to float64 of shape
        (n,).
    source : str
    high_is_atypical : bool
    early : bool
        Whether it looks at the early epoch alone (`early_epoch`).
    """

    title: str
    needs: str
    compute: Callable[[np.ndarray], np.ndarray]
    source: str
    high_is_atypical: bool = True
    early: bool = False


def early_epoch(n_epochs: int) -> int:
    """The epoch, counted from 0, after a tenth of the training: where EL2N and GraNd look."""
    return max(1, math.ceil(n_epochs / 10)) - 1


def _early(values: np.ndarray) -> np.ndarray:
    return values[early_epoch(len(values))]


def _learning_time(norms: np.ndarray) -> np.ndarray:
    running = np.cumsum(norms, axis=0) / np.arange(1, len(norms) + 1)[:, None]
    return 1 - (running < np.nanmean(running)).mean(axis=0)


def _second_split(margins: np.ndarray) -> np.ndarray:
    right = margins > 0
    last_right = len(margins) - np.argmax(right[::-1], axis=0)  # counted from 1
    return np.where(right.any(axis=0), last_right, 0) + 1.0


def _forgetting(margins: np.ndarray) -> np.ndarray:
    right = margins > 0
    forgotten = (right[:-1] & ~right[1:]).sum(axis=0).astype(np.float64)
    return np.where(right.any(axis=0), forgotten, len(margins))


PROXIES = {
    "csl": Proxy(
        "Cumulative sample loss",
        "loss",
        lambda loss: loss.sum(axis=0),
        "Ravikumar et al., ICML 2025",
    ),
    "last_loss": Proxy("Last loss", "loss", lambda loss: loss[-1], "the end of `csl`"),
    "learning_time": Proxy(
        "Learning time", "input_gradient", _learning_time, "Ravikumar et al., ICML 2025"
    ),
    "loss_sensitivity": Proxy(
        "Loss sensitivity",
        "input_gradient",
        lambda norms: norms.mean(axis=0),
        "Arpit et al., ICML 2017",
    ),
    "curvature": Proxy(
        "Curvature", "curvature", lambda change: change.mean(axis=0), "Garg et al., ICML 2024"
    ),
    "forgetting": Proxy("Forgetting count", "margin", _forgetting, "Toneva et al., ICLR 2019"),
    "el2n": Proxy("EL2N", "error", _early, "Paul et al., NeurIPS 2021", early=True),
    "grand": Proxy("GraNd", "weight_gradient", _early, "Paul et al., NeurIPS 2021", early=True),
    "aum": Proxy(
        "Area under the margin",
        "margin",
        lambda margin: margin.mean(axis=0),
        "Pleiss et al., NeurIPS 2020",
        high_is_atypical=False,
    ),
    "margin": Proxy("Last margin", "margin", lambda margin: margin[-1], "the end of `aum`", False),
    "ssft": Proxy(
        "Second-split forgetting",
        "second_margin",
        _second_split,
        "Maini et al., NeurIPS 2022",
        high_is_atypical=False,
    ),
}
"""Scores by name. The learning time is 1 less the share of epochs at which the running mean of the
norm is below its mean over all epochs and samples; a sample that was never right was forgotten in
every epoch. Second-split forgetting is the first epoch, from 1, from which on a sample is wrong,
and one more than there are where it is right to the end."""


def needed(names: Iterable[str]) -> tuple[str, ...]:
    """The observations that some scores need, in the order of `KEPT`."""
    wanted = {PROXIES[name].needs for name in names}
    return tuple(name for name in KEPT if name in wanted)


def proxy_scores(course: Course, names=None) -> dict[str, np.ndarray]:
    """Compute scores of one training from its course.

    Parameters
    ----------
    course : mapping of str to ndarray, shape (n_epochs, n)
        Keys of `KEPT`; those that no score needs may lack.
    names : sequence of str, optional
        Keys of `PROXIES`; all that the observations allow, by default.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        NaN for samples that were not observed in an epoch that the score needs.

    Raises
    ------
    BatError
        If a name is unknown, or what it needs was not observed.

    Examples
    --------
    >>> course = {"margin": np.array([[-1.0, 1.0], [2.0, -1.0], [3.0, 2.0]])}
    >>> proxy_scores(course)["forgetting"]
    array([0., 1.])
    """
    if names is None:
        names = [name for name, proxy in PROXIES.items() if proxy.needs in course]
    found = {}
    for name in names:
        if name not in PROXIES:
            raise BatError(f"{name!r} is no score of a training; expected {', '.join(PROXIES)}")
        proxy = PROXIES[name]
        if proxy.needs not in course:
            raise BatError(
                f"{name} needs {proxy.needs} ({KEPT[proxy.needs]}), which was not "
                f"observed; observed are {', '.join(course) or 'none'}"
            )
        values = np.asarray(course[proxy.needs], np.float64)
        if values.ndim != 2 or not len(values):
            raise BatError(
                f"{proxy.needs} has shape {values.shape}; expected (n_epochs, n_samples)"
            )
        looked_at = _early(values)[None] if proxy.early else values
        seen = ~np.isnan(looked_at).any(axis=0)
        found[name] = np.full(values.shape[1], np.nan)
        found[name][seen] = proxy.compute(values[:, seen])
    return found

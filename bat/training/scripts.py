"""Training and judging a model from a script or a notebook, by the loop that runs use."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import numbers
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

import bat
from bat import config, files
from bat.checkpoints.formats import read_checkpoint
from bat.data import PreparedData, to_device
from bat.devices import runtime
from bat.errors import ArtifactError, BatError
from bat.models import Classifier, wrap
from bat.objectives import AWP, BAT, OBJECTIVES, Objective
from bat.progress import log, messages_shown, progress
from bat.reading import Expected, check_values
from bat.scores import SCORES
from bat.stopping import Stopped, signals_kept
from bat.training.loop import Recorder, Training

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class History:
    """How a training went.

    Attributes
    ----------
    rows : list of dict
        For each epoch, counted from 1: ``epoch``, and the means over its steps of
        the objective's statistics, ``loss`` among them.
    seconds : float
        That this call took.
    device : str
        With the precision, where it is not the usual one.
    """

    rows: list[dict[str, float]]
    seconds: float
    device: str

    def __len__(self) -> int:
        return len(self.rows)

    def to_frame(self) -> pd.DataFrame:
        """A row for each epoch."""
        import pandas as pd

        return pd.DataFrame(self.rows)


def train(
    model: nn.Module,
    objective: Objective | str,
    data: PreparedData,
    *,
    index=None,
    scores=None,
    score: str = "memorization",
    sigma: float | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    recorders: Sequence[Recorder] = (),
    device: str = "auto",
    keep_every: float = 60.0,
    **settings: Any,
) -> History:
    """Train a model in place, by the loop that the workflow's runs use.

    Parameters
    ----------
    model : nn.Module
        From `build_model`, or any that takes float images in [0, 1]. Afterwards it
        is on the device and in eval mode.
    objective : Objective or str
        One of `bat.objectives`, as ``bat.objectives.TRADES(beta=6)``, or a method's
        name with its defaults: ``erm``, ``pgd-at``, ``trades``, ``mart``, ``gairat``,
        ``mail-at``, ``mail-trades``, ``mail-mart``, ``bat``.
        One's own derives from ``bat.objectives.Objective``. With perturbed weights,
        ``bat.objectives.AWP(bat.objectives.TRADES())``.
    data : PreparedData
    index : array-like of int, optional
        Training samples that take part, as positions in ``data``; by default all.
    scores : array-like of float, shape (n_train,), optional
        For BAT: a score for each training sample.
    score : {"memorization", "disagreement", "confidence"}
        Which score that is, and so which end is that of atypical samples.
    sigma : float, optional
        For BAT: beyond it a sample counts as memorized; by default that of the score.
    seed : int
        Of the order, the augmentation and the attacks.
    out : path-like, optional
        A file (``.pt``) for the state, written atomically, and for the trained
        model in the end. A call that was stopped or killed goes on from it, to
        the same end bit for bit on one kind of device; one that is complete reads
        it. `load_model` reads it too.
    recorders : sequence of Recorder
        Called after each epoch.
    device : {"auto", "cpu", "cuda"}
    keep_every : float
        Seconds between two writes of the state.
    **settings
        Keys of ``training`` in a configuration: ``epochs``, ``batch_size``, ``lr``,
        ``schedule`` (here ``cosine`` by default), ``augmentation``, and so on.

    Returns
    -------
    History

    Raises
    ------
    BatError
        If a setting is not known or out of range, an index is no position in ``data``, or
        the objective asks for scores.
    DivergedError
        If a loss or a weight is not finite, naming epoch and step.
    ArtifactError
        If ``out`` is of another training, or damaged.

    Examples
    --------
    >>> import bat
    >>> labels = np.arange(40) % 2
    >>> images = np.random.default_rng(0).random((40, 8, 8)) * (0.2 + 0.8 * labels[:, None, None])
    >>> data = bat.from_arrays(images, labels, images[:10], labels[:10])
    >>> model = bat.build_model("small_cnn-4", data)
    >>> history = bat.train(model, "erm", data, epochs=3, batch_size=10, device="cpu",
    ...                     augmentation={"crop": 0, "flip": False})
    >>> history.to_frame()["epoch"].tolist()
    [1, 2, 3]
    """
    recipe = config.from_arguments(config.Optimization, _DEFAULTS | settings, "bat.train")
    chosen = _objective(objective)
    index = _positions(index, data.info["n_train"])
    masks = _masks(chosen, scores, score, sigma, data)
    if not isinstance(model, nn.Module):
        raise BatError(
            f"the model is {model!r}; expected a torch.nn.Module, as bat.build_model gives one"
        )
    if not isinstance(model, Classifier):
        model = wrap(model, type(model).__name__, len(data.class_names), data.shape)
    about = {
        "objective": _described(chosen),
        "training": recipe.model_dump(mode="json"),
        "seed": seed,
        "samples": _digest(index, *masks.values()),
        "data": data.fingerprint,
    }
    start = time.monotonic()
    with messages_shown(), runtime(device, threads=torch.get_num_threads(), compile=False) as where:
        training = Training(
            where.place(model),
            chosen,
            to_device(data, where.device),
            torch.from_numpy(index).to(where.device),
            recipe,
            seed=seed,
            trial=0,
            device=where,
            recorders=recorders,
            **{name: torch.from_numpy(mask).to(where.device) for name, mask in masks.items()},
        )
        course = _Course(training, about, data, None if out is None else Path(out))
        course.run(keep_every)
        model.eval()
    label = where.label(training.precision)
    return History(course.rows, time.monotonic() - start, label)


_DEFAULTS = {"schedule": "cosine", "milestones": ()}
_STATE: Expected = {"about": (dict,), "training": (dict,), "rows": (list,)}


class _Course:
    """A training from where it is to its end, and the file that holds its state."""

    def __init__(self, training: Training, about: dict, data: PreparedData, path: Path | None):
        self.training, self.about, self.data, self.path = training, about, data, path
        self.rows: list[dict[str, float]] = []
        if path is not None and path.exists():
            self._take_over(read_checkpoint(path))

    def _take_over(self, content: Any) -> None:
        path = self.path
        if not isinstance(content, dict) or not {"about", "training", "rows"} <= content.keys():
            raise ArtifactError(f"{path}: holds no state of `bat.train`; name another file for out")
        check_values(str(path), content, _STATE, ArtifactError)
        changed = [key for key in self.about if content["about"].get(key) != self.about[key]]
        if changed:
            raise ArtifactError(
                f"{path}: is the state of a training with other {' and '.join(changed)}; name "
                "another file for out"
            )
        try:
            self.training.restore(content["training"] | {"model": content["state_dict"]})
        except (LookupError, TypeError, AttributeError, ValueError, RuntimeError) as error:
            raise ArtifactError(
                f"{path}: does not fit this training ({type(error).__name__}: "
                f"{str(error).splitlines()[0]}); name another file for out, or remove it"
            ) from None
        self.rows = content["rows"]
        log.info("%s: going on in epoch %d", path, len(self.rows) + 1)

    def run(self, keep_every: float) -> None:
        training, epochs = self.training, self.training.recipe.epochs
        if len(self.rows) == epochs:
            return
        written = time.monotonic()
        with _signals(self.path) as asked, progress("epochs", epochs, done=len(self.rows)) as bar:

            def stop() -> bool:
                nonlocal written
                bar.update(len(self.rows) + training.step / training.steps_per_epoch)
                if asked or time.monotonic() - written >= keep_every:
                    self.keep()
                    written = time.monotonic()
                return bool(asked)

            while len(self.rows) < epochs:
                statistics = training.run_epoch(stop)
                if statistics is None:
                    raise _ended(asked[0])
                self.rows.append({"epoch": training.epoch, **statistics})
                bar.update(len(self.rows), f"loss {statistics['loss']:.3f}")
        self.keep()

    def keep(self) -> None:
        """Write the state, with which the file is a checkpoint of the model as well."""
        if self.path is None:
            return
        state, model = self.training.state(), self.training.model
        known = {"architecture": model.architecture} if hasattr(model, "architecture") else {}
        files.write_torch(
            self.path,
            {
                "format_version": files.FORMAT_VERSION,
                "state_dict": state.pop("model"),
                **known,
                "normalization": {k: getattr(model, k).flatten().tolist() for k in ("mean", "std")},
                "class_names": self.data.class_names,
                "fingerprint": self.data.fingerprint,
                "identity": {},
                "inputs": {"data": self.data.fingerprint},
                "epoch": self.training.epoch,
                "package_version": bat.__version__,
                "about": self.about,
                "training": state,
                "rows": self.rows,
            },
        )


def _positions(index, n: int) -> np.ndarray:
    """Positions of the training samples that take part; a mask would be taken for 0 and 1."""
    if index is None:
        return np.arange(n)
    index = np.asarray(index)
    known = index.ndim == 1 and index.size and index.dtype.kind in "iu"
    if not known or not 0 <= index.min() <= index.max() < n:
        raise BatError(
            f"index is {index.dtype} of shape {index.shape}; expected one position or more in "
            f"[0, {n}) (of a mask, numpy.flatnonzero)"
        )
    return index.astype(np.int64)


def _objective(objective: Objective | str) -> Objective:
    if isinstance(objective, type):
        raise BatError(f"the objective is the class {objective.__name__}; call it, with settings")
    if isinstance(objective, Objective):
        return objective
    if not isinstance(objective, str):
        raise BatError(
            f"the objective is {type(objective).__name__}; expected a method's name, or an object "
            "of a class derived from bat.objectives.Objective"
        )
    if objective not in OBJECTIVES:
        raise BatError(f"the method {objective!r} is none of {', '.join(OBJECTIVES)}")
    return OBJECTIVES[objective]()


def _masks(
    objective: Objective, scores, score: str, sigma: float | None, data: PreparedData
) -> dict[str, np.ndarray]:
    """BAT's masks of the training samples: beyond sigma, and on its other side."""
    if scores is None:
        method = objective.objective if isinstance(objective, AWP) else objective
        if isinstance(method, BAT):
            raise BatError("bat asks for scores, one for each training sample; give scores=...")
        return {}
    scores, n = np.asarray(scores, np.float64), data.info["n_train"]
    if score not in SCORES or scores.shape != (n,) or not np.isfinite(scores).all():
        raise BatError(
            f"scores of {score!r} have shape {scores.shape}; expected {' or '.join(SCORES)}, a "
            f"finite number for each of the {n} training samples"
        )
    known = SCORES[score]
    if sigma is not None and not (isinstance(sigma, numbers.Real) and math.isfinite(sigma)):
        raise BatError(f"sigma is {sigma!r}; expected a finite number")
    memorized, unmemorized = known.split(scores, known.sigma if sigma is None else sigma)
    return {"memorized": memorized, "unmemorized": unmemorized}


def _described(objective: Objective) -> dict:
    """Name and settings, as JSON holds them."""
    if isinstance(objective, AWP):
        awp = {"gamma": objective.gamma, "warmup": objective.warmup}
        return _described(objective.objective) | {"awp": awp}
    settings = dataclasses.asdict(objective) if dataclasses.is_dataclass(objective) else {}
    if not settings.get("label_smoothing", True):
        del settings["label_smoothing"]  # states of before lack it
    return {"name": type(objective).__name__, **json.loads(json.dumps(settings, default=str))}


def _digest(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def _signals(path: Path | None) -> contextlib.AbstractContextManager[list[int]]:
    """Signals that end the training between two steps, its state kept, where that is asked for."""
    if path is None or threading.current_thread() is not threading.main_thread():
        return contextlib.nullcontext([])
    return signals_kept()


def _ended(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else Stopped(number, "the state is kept")

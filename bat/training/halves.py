"""Trainings on one half of the samples and then on the other, which forget the first.

Maini et al., NeurIPS 2022, arXiv:2210.15031: what is seldom found among the other samples, as a
wrong label, is forgotten soon once it is trained on no more.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

import numpy as np
import torch

from bat.data import DeviceData, PreparedData
from bat.devices import Runtime
from bat.progress import progress
from bat.streams import generator
from bat.training.dynamics import Dynamics
from bat.training.loop import Training
from bat.training.plain import fresh_model, plain_training

STREAM = "second split"


def split_in_halves(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two halves of the samples at random, as rising positions; the second has the odd one."""
    order = generator(seed, 0, STREAM).permutation(n)
    return np.sort(order[: n // 2]), np.sort(order[n // 2 :])


def forget_halves(
    prepared: PreparedData, data: DeviceData, recipe: dict, seed: int, device: Runtime, title: str
) -> tuple[np.ndarray, list[float]]:
    """Train on each half and then on the other, and watch the half that was first.

    Both trainings of a model follow the whole recipe, the second from the first one's weights
    with an optimizer and a schedule of its own.

    Parameters
    ----------
    prepared : PreparedData
    data : DeviceData
        The same on the device.
    recipe : dict
        With ``architecture`` and ``training``, as watched trainings have it.
    seed : int
        Of the halves, and of all that the trainings draw.
    device : Runtime
    title : str
        For the progress.

    Returns
    -------
    margins : ndarray of float32, shape (n_epochs, n)
        Each sample's margin (above 0 is right) after every epoch on the half that does not hold
        it, in eval mode and without augmentation, of the model that was trained on its own half
        before.
    seconds : list of float
        What the epochs of this number took, in all trainings together, looks included.
    """
    halves, epochs = split_in_halves(len(data.train_labels), seed), recipe["training"]["epochs"]
    margins = np.empty((epochs, len(data.train_labels)), np.float32)
    seconds = [0.0] * epochs
    with progress(f"{title}, by halves", 4 * epochs) as bar:

        def run(training: Training, watch: Callable[[], None] = lambda: None) -> None:
            for epoch in range(epochs):
                start = time.monotonic()
                statistics = training.run_epoch()
                watch()
                seconds[epoch] += time.monotonic() - start
                bar.advance(f"loss {statistics['loss']:.3f}")

        for at, (own, other) in enumerate((halves, halves[::-1])):
            index = [torch.as_tensor(half, device=device.device) for half in (own, other)]
            model = fresh_model(prepared, recipe, device, seed=seed, trial=at, stream=STREAM)
            about = {"seed": seed, "trial": 1 + 2 * at}  # 0 are trainings on all samples
            first = plain_training(model, data, index[0], recipe, device, **about)
            run(first)
            about = {"seed": seed, "trial": 2 + 2 * at, "forward": first.forward}
            second = plain_training(model, data, index[1], recipe, device, **about)
            recorder = Dynamics(len(own), observe=("margin",))
            of_own = data.train_images[index[0]], data.train_labels[index[0]]
            run(second, functools.partial(recorder.look, model, *of_own))
            margins[:, own] = recorder.course()["margin"]
    return margins, seconds

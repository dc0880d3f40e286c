"""How much each training sample, under attack, looks like another class to a trained model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bat import files
from bat.attacks import (
    check_adversarial,
    eval_mode,
    forward,
    full_precision,
    linf_attack,
    start_noise,
)
from bat.checkpoints import load_model
from bat.checkpoints.formats import checkpoint_digest, of_file
from bat.data import PreparedData, as_float
from bat.devices import Runtime
from bat.objectives import wrong_class
from bat.progress import progress
from bat.validation import made_already

BATCH = 500


def poisoning_scores(
    model: nn.Module,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    eps: float,
    step: float,
    steps: int,
    seed: int,
    batch_size: int = BATCH,
    report: Callable[[int], None] | None = None,
) -> dict[str, np.ndarray]:
    """Attack every sample, also those that are misclassified already, and score it.

    The model is in eval mode, and afterwards as it was; products are in float32
    without TF32. Random starts belong to (seed, position) alone.

    Parameters
    ----------
    model : nn.Module
        Maps float images in [0, 1] to logits, shape (batch, classes).
    images : ndarray of uint8, shape (n, channels, height, width)
    labels : ndarray of int, shape (n,)
    eps, step : float
        Of PGD, on the [0, 1] scale.
    steps : int
    seed : int
    batch_size : int
    report : callable, optional
        Called with the number of samples done.

    Returns
    -------
    dict of str to ndarray, shape (n,)
        ``score`` (float64 in [0, 1], equation 6) and ``predicted`` (int64), the
        wrong class that has it, under attack; ``predicted_clean`` (int64), the
        likeliest wrong class on the image as it is, y_2 of appendix B.3.

    Raises
    ------
    AttackError
        If the attack leaves its ball or is not finite.
    """
    device = next(model.parameters()).device
    parts: dict[str, list[Tensor]] = {"score": [], "predicted": [], "predicted_clean": []}
    with full_precision():
        for rows in torch.arange(len(labels)).split(batch_size):
            x = as_float(torch.from_numpy(images[rows.numpy()]).to(device))
            y = torch.from_numpy(labels[rows.numpy()]).to(device, torch.int64)
            noise = start_noise(rows, x.shape[1:], seed).to(device)
            attacked = linf_attack(
                model,
                x,
                y,
                eps=eps,
                step=step,
                steps=steps,
                start=(x + eps * noise).clamp_(0.0, 1.0),
            ).x
            check_adversarial(f"PGD-{steps}", x, attacked, eps, rows)
            with eval_mode(model), torch.no_grad():
                score, predicted = wrong_class(forward(model, attacked), y)
                _, predicted_clean = wrong_class(forward(model, x), y)
            for values, part in zip(
                parts.values(), (score.double(), predicted, predicted_clean), strict=True
            ):
                values.append(part.cpu())
            if report is not None:
                report(int(rows[-1]) + 1)
    return {name: torch.cat(values).numpy() for name, values in parts.items()}


def score_checkpoint(
    checkpoint: Path,
    prepared: PreparedData,
    spec: dict,
    out: Path,
    *,
    device: Runtime,
    command: str,
) -> None:
    """Score every training sample under a run's model and write the table.

    The attack is PGD as the run's history has it, with the run's seed.

    Parameters
    ----------
    checkpoint : path
        A state dict of the run.
    prepared : PreparedData
    spec : dict
        The run's specification.
    out : path
        The table, of kind ``poisoning``.
    device : Runtime
    command : str

    Raises
    ------
    ArtifactError
        If the checkpoint is damaged, or of another architecture or class count.
    """
    info, architecture = prepared.info, spec["architecture"]
    attack = {**spec["adversary"], "steps": spec["history"]["steps"]}
    made_of = {"checkpoint": checkpoint_digest(checkpoint)}
    before = of_file(checkpoint)
    done = made_already(out, "poisoning", prepared, recipe=spec, inputs=made_of, before=before)
    if done is not None:
        return
    model = load_model(checkpoint, architecture, prepared, device, network=spec.get("network"))
    title = f"{spec['dataset']} {architecture} {spec['run']} seed {spec['seed']} poisoning scores"
    with progress(title, info["n_train"]) as bar:
        scores = poisoning_scores(
            model,
            prepared.train_images,
            prepared.train_labels,
            **attack,
            seed=spec["seed"],
            report=bar.update,
        )
    labels = np.asarray(prepared.train_labels)
    files.write_table(
        out,
        "poisoning",
        {"index": np.arange(len(labels)), "label": labels, **scores},
        fingerprint=info["fingerprint"],
        recipe=spec,
        command=command,
        identity=files.place_of(out) | {"dataset": spec["dataset"]},
        inputs=made_of,
        attack=attack,
        checkpoint_sha256=files.sha256_of(checkpoint),
    )

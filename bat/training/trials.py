"""Trainings on random subsets, many in one process (paper, A.1).

A trial is a function of the seed and its number: subset, initial parameters,
order and augmentation. How trials are grouped into shards changes nothing, and
a trial that is found in any shard of the same recipe is not trained again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from bat import config, extensions, files
from bat.data import PreparedData, as_float, to_device
from bat.devices import Runtime
from bat.errors import ArtifactError, BatError, MisplacedError
from bat.models import build_for
from bat.objectives import ERM
from bat.progress import log, progress
from bat.reading import lies_there
from bat.scores.margins import margins as margins_of
from bat.scores.subsets import subset
from bat.streams import torch_seed
from bat.training.loop import DivergedError, Training
from bat.training.own_trials import OwnTrainer
from bat.training.trial_rows import trial_row
from bat.validation import read_checked
from bat.validation.trials import holding

# samples judged at once: what a processor's cache holds, and what fills a GPU
EVALUATION_BATCH = {"cpu": 100, "cuda": 1000}


def run_shard(
    out: Path,
    prepared: PreparedData,
    recipe: dict,
    first: int,
    last: int,
    members: int,
    *,
    device: Runtime,
    command: str,
    margins: bool = True,
) -> None:
    """Train the trials of one shard and write them as one table.

    Trials that a shard beside ``out`` holds, or that an earlier, interrupted
    run of this job left, are taken over. Each trial is on disk as soon as it
    is trained.

    Parameters
    ----------
    out : path
        ``.../trials/{architecture}-{first}-{last}.parquet``.
    prepared : PreparedData
    recipe : dict
        From `bat.plan.specifications.trial_recipe`.
    first, last : int
        Trial numbers, both included.
    members : int
        Trials below this number also keep their class probabilities on the
        training samples, for disagreement and confidence.
    device : Runtime
    command : str
        For the metadata.
    margins : bool
        Whether trials that are trained now keep their margins, where the trainer
        gives logits. Those that are there already stay as they are.
    """
    provenance = {"fingerprint": prepared.fingerprint, "recipe": recipe, "command": command}
    partial = out.parent / ".partial" / recipe["architecture"]
    for folder in (out.parent, partial):
        files.remove_leftovers(folder)
    wanted = range(first, last + 1)
    found = {
        trial: row
        for trial, row in _find(out.parent, partial, wanted, prepared, recipe).items()
        if trial >= members or row["probabilities"][0].is_valid
    }
    title = f"{out.parent.parent.name} {recipe['architecture']} trials {first}-{last}"
    if found:
        log.info("%s: %d of %d are there already", title, len(found), len(wanted))
    missing = [trial for trial in wanted if trial not in found]
    if missing:
        log.info("%s: %d to train on %s", title, len(missing), device.name)
        trainer = (OwnTrainer if "trainer" in recipe else TrialTrainer)(prepared, recipe, device)
        with progress(title, len(wanted), done=len(found)) as bar:
            for trial in missing:
                row = trainer.train(
                    trial,
                    keep_probabilities=trial < members,
                    keep_margins=margins,
                    report=lambda share, note: bar.update(len(found) + min(share, 0.999), note),
                )
                found[trial] = pa.table(row, schema=files.SCHEMAS["trials"])
                path = partial / f"{trial:06d}.parquet"
                files.write_table(path, "trials", found[trial], **provenance)
                bar.advance(
                    f"accuracy {row['included_accuracy'][0]:.3f} included, "
                    f"{row['test_accuracy'][0]:.3f} test"
                )
    elif _holds(out, found.keys(), prepared, recipe):
        out.touch()
        return
    table = pa.concat_tables([found[trial] for trial in wanted])
    files.write_table(out, "trials", table, **provenance)
    for trial in wanted:
        (partial / f"{trial:06d}.parquet").unlink(missing_ok=True)


def _find(
    folder: Path, partial: Path, wanted: range, prepared: PreparedData, recipe: dict
) -> dict[int, pa.Table]:
    """Wanted trials of this recipe by number, each a table of one row."""
    paths = [partial / f"{trial:06d}.parquet" for trial in wanted]
    for path in folder.glob(f"{recipe['architecture']}-*.parquet"):
        if not _SHARD.fullmatch(path.stem):
            log.warning("%s: not used, a shard's name ends in its first and last trial", path)
            continue
        first, last = shard_range(path)
        if first <= wanted[-1] and last >= wanted[0]:
            paths.append(path)
    rows: dict[int, pa.Table] = {}
    for path in filter(lies_there, paths):
        try:
            found = _rows_of(path, prepared, recipe)
        except MisplacedError:
            raise
        except ArtifactError as error:
            log.warning("not used, its trials are trained again: %s", error)
            continue
        for trial in found.keys() & set(wanted):
            if trial not in rows or holding(found[trial]) > holding(rows[trial]):
                rows[trial] = found[trial]
    return rows


_SHARD = re.compile(r".+-(\d+)-(\d+)")


def shard_range(path: Path) -> tuple[int, int]:
    """First and last trial number that a shard's file name tells."""
    name = _SHARD.fullmatch(path.stem)
    if name is None:
        raise BatError(
            f"{path}: no name of a shard; expected ARCHITECTURE-FIRST-LAST.parquet with the "
            "numbers of its first and last trial, as small_cnn-000000-000049.parquet"
        )
    return int(name[1]), int(name[2])


def _holds(path: Path, trials: Collection[int], prepared: PreparedData, recipe: dict) -> bool:
    """Whether a shard can be read, and has these trials and no others."""
    try:
        return _rows_of(path, prepared, recipe).keys() == set(trials)
    except ArtifactError:
        return False


def _rows_of(path: Path, prepared: PreparedData, recipe: dict) -> dict[int, pa.Table]:
    about = files.read_metadata(path, "trials")
    if about["fingerprint"] != prepared.fingerprint or about["recipe"] != recipe:
        return {}
    table, _ = read_checked(path, "trials", prepared)
    return {int(t): table.slice(i, 1) for i, t in enumerate(files.column(table, "trial"))}


class TrialTrainer:
    """Trains one trial after the other with one load of the data and one compilation."""

    def __init__(self, prepared: PreparedData, recipe: dict, device: Runtime):
        self.recipe, self.device = recipe, device
        self.training = config.SubsetTraining.model_validate(recipe["training"])
        self.data = to_device(prepared, device.device)
        self.info = prepared.info
        self.model = device.place(self._fresh(0))
        self.forward = torch.compile(self.model) if device.compile else self.model

    def _fresh(self, trial: int):
        return build_for(
            self.recipe["architecture"],
            self.info,
            network=self.recipe.get("network"),
            seed=torch_seed(self.recipe["seed"], trial, "init"),
        )

    def train(
        self,
        trial: int,
        *,
        keep_probabilities: bool,
        keep_margins: bool = True,
        report: Callable[[float, str], None] = lambda share, note: None,
    ) -> dict:
        """Train one trial; its row, as columns of length one.

        Parameters
        ----------
        trial : int
        keep_probabilities, keep_margins : bool
        report : callable
            Called before each step with the share of the steps that are done, and
            where the trial is.

        Raises
        ------
        DivergedError
            If a loss, a weight or a probability is not finite, naming the trial.
        """
        start = time.monotonic()
        n = len(self.data.train_labels)
        included = subset(self.recipe["seed"], trial, n, self.recipe["subset_ratio"])
        self.model.load_state_dict(self._fresh(trial).state_dict())
        training = Training(
            self.model,
            ERM(),
            self.data,
            torch.from_numpy(np.flatnonzero(included)).to(self.device.device),
            self.training,
            seed=self.recipe["seed"],
            trial=trial,
            device=self.device,
            forward=self.forward,
        )
        n_steps, epochs = training.steps_per_epoch, self.training.epochs

        def say() -> bool:
            share = (training.epoch * n_steps + training.step) / (epochs * n_steps)
            report(share, f"trial {trial} in epoch {training.epoch + 1} of {epochs}")
            return False

        try:
            with extensions.heard_in(f"trial {trial}", self.recipe.get("network")):
                for _ in range(epochs):
                    training.run_epoch(say)
        except DivergedError as error:
            raise DivergedError(f"trial {trial}: {error}") from None
        data = self.data
        train, train_correct, of_train = self._judge(trial, data.train_images, data.train_labels)
        _, test_correct, of_test = self._judge(trial, data.test_images, data.test_labels)
        return trial_row(
            self.recipe,
            trial,
            included,
            train_correct,
            test_correct,
            seconds=time.monotonic() - start,
            device=self.device.label(training.precision),
            probabilities=train.cpu().numpy() if keep_probabilities else None,
            margins=(of_train, of_test) if keep_margins else None,
        )

    def _judge(
        self, trial: int, images: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
        """Class probabilities, which of them are right, and the margins of the logits."""
        logits = outputs(self.model, images)
        found = logits.softmax(1)
        wrong = int((~found.isfinite().all(1)).sum())
        if wrong:
            raise DivergedError(
                f"trial {trial}: after the last epoch ({self.training.epochs}) the probabilities "
                f"of {wrong} of {len(found)} samples are not finite; lower the learning rate "
                f"({self.training.lr:g}), or warm up"
            )
        correct = (found.argmax(1) == labels).cpu().numpy()
        return found, correct, margins_of(logits.cpu().numpy(), labels.cpu().numpy())


def probabilities(model, images: torch.Tensor) -> torch.Tensor:
    """Class probabilities in eval mode and float32, without augmentation.

    Parameters
    ----------
    model : Classifier
    images : Tensor of uint8, shape (n, channels, height, width)

    Returns
    -------
    Tensor of float32, shape (n, n_classes)
    """
    return outputs(model, images).softmax(1)


@torch.no_grad()
def outputs(model, images: torch.Tensor) -> torch.Tensor:
    """Logits in eval mode and float32, without augmentation.

    Parameters
    ----------
    model : Classifier
    images : Tensor of uint8, shape (n, channels, height, width)

    Returns
    -------
    Tensor of float32, shape (n, n_classes)
    """
    model.eval()
    batches = images.split(EVALUATION_BATCH[images.device.type])
    return torch.cat([model(as_float(x)) for x in batches])

"""A run under way: trained, selected and measured, with a state from which it goes on."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

import bat
from bat import config, extensions, files
from bat.attacks import PGD, global_draws
from bat.attacks.evaluation import NotFiniteError, evaluate
from bat.checkpoints.formats import printable, read_checkpoint
from bat.data import PreparedData, to_device
from bat.devices import Runtime
from bat.errors import ArtifactError, BatError
from bat.files.bits import pack
from bat.models import OwnNetwork
from bat.objectives import build_objective
from bat.progress import log
from bat.reading import Expected, check_values, lies_there
from bat.scores.subsets import HISTORY_SAMPLES, measured_samples
from bat.streams import torch_seed
from bat.training.averaging import averaged
from bat.training.inputs import (
    MadeOf,
    check_memorized,
    hold_out,
    identity,
    score_masks,
    training_index,
)
from bat.training.loop import DivergedError, Training
from bat.training.starting import first_model

EVALUATION_BATCH = 250  # a gradient of WRN-28-10 on so many images fits where its training fits


_STATE: Expected = {
    "spec": (dict,),
    "inputs": (dict,),
    "identity": (dict,),
    "training": (dict,),
    "rows": (list,),
    "row": (dict,),
    "best": (dict,),
}
_STEPS: Expected = {"epoch": (int, 0, 2**31 - 1), "step": (int, 0, 2**31 - 1)}


class Run:
    """One run of adversarial training under way: its model, its history so far, its best epoch."""

    def __init__(self, prepared: PreparedData, spec: dict, made_of: MadeOf, device: Runtime):
        self.spec, self.device, self.prepared, self.made_of = spec, device, prepared, made_of
        self.recipe = config.Training.model_validate(spec["training"])
        seed, info = spec["seed"], prepared.info
        index = training_index(prepared, spec, made_of)
        held = np.zeros(0, np.int64)
        if spec["selection"]["by"] == "validation":
            index, held = hold_out(index, spec["selection"]["validation"], seed)
        model = first_model(prepared, spec, made_of.start)
        self.data = to_device(prepared, device.device)
        memorized, unmemorized = score_masks(spec, made_of.scores)
        check_memorized(spec, index, memorized, unmemorized)
        model = device.place(model)
        recorders, self.model = averaged(spec.get("averaging"), model)
        self.training = Training(
            model,
            build_objective(spec["objective"]),
            self.data,
            torch.from_numpy(index).to(device.device),
            self.recipe,
            seed=seed,
            trial=0,
            device=device,
            forward=torch.compile(model) if device.compile else None,
            memorized=None if memorized is None else torch.from_numpy(memorized).to(device.device),
            unmemorized=None
            if unmemorized is None
            else torch.from_numpy(unmemorized).to(device.device),
            recorders=recorders,
        )
        self.forward = self.training.forward
        if self.model is not model:
            self.forward = torch.compile(self.model) if device.compile else self.model
        self.selection = {
            "validation": (self.data.train_images[held], self.data.train_labels[held]),
            "test": (self.data.test_images, self.data.test_labels),
            "last": None,
        }[spec["selection"]["by"]]
        limit = spec["history"]["max_samples"] or HISTORY_SAMPLES
        self.measured = measured_samples(info, None if limit == "all" else limit)
        self.rows: list[dict] = []
        self.row: dict = {}  # of the epoch that is trained, and not yet selected and measured
        self.best: dict = {"accuracy": -1.0, "epoch": 0, "weights": {}}

    def resume_from(self, path: Path) -> None:
        """Go on from the state in a file, where it is one of this run, these data and inputs."""
        if not lies_there(path):
            return
        state = read_checkpoint(path)
        if not isinstance(state, dict) or not {"spec", "training", "rows", "best"} <= state.keys():
            raise ArtifactError(f"{path}: holds no state of a run; remove it to start anew")
        check_values(str(path), state, _STATE, ArtifactError)
        check_values(str(path), state["training"], _STEPS, ArtifactError)
        content = {"inputs": {}} | state | {"recipe": state["spec"]}
        files.check_identity(path, content)
        early = "inputs" not in state and path.stat().st_mtime + files.COPYING < self.made_of.since
        if state["spec"] != self.spec:
            log.info("%s: of other settings; starting anew", path)
        elif early or files.changed_inputs(content, self._inputs()):
            log.info("%s: of other data, groups or scores; starting anew", path)
        else:
            try:
                if "inputs" in state:  # version 0.1.0 noted no precision
                    _ = state["training"]["precision"]
                self.training.restore(state["training"])
            except (LookupError, TypeError, AttributeError, ValueError, RuntimeError) as error:
                raise ArtifactError(
                    f"{path}: holds no state of this run ({type(error).__name__}: "
                    f"{printable(error)}); remove it to start anew"
                ) from None
            self.rows, self.best, self.row = state["rows"], state["best"], state.get("row", {})
            step = "measuring it" if self.row else f"step {self.training.step + 1}"
            log.info("going on in epoch %d, %s", len(self.rows) + 1, step)

    def _inputs(self) -> dict[str, str]:
        return {"data": self.prepared.info["fingerprint"], **self.made_of.digests}

    def state(self) -> dict:
        """All that the run needs to go on exactly where it is, as ``resume.pt`` holds it."""
        return {
            "spec": self.spec,
            "identity": identity(self.spec) | {"checkpoint": "resume"},
            "inputs": self._inputs(),
            "training": self.training.state(),
            "rows": self.rows,
            "row": self.row,
            "best": self.best,
        }

    def checkpoint(self, name: str, weights: dict[str, Tensor]) -> dict:
        """Weights, and all that another needs to use them: what ``best.pt`` holds."""
        info = self.prepared.info
        return {
            "format_version": files.FORMAT_VERSION,
            "state_dict": weights,
            "architecture": self.spec["architecture"],
            **self._normalization(),
            "class_names": info["class_names"],
            "fingerprint": info["fingerprint"],
            "identity": identity(self.spec) | {"checkpoint": name},
            "inputs": self._inputs(),
            "epoch": self.recipe.epochs if name == "last" else self.best["epoch"],
            "package_version": bat.__version__,
        }

    def _normalization(self) -> dict:
        """How images enter the network; one of somebody's own is named beside it."""
        network, info = self.spec.get("network"), self.prepared.info
        if network is not None:
            return {"normalization": None, "network": network}
        return {"normalization": {"mean": info["mean"], "std": info["std"]}}

    def weights(self) -> dict[str, Tensor]:
        """The state dict of the model that is looked at, copied to the CPU, contiguous."""
        state = self.model.state_dict()
        return {
            name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, value in state.items()
        }

    def advance(self, look_up: Callable[[], None]) -> None:
        """Train to the end of the epoch and measure; ``look_up`` may raise at every step.

        It is called before each training step and between batches of the
        measurements. `state` is then one from which a call goes on to the same end.

        Raises
        ------
        BatError
            If code of one's own fails, naming it.
        """
        codes = self.spec["objective"].get("code"), self.spec.get("network")
        with extensions.heard_in("training", *codes):
            self._advance(look_up)

    def _advance(self, look_up: Callable[[], None]) -> None:
        training = self.training
        if not self.row:
            # what `look_up` raises leaves the epoch in the middle
            statistics = training.run_epoch(lambda: bool(look_up()))
            self.row = {"epoch": training.epoch, "undefined": training.undefined, **statistics}
        if "selection_accuracy" not in self.row:
            self.row["selection_accuracy"] = self._select(look_up)
        every, last = self.spec["history"]["every"], training.epoch == self.recipe.epochs
        if last or (every and training.epoch % every == 0):
            self.row |= self._measure(look_up)
        accuracy = self.row["selection_accuracy"]
        if accuracy is None or accuracy > self.best["accuracy"]:
            self.best = {
                "accuracy": -1.0 if accuracy is None else accuracy,
                "epoch": training.epoch,
                "weights": self.weights(),
            }
        self.rows.append(self.row)
        self.row = {}

    def share(self) -> float:
        """How much of the epoch under way is trained, below 1."""
        if self.row:
            return 0.999
        return min(self.training.step / self.training.steps_per_epoch, 0.999)

    def note(self) -> str:
        """Where the run is, and how it stands after the last whole epoch."""
        where = "measuring" if self.row else f"step {self.training.step}"
        if not self.rows:
            return where
        row = self.rows[-1]
        note = f"loss {row['loss']:.3f}"
        if row["selection_accuracy"] is not None:
            by = self.spec["selection"]["by"]
            note += f", {by} accuracy under PGD {row['selection_accuracy']:.3f}"
        return note if self.share() == 0 else f"{note}; {where}"

    def _flags(
        self, what: str, images: Tensor, labels: Tensor, steps: int, look_up: Callable[[], None]
    ) -> dict[str, np.ndarray]:
        adversary = self.spec["adversary"]
        attack = PGD(eps=adversary["eps"], step=adversary["step"], steps=steps)
        own = isinstance(self.model, OwnNetwork)  # which may draw, in eval mode too
        drawn = torch_seed(self.spec["seed"], 0, f"{what}-{self.training.epoch}") if own else None
        try:
            with (
                global_draws(drawn, self.device.device),
                self.device.autocast(self.training.precision),
            ):
                return evaluate(
                    self.forward,
                    images,
                    labels,
                    {"pgd": attack},
                    batch_size=EVALUATION_BATCH,
                    seed=self.spec["seed"],
                    progress=lambda *done: look_up(),
                )
        except NotFiniteError as error:
            raise DivergedError(
                f"after step {self.training.steps_per_epoch}, the last of epoch "
                f"{self.training.epoch}: {error}"
            ) from None

    def _select(self, look_up: Callable[[], None]) -> float | None:
        if self.selection is None:
            return None
        steps = self.spec["selection"]["steps"]
        return float(self._flags("selection", *self.selection, steps, look_up)["pgd"].mean())

    def _measure(self, look_up: Callable[[], None]) -> dict:
        row = {}
        for split in ("train", "test"):
            index = torch.from_numpy(self.measured[split]).to(self.device.device)
            images = getattr(self.data, f"{split}_images")[index]
            labels = getattr(self.data, f"{split}_labels")[index]
            flags = self._flags(split, images, labels, self.spec["history"]["steps"], look_up)
            row |= {f"{split}_{name}": pack(correct) for name, correct in flags.items()}
        return row

    def history(self) -> pa.Table:
        """The rows as a table; statistics that a method or an epoch does not have are null."""
        schema = files.SCHEMAS["history"]
        unknown = self._uncolumned()
        if unknown and self.spec["objective"]["method"] != "own":
            raise BatError(f"statistics without a column in the history: {unknown}")
        return pa.table(
            [
                pa.array([row.get(f.name) for row in self.rows], type=f.type, from_pandas=True)
                for f in schema
            ],
            schema=schema,
        )

    def _uncolumned(self) -> list[str]:
        columns = {*files.SCHEMAS["history"].names, "undefined"}
        return sorted({name for row in self.rows for name in row} - columns)

    def own_statistics(self) -> dict[str, dict[str, list[float | None]]]:
        """What a method of one's own records beside the columns of the history, by epoch."""
        if not self._uncolumned():
            return {}
        return {
            "own_statistics": {
                name: [
                    None if math.isnan(value := row.get(name, math.nan)) else value
                    for row in self.rows
                ]
                for name in self._uncolumned()
            }
        }

    def undefined_steps(self) -> dict[str, list[int]]:
        """For each statistic that some batch did not have, the number of such steps by epoch."""
        counts = [row.get("undefined", {}) for row in self.rows]
        names = sorted({name for of_epoch in counts for name in of_epoch})
        return {name: [of_epoch.get(name, 0) for of_epoch in counts] for name in names}

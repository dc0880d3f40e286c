"""One adversarial training from its specification to checkpoints and history.

A run is a function of its specification (method, samples, settings, seed) and
the data. It can be stopped at any step and goes on exactly where it was.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

import bat
from bat import config
from bat.attacks import PGD, build_attack
from bat.attacks.evaluation import NotFiniteError, evaluate
from bat.checkpoints import load_model
from bat.checkpoints.formats import checkpoint_digest, of_file, printable, read_checkpoint
from bat.data import PreparedData, to_device
from bat.devices import Runtime
from bat.errors import BatError
from bat.files import artifacts
from bat.files.artifacts import ArtifactError, MisplacedError, column
from bat.files.bits import pack
from bat.models import build_for
from bat.objectives import build_objective
from bat.progress import Progress, log, progress
from bat.reading import Expected, check_values
from bat.scores import SCORES
from bat.scores.fit import fit_facts, fit_sentence
from bat.scores.subsets import HISTORY_SAMPLES, measured_samples
from bat.stopping import Stopped, signals_kept
from bat.streams import generator, torch_seed
from bat.training.loop import DivergedError, Training
from bat.validation import made_already, read_checked

EVALUATION_BATCH = 250  # a gradient of WRN-28-10 on so many images fits where its training fits
REPORT_EVERY = 10.0  # seconds between two lines of an attack


@dataclass(frozen=True)
class Inputs:
    """What a run reads beside the data.

    Attributes
    ----------
    groups : path, optional
        Folder of the typical and atypical groups; needed where the run does
        not train on the whole set.
    scores : path, optional
        Folder of the score tables; needed by BAT.
    """

    groups: Path | None = None
    scores: Path | None = None


def train_run(
    out: Path,
    prepared: PreparedData,
    spec: dict,
    inputs: Inputs,
    *,
    device: Runtime,
    command: str,
    checkpoint_every: float = 60.0,
) -> None:
    """Train one run; write ``last.pt``, ``best.pt`` and ``history.parquet`` into ``out``.

    Checkpoints are plain state dicts. While the run is under way, its state is
    in ``resume.pt``, also while it selects or measures; a run that is complete
    already is left as it is.

    Parameters
    ----------
    out : path
        Folder of the run.
    prepared : PreparedData
    spec : dict
        From `bat.plan.specifications`.
    inputs : Inputs
    device : Runtime
    command : str
        For the metadata.
    checkpoint_every : float
        Seconds between two writes of the state.

    Raises
    ------
    BatError
        If a group is empty, or a table is of another data set.
    DivergedError
        If a loss, a weight or a prediction is not finite; the last good state
        stays.
    Stopped
        After a signal, with the state written; the same call goes on from it.
    """
    artifacts.remove_leftovers(out)
    made_of = read_inputs(prepared, spec, inputs)
    if _is_complete(out, prepared, spec, made_of):
        for name in ("last.pt", "best.pt", "history.parquet"):
            (out / name).touch()
        (out / "resume.pt").unlink(missing_ok=True)
        log.info("%s: complete already", out)
        return
    title = f"{spec['dataset']} {spec['architecture']} {spec['run']} seed {spec['seed']}"
    log.info("%s: starts on %s", title, device.name)
    if sentence := fit_sentence(made_of.fit):
        log.warning("%s: %s", title, sentence)
    run = _Run(prepared, spec, made_of, device)
    resume = out / "resume.pt"
    run.resume_from(resume)
    written = time.monotonic()

    def keep_state() -> None:
        nonlocal written
        artifacts.write_torch(resume, run.state())
        written = time.monotonic()

    with (
        signals_kept() as asked,
        progress(f"{title} epochs", run.recipe.epochs, done=len(run.rows)) as bar,
    ):

        def look_up() -> None:
            bar.update(len(run.rows) + run.share(), run.note())
            if asked:
                keep_state()
                log.info("%s: stopped in epoch %d, state kept", title, len(run.rows) + 1)
                raise Stopped(asked[0], f"epoch {len(run.rows) + 1} goes on where it is")
            if time.monotonic() - written >= checkpoint_every:
                keep_state()

        try:
            while len(run.rows) < run.recipe.epochs:
                run.advance(look_up)
                bar.update(len(run.rows), run.note())
        except DivergedError as error:
            last = f"the last good state is in {resume}"
            if not resume.exists():
                last = "no state was kept, since it came before the first was due"
            raise DivergedError(f"{title}: {error}; {last}") from None
    checkpoints = {
        name: artifacts.write_torch(out / f"{name}.pt", run.checkpoint(name, weights))
        for name, weights in (("last", run.weights()), ("best", run.best["weights"]))
    }
    artifacts.write_table(
        out / "history.parquet",
        "history",
        run.history(),
        fingerprint=prepared.info["fingerprint"],
        recipe=spec,
        command=command,
        identity=_identity(spec),
        inputs=made_of.digests,
        checkpoints=checkpoints,
        device=device.label(run.training.precision),
        best_epoch=run.best["epoch"],
        best_accuracy=run.best["accuracy"],
        undefined_steps=run.undefined_steps(),
        **run.own_statistics(),
        **made_of.fit,
    )
    resume.unlink(missing_ok=True)


def _identity(spec: dict) -> dict:
    return {key: spec[key] for key in ("dataset", "architecture", "run", "seed")}


# -- what a run is made of ------------------------------------------------------------------


@dataclass(frozen=True)
class MadeOf:
    """The tables that a run reads, and what stands for them in its files.

    Attributes
    ----------
    groups, scores : pyarrow.Table, or None
        Those of the training samples; None where the run does not use them.
    digests : dict of str to str
        By the table's name, of the columns that the run uses.
    since : float
        Time at which these values were on disk already, in seconds since 1970;
        infinite where that is not known.
    fit : dict
        What the tables say of how the models behind them fitted, of the worst.
    """

    groups: pa.Table | None
    scores: pa.Table | None
    digests: dict[str, str]
    since: float
    fit: dict


def read_inputs(prepared: PreparedData, spec: dict, inputs: Inputs) -> MadeOf:
    """Read the tables that a run depends on, and check them.

    Raises
    ------
    ArtifactError
        If one is missing, damaged, of another data set, or breaks a rule of its kind.
    """
    wanted = {}
    if spec["train_on"]["atypical"] is not None:
        wanted["groups"] = inputs.groups / "train.parquet", "groups", ["typical", "atypical"]
    if spec["score"] is not None:
        kind = spec["score"]["kind"]
        wanted["scores"] = inputs.scores / f"{kind}.parquet", kind, [kind]
    tables, digests, since, facts = {}, {}, 0.0, []
    for name, (path, kind, columns) in wanted.items():
        tables[name], metadata = read_checked(path, kind, prepared)
        digests[kind] = artifacts.columns_digest(tables[name].select(columns))
        since = max(since, artifacts.written_before(path, metadata, columns))
        facts.append(fit_facts(metadata))
    fit = min(facts, key=lambda f: f.get("accuracies", {}).get("included", 1.0), default={})
    return MadeOf(tables.get("groups"), tables.get("scores"), digests, since, fit)


def _is_complete(out: Path, prepared: PreparedData, spec: dict, made_of: MadeOf) -> bool:
    """Whether a run lies there whole, of these settings and of what it would be made of now."""
    path = out / "history.parquet"
    if not path.exists():
        return False
    try:
        table, metadata = read_checked(path, "history", prepared)
        checkpoints = {name: checkpoint_digest(out / f"{name}.pt") for name in ("last", "best")}
    except MisplacedError:
        raise
    except ArtifactError as error:
        log.warning("%s; the run is trained again", error)
        return False
    if metadata["recipe"] != spec:
        log.info("%s: of other settings; trained again", out)
        return False
    if "inputs" not in metadata:
        return _adopt(path, table, metadata, made_of, checkpoints)
    changed = artifacts.changed_inputs(metadata, made_of.digests)
    if changed:
        log.info("%s: %s changed since; trained again", out, " and ".join(changed))
        return False
    strange = [
        f"{n}.pt" for n, digest in metadata["checkpoints"].items() if checkpoints[n] != digest
    ]
    if strange:
        log.warning(
            "%s: %s not as the run left it; the run is trained again", out, " and ".join(strange)
        )
    return not strange


def _adopt(
    path: Path, table: pa.Table, metadata: dict, made_of: MadeOf, checkpoints: dict[str, str]
) -> bool:
    """Take over a run of version 0.1.0, which does not say what it was made of, by its time."""
    if path.stat().st_mtime + artifacts.COPYING < made_of.since:
        log.info("%s: %s changed since; trained again", path.parent, " or ".join(made_of.digests))
        return False
    facts = {k: metadata[k] for k in ("best_epoch", "best_accuracy", "command", "recipe")}
    artifacts.write_table(
        path,
        "history",
        table,
        fingerprint=metadata["fingerprint"],
        identity=_identity(metadata["recipe"]),
        inputs=made_of.digests,
        checkpoints=checkpoints,
        adopted_from=metadata["package_version"],
        **facts,
    )
    log.info(
        "%s: made by version %s, which noted no %s; by its time it is of what lies there now, "
        "and from now on it says so",
        *(path.parent, metadata["package_version"], " or ".join(["inputs", *made_of.digests])),
    )
    return True


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


class _Run:
    def __init__(self, prepared: PreparedData, spec: dict, made_of: MadeOf, device: Runtime):
        self.spec, self.device, self.prepared, self.made_of = spec, device, prepared, made_of
        self.recipe = config.Training.model_validate(spec["training"])
        seed, info = spec["seed"], prepared.info
        index = training_index(prepared, spec, made_of.groups)
        held = np.zeros(0, np.int64)
        if spec["selection"]["by"] == "validation":
            index, held = _hold_out(index, spec["selection"]["validation"], seed)
        model = build_for(
            spec["architecture"],
            info,
            network=spec.get("network"),
            seed=torch_seed(seed, 0, "init"),
        )
        self.data = to_device(prepared, device.device)
        memorized, unmemorized = score_masks(spec, made_of.scores)
        model = device.place(model)
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
        )
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
        if not path.exists():
            return
        state = read_checkpoint(path)
        if not isinstance(state, dict) or not {"spec", "training", "rows", "best"} <= state.keys():
            raise ArtifactError(f"{path}: holds no state of a run; remove it to start anew")
        check_values(str(path), state, _STATE, ArtifactError)
        check_values(str(path), state["training"], _STEPS, ArtifactError)
        content = {"inputs": {}} | state | {"recipe": state["spec"]}
        artifacts.check_identity(path, content)
        early = (
            "inputs" not in state and path.stat().st_mtime + artifacts.COPYING < self.made_of.since
        )
        if state["spec"] != self.spec:
            log.info("%s: of other settings; starting anew", path)
        elif early or artifacts.changed_inputs(content, self._inputs()):
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
        return {
            "spec": self.spec,
            "identity": _identity(self.spec) | {"checkpoint": "resume"},
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
            "format_version": artifacts.FORMAT_VERSION,
            "state_dict": weights,
            "architecture": self.spec["architecture"],
            **self._normalization(),
            "class_names": info["class_names"],
            "fingerprint": info["fingerprint"],
            "identity": _identity(self.spec) | {"checkpoint": name},
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
        """The model's state dict, copied to the CPU, contiguous."""
        state = self.training.model.state_dict()
        return {
            name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, value in state.items()
        }

    def advance(self, look_up: Callable[[], None]) -> None:
        """Train to the end of the epoch and measure; ``look_up`` may raise at every step.

        It is called before each training step and between batches of the
        measurements. `state` is then one from which a call goes on to the same end.
        """
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
        self, images: Tensor, labels: Tensor, steps: int, look_up: Callable[[], None]
    ) -> dict[str, np.ndarray]:
        adversary = self.spec["adversary"]
        attack = PGD(eps=adversary["eps"], step=adversary["step"], steps=steps)
        try:
            with self.device.autocast(self.training.precision):
                return evaluate(
                    self.training.forward,
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
        return float(self._flags(*self.selection, steps, look_up)["pgd"].mean())

    def _measure(self, look_up: Callable[[], None]) -> dict:
        row = {}
        for split in ("train", "test"):
            index = torch.from_numpy(self.measured[split]).to(self.device.device)
            images = getattr(self.data, f"{split}_images")[index]
            labels = getattr(self.data, f"{split}_labels")[index]
            flags = self._flags(images, labels, self.spec["history"]["steps"], look_up)
            row |= {f"{split}_{name}": pack(correct) for name, correct in flags.items()}
        return row

    def history(self) -> pa.Table:
        """The rows as a table; statistics that a method or an epoch does not have are null."""
        schema = artifacts.SCHEMAS["history"]
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
        columns = {*artifacts.SCHEMAS["history"].names, "undefined"}
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


def training_index(prepared: PreparedData, spec: dict, groups: pa.Table | None) -> np.ndarray:
    """Positions of the training samples that a run may use, in order.

    Parameters
    ----------
    prepared : PreparedData
    spec : dict
    groups : pyarrow.Table, or None
        Of the training samples, where the run does not use all of them.

    Raises
    ------
    BatError
        If the typical group, or a wanted part of the atypical one, is empty.
    """
    share = spec["train_on"]["atypical"]
    if share is None:
        return np.arange(prepared.info["n_train"])
    typical, atypical = (np.flatnonzero(column(groups, name)) for name in ("typical", "atypical"))
    for name, group in (("typical", typical), ("atypical", atypical)):
        if len(group) == 0:
            raise BatError(
                f"the {name} training group of {spec['dataset']} is empty, so the run "
                f"{spec['run']} has nothing to train on or to leave out; change the thresholds in "
                "groups, or raise scores.trials"
            )
    rng = generator(spec["train_on"]["seed"], 0, "atypical")
    drawn = rng.permutation(atypical)[: round(share * len(atypical))]
    return np.sort(np.concatenate([typical, drawn]))


def _hold_out(index: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The samples to train on, and those held out for the choice of the epoch."""
    n_held = round(share * len(index))
    if not 0 < n_held < len(index):
        raise BatError(
            f"selection.validation = {share:g} holds out {n_held} of {len(index)} training "
            "samples; choose a share that leaves some on both sides, or select by 'last'"
        )
    order = generator(seed, 0, "validation").permutation(len(index))
    return np.sort(index[order[n_held:]]), np.sort(index[order[:n_held]])


def score_masks(spec: dict, scores: pa.Table | None) -> tuple[np.ndarray | None, np.ndarray | None]:
    """BAT's masks of all training samples: above sigma, and below it (equations 7 and 9).

    Where low scores are atypical the two change places. Other methods need none.
    """
    if spec["score"] is None:
        return None, None
    kind, sigma = spec["score"]["kind"], spec["score"]["sigma"]
    values = column(scores, kind)
    memorized, unmemorized = SCORES[kind].split(values, sigma)
    for what, mask in (("atypical", memorized), ("typical", unmemorized)):
        if not mask.any():
            raise BatError(
                f"no training sample of {spec['dataset']} is {what} with {kind} and sigma = "
                f"{sigma:g} (scores from {values.min():.3g} to {values.max():.3g}); "
                f"set another sigma for the run {spec['run']}"
            )
    return memorized, unmemorized


# -- evaluation -----------------------------------------------------------------------------


def evaluate_checkpoint(
    checkpoint: Path,
    architecture: str,
    prepared: PreparedData,
    spec: dict,
    out: Path,
    *,
    device: Runtime,
    command: str,
    normalize: bool | None = None,
    key: str | None = None,
    network: dict | None = None,
) -> dict[str, float]:
    """Judge every test sample under a trained model, clean and under each attack.

    Parameters
    ----------
    checkpoint : path
        Ours, or anyone's, as for `checkpoints.load_model`.
    architecture : str
    prepared : PreparedData
    spec : dict
        From `bat.plan.specifications.evaluation_specification`.
    out : path
        The evaluation table.
    device : Runtime
    command : str
    normalize, key, network : optional
        As for `checkpoints.load_model`.

    Returns
    -------
    dict of str to float
        Accuracies, clean and under each attack.

    Raises
    ------
    ArtifactError
        If the checkpoint is damaged, or of another architecture or class count.
    """
    info = prepared.info
    order = generator(spec["seed"], 0, "evaluated").permutation(info["n_test"])
    index = np.sort(order[: spec["max_samples"] or info["n_test"]])
    made_of = {"checkpoint": checkpoint_digest(checkpoint), "asked": f"{normalize} {key}"}
    if network is not None:
        made_of["network"] = network["sha256"]
    done = made_already(
        out, "evaluations", prepared, recipe=spec, inputs=made_of, before=of_file(checkpoint)
    )
    if done is not None:
        names = ["clean", *spec["attacks"]]
        return {name: float(column(done, name).astype(bool).mean()) for name in names}
    model = load_model(
        checkpoint,
        architecture,
        prepared,
        device,
        normalize=normalize,
        key=key,
        network=network,
    )
    title = f"{spec['dataset']} {architecture} {out.parent.name} {out.stem}"
    attacks: dict[str, Progress] = {}

    def report(name: str, done: int, total: int) -> None:
        if name not in attacks:
            attacks[name] = Progress(f"{title}, {name}", total, done=done, every=REPORT_EVERY)
        attacks[name].update(done, "samples" if done < total else "")

    flags = evaluate(
        model,
        prepared.test_images[index],
        np.asarray(prepared.test_labels)[index],
        {name: build_attack(name, settings) for name, settings in spec["attacks"].items()},
        batch_size=spec["batch_size"],
        seed=spec["seed"],
        progress=report,
    )
    columns = {name: flags.get(name) for name in artifacts.SCHEMAS["evaluations"].names[1:]}
    artifacts.write_table(
        out,
        "evaluations",
        {
            "index": index,
            **{k: [None] * len(index) if v is None else v for k, v in columns.items()},
        },
        fingerprint=info["fingerprint"],
        recipe=spec,
        command=command,
        identity=artifacts.place_of(out) | {"dataset": spec["dataset"]},
        inputs=made_of,
        architecture=architecture,
        checkpoint_sha256=artifacts.sha256_of(checkpoint),
        normalization={k: getattr(model, k).flatten().tolist() for k in ("mean", "std")},
    )
    return {name: float(values.mean()) for name, values in flags.items()}

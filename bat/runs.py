"""One adversarial training from its specification to checkpoints and history.

A run is a function of its specification (method, samples, settings, seed) and
the data. It can be stopped at any step and goes on exactly where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from bat import artifacts, config, objectives
from bat.artifacts import ArtifactError, column, read_table
from bat.attacks import PGD, AutoAttack, cw, fgsm
from bat.data import PreparedData, to_device
from bat.devices import Runtime
from bat.errors import BatError
from bat.evaluation import NotFiniteError, evaluate
from bat.fit import fit_facts, fit_sentence
from bat.models import Classifier, build_model
from bat.progress import Progress, log, progress
from bat.stopping import Stopped, signals_kept
from bat.subsets import HISTORY_SAMPLES, generator, measured_samples, pack, torch_seed
from bat.training import DivergedError, Training

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
        From `bat.studies`.
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
    if _is_complete(out, spec):
        for name in ("last.pt", "best.pt", "history.parquet"):
            (out / name).touch()
        (out / "resume.pt").unlink(missing_ok=True)
        log.info("%s: complete already", out)
        return
    title = f"{spec['dataset']} {spec['architecture']} {spec['run']} seed {spec['seed']}"
    log.info("%s: starts on %s", title, device.name)
    fit = _fit_of_scores(spec, inputs)
    if sentence := fit_sentence(fit):
        log.warning("%s: %s", title, sentence)
    run = _Run(prepared, spec, inputs, device)
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
    artifacts.write_torch(out / "last.pt", run.weights())
    artifacts.write_torch(out / "best.pt", run.best["weights"])
    artifacts.write_table(
        out / "history.parquet",
        "history",
        run.history(),
        fingerprint=prepared.info["fingerprint"],
        recipe=spec,
        command=command,
        best_epoch=run.best["epoch"],
        best_accuracy=run.best["accuracy"],
        undefined_steps=run.undefined_steps(),
        **fit,
    )
    resume.unlink(missing_ok=True)


def _fit_of_scores(spec: dict, inputs: Inputs) -> dict:
    """What the tables that a run goes by say of the models behind them."""
    tables = []
    if spec["train_on"]["atypical"] is not None:
        tables.append((inputs.groups / "train.parquet", "groups"))
    if spec["score"] is not None:
        kind = spec["score"]["kind"]
        tables.append((inputs.scores / f"{kind}.parquet", kind))
    facts = [fit_facts(artifacts.read_metadata(path, kind)) for path, kind in tables]
    return min(facts, key=lambda f: f.get("accuracies", {}).get("included", 1.0), default={})


def _is_complete(out: Path, spec: dict) -> bool:
    try:
        metadata = artifacts.read_metadata(out / "history.parquet", "history")
    except ArtifactError:
        return False
    return metadata["recipe"] == spec and all((out / f"{n}.pt").exists() for n in ("last", "best"))


class _Run:
    def __init__(self, prepared: PreparedData, spec: dict, inputs: Inputs, device: Runtime):
        self.spec, self.device, self.prepared = spec, device, prepared
        self.recipe = config.Training.model_validate(spec["training"])
        seed, info = spec["seed"], prepared.info
        index = training_index(prepared, spec, inputs)
        held = np.zeros(0, np.int64)
        if spec["selection"]["by"] == "validation":
            index, held = _hold_out(index, spec["selection"]["validation"], seed)
        model = build_model(
            spec["architecture"],
            n_classes=len(info["class_names"]),
            channels=info["shape"][0],
            mean=info["mean"],
            std=info["std"],
            seed=torch_seed(seed, 0, "init"),
        )
        self.data = to_device(prepared, device.device)
        memorized, typical = score_masks(prepared, spec, inputs)
        method = dict(spec["objective"])
        model = device.place(model)
        self.training = Training(
            model,
            objectives.OBJECTIVES[method.pop("method")](**method),
            self.data,
            torch.from_numpy(index).to(device.device),
            self.recipe,
            seed=seed,
            trial=0,
            device=device,
            forward=torch.compile(model) if device.compile else None,
            memorized=None if memorized is None else torch.from_numpy(memorized).to(device.device),
            typical=None if typical is None else torch.from_numpy(typical).to(device.device),
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
        if not path.exists():
            return
        state = artifacts.read_torch(path)
        if state["spec"] != self.spec:
            log.info("%s: of other settings; starting anew", path)
            return
        self.training.restore(state["training"])
        self.rows, self.best, self.row = state["rows"], state["best"], state.get("row", {})
        step = "measuring it" if self.row else f"step {self.training.step + 1}"
        log.info("going on in epoch %d, %s", len(self.rows) + 1, step)

    def state(self) -> dict:
        return {
            "spec": self.spec,
            "training": self.training.state(),
            "rows": self.rows,
            "row": self.row,
            "best": self.best,
        }

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
            with self.device.autocast(self.recipe.precision):
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
        unknown = {name for row in self.rows for name in row} - {*schema.names, "undefined"}
        if unknown:
            raise BatError(f"statistics without a column in the history: {sorted(unknown)}")
        return pa.table(
            [
                pa.array([row.get(f.name) for row in self.rows], type=f.type, from_pandas=True)
                for f in schema
            ],
            schema=schema,
        )

    def undefined_steps(self) -> dict[str, list[int]]:
        """For each statistic that some batch did not have, the number of such steps by epoch."""
        counts = [row.get("undefined", {}) for row in self.rows]
        names = sorted({name for of_epoch in counts for name in of_epoch})
        return {name: [of_epoch.get(name, 0) for of_epoch in counts] for name in names}


def training_index(prepared: PreparedData, spec: dict, inputs: Inputs) -> np.ndarray:
    """Positions of the training samples that a run may use, in order.

    Raises
    ------
    BatError
        If the typical group, or a wanted part of the atypical one, is empty.
    """
    share = spec["train_on"]["atypical"]
    if share is None:
        return np.arange(prepared.info["n_train"])
    table, _ = read_table(
        inputs.groups / "train.parquet", "groups", fingerprint=prepared.info["fingerprint"]
    )
    typical, atypical = (np.flatnonzero(column(table, name)) for name in ("typical", "atypical"))
    for name, group in (("typical", typical), ("atypical", atypical)):
        if len(group) == 0:
            raise BatError(
                f"the {name} training group of {spec['dataset']} is empty "
                f"({inputs.groups / 'train.parquet'}), so the run {spec['run']} has nothing to "
                "train on or to leave out; change the thresholds in groups, or raise scores.trials"
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


def score_masks(
    prepared: PreparedData, spec: dict, inputs: Inputs
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """BAT's masks of all training samples: above sigma, and below it (equations 7 and 9).

    Where low scores are atypical (confidence) the two change places. Other
    methods need none.
    """
    if spec["score"] is None:
        return None, None
    kind, sigma = spec["score"]["kind"], spec["score"]["sigma"]
    table, _ = read_table(
        inputs.scores / f"{kind}.parquet", kind, fingerprint=prepared.info["fingerprint"]
    )
    values = column(table, kind)
    above, below = values > sigma, values < sigma
    memorized, typical = (below, above) if kind == "confidence" else (above, below)
    for what, mask in (("atypical", memorized), ("typical", typical)):
        if not mask.any():
            raise BatError(
                f"no training sample of {spec['dataset']} is {what} with {kind} and sigma = "
                f"{sigma:g} (scores from {values.min():.3g} to {values.max():.3g}); "
                f"set another sigma for the run {spec['run']}"
            )
    return memorized, typical


# -- evaluation -----------------------------------------------------------------------------


def evaluate_checkpoint(
    checkpoint: Path,
    architecture: str,
    prepared: PreparedData,
    spec: dict,
    out: Path,
    *,
    normalize: bool,
    device: Runtime,
    command: str,
) -> dict[str, float]:
    """Judge every test sample under a trained model, clean and under each attack.

    Parameters
    ----------
    checkpoint : path
        A state dict, plain or under the key ``state_dict``.
    architecture : str
    prepared : PreparedData
    spec : dict
        From `bat.studies.evaluation_specification`.
    out : path
        The evaluation table.
    normalize : bool
        Whether the model was trained on images normalized by the data set's
        channel statistics, as ours are.
    device : Runtime
    command : str

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
    model = load_model(checkpoint, architecture, prepared, device, normalize=normalize)
    order = generator(spec["seed"], 0, "evaluated").permutation(info["n_test"])
    index = np.sort(order[: spec["max_samples"] or info["n_test"]])
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
        {name: _attack(name, settings) for name, settings in spec["attacks"].items()},
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
        architecture=architecture,
        checkpoint_sha256=artifacts.sha256_of(checkpoint),
    )
    return {name: float(values.mean()) for name, values in flags.items()}


def _attack(name: str, settings: dict):
    return {"fgsm": fgsm, "pgd": PGD, "cw": cw, "aa": AutoAttack}[name](**settings)


def load_model(
    checkpoint: Path,
    architecture: str,
    prepared: PreparedData,
    device: Runtime,
    *,
    normalize: bool = True,
) -> Classifier:
    """A trained model on the device, in eval mode; parameters as for `evaluate_checkpoint`."""
    info = prepared.info
    n_classes = len(info["class_names"])
    model = build_model(
        architecture,
        n_classes=n_classes,
        channels=info["shape"][0],
        mean=info["mean"] if normalize else None,
        std=info["std"] if normalize else None,
    )
    load_weights(model, checkpoint, f"{architecture} with {n_classes} classes")
    return device.place(model).eval()


def load_weights(model: torch.nn.Module, path: Path, what: str) -> None:
    """Load a state dict, plain or under ``state_dict``, with or without wrapper prefixes.

    Raises
    ------
    ArtifactError
        If names or shapes differ, saying which.
    """
    state = artifacts.read_torch(path)
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ArtifactError(f"{path}: holds no state dict of tensors; expected one of {what}")
    for prefix in ("module.", "_orig_mod.", "model."):
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    own = model.state_dict()
    wrong = [f"{name} is missing" for name in own.keys() - state.keys()]
    wrong += [f"{name} is not known" for name in state.keys() - own.keys()]
    wrong += [
        f"{name} has shape {tuple(state[name].shape)}, expected {tuple(own[name].shape)}"
        for name in own.keys() & state.keys()
        if state[name].shape != own[name].shape
    ]
    if wrong:
        raise ArtifactError(
            f"{path}: not a state dict of {what}: {len(wrong)} entries differ, for example "
            f"{'; '.join(sorted(wrong)[:3])}. Name the architecture and the data set that the "
            "checkpoint was trained with"
        )
    model.load_state_dict(state)

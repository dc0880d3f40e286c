"""What a run is made of: the tables that it reads, and the samples and masks they give it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from bat import files
from bat.data import PreparedData
from bat.errors import BatError
from bat.files import column
from bat.files.indices import indices_digest, read_indices
from bat.scores import SCORES
from bat.scores.fit import fit_facts
from bat.scores.ranking import ends, table_of
from bat.streams import generator
from bat.training.starting import start_of
from bat.validation import read_checked


@dataclass(frozen=True)
class Inputs:
    """What a run reads beside the data.

    Attributes
    ----------
    groups : path, optional
        Folder of the typical and atypical groups; needed where the run does
        not train on the whole set.
    scores : path, optional
        Folder of the score tables; needed by BAT, and to leave samples out by a score.
    start : path, optional
        ``best.pt`` of the run that it starts from, where it starts from one.
    """

    groups: Path | None = None
    scores: Path | None = None
    start: Path | None = None


@dataclass(frozen=True)
class MadeOf:
    """The tables that a run reads, and what stands for them in its files.

    Attributes
    ----------
    groups, scores, dropped : pyarrow.Table, or None
        Those of the training samples, ``dropped`` the scores by which some are left
        out; None where the run does not use them.
    digests : dict of str to str
        By the table's name, of the columns that the run uses.
    since : float
        Time at which these values were on disk already, in seconds since 1970;
        infinite where that is not known.
    fit : dict
        What the tables say of how the models behind them fitted, of the worst.
    start : path, or None
        The checkpoint that it starts from.
    """

    groups: pa.Table | None
    scores: pa.Table | None
    digests: dict[str, str]
    since: float
    fit: dict
    dropped: pa.Table | None = None
    start: Path | None = None


def read_inputs(prepared: PreparedData, spec: dict, inputs: Inputs) -> MadeOf:
    """Read the tables that a run depends on, and check them.

    Raises
    ------
    ArtifactError
        If one is missing, damaged, of another data set, or breaks a rule of its kind.
    """
    wanted, dropped = {}, _dropped(spec)
    if spec["train_on"]["atypical"] is not None or "group" in dropped:
        wanted["groups"] = inputs.groups / "train.parquet", "groups", ["typical", "atypical"]
    for name, score in (("scores", spec["score"]), ("dropped", dropped)):
        if score and "kind" in score:
            kind = score["kind"]
            table = table_of(kind)
            wanted[name] = inputs.scores / f"{table}.parquet", table, [kind]
    tables, digests, since, facts = {}, {}, 0.0, []
    for name, (path, kind, columns) in wanted.items():
        tables[name], metadata = read_checked(path, kind, prepared)
        made_of = columns[0] if kind == "proxies" else kind
        digests[made_of] = files.columns_digest(tables[name].select(columns))
        since = max(since, files.written_before(path, metadata, columns))
        facts.append(fit_facts(metadata))
    fit = min(facts, key=lambda f: f.get("accuracies", {}).get("included", 1.0), default={})
    start, of_start = start_of(spec, inputs.start)
    read = (tables.get(name) for name in ("groups", "scores"))
    return MadeOf(*read, digests | of_start, since, fit, tables.get("dropped"), start)


def _dropped(spec: dict) -> dict:
    """Which samples a run leaves out: a group, or the end of a score; empty for none."""
    return spec.get("samples", {}).get("drop", {})


def training_index(prepared: PreparedData, spec: dict, made_of: MadeOf) -> np.ndarray:
    """Positions of the training samples that a run may use, in order.

    Parameters
    ----------
    prepared : PreparedData
    spec : dict
    made_of : MadeOf
        With the tables that the choice goes by.

    Returns
    -------
    ndarray of int64, shape (n,)
        As the data set numbers them, which is how all else of the run does.

    Raises
    ------
    BatError
        If no sample is left, the typical group or a wanted part of the atypical
        one is empty, or a list of samples is not that of the specification.
    """
    everything, dropped = np.arange(prepared.info["n_train"]), _dropped(spec)
    if spec["train_on"]["atypical"] is not None:
        return _by_groups(spec, made_of.groups)
    if "group" in dropped:
        return np.flatnonzero(~_groups(spec, made_of.groups)[dropped["group"]])
    if dropped:
        high, _ = _split(dropped, column(made_of.dropped, dropped["kind"]))
        if high.all() or not high.any():
            raise BatError(
                f"the run {spec['run']} of {spec['dataset']} leaves out the samples with "
                f"{dropped['kind']} beyond {_threshold(dropped)}, which are "
                f"{'all' if high.all() else 'none'} of the {len(high)}; set another threshold"
            )
        return np.flatnonzero(~high)
    if "samples" in spec:
        return _kept(spec, len(everything))
    return everything


def _kept(spec: dict, n: int) -> np.ndarray:
    """The samples of the list that the run keeps to, as it was when it was specified."""
    kept = spec["samples"]["keep"]
    index = read_indices(Path(kept["file"]), n)
    if indices_digest(index) != kept["sha256"]:
        raise BatError(
            f"{kept['file']}: lists other samples than when the run {spec['run']} was asked for; "
            "start the workflow again, which trains on those that it lists now"
        )
    return np.array(index, np.int64)


def _groups(spec: dict, groups: pa.Table) -> dict[str, np.ndarray]:
    """The masks of both groups; neither may be empty."""
    masks = {name: column(groups, name).astype(bool) for name in ("typical", "atypical")}
    for name, mask in masks.items():
        if not mask.any():
            raise BatError(
                f"the {name} training group of {spec['dataset']} is empty, so the run "
                f"{spec['run']} has nothing to train on or to leave out; change the thresholds in "
                "groups, or raise scores.trials"
            )
    return masks


def _by_groups(spec: dict, groups: pa.Table) -> np.ndarray:
    """All typical samples, and the share of the atypical ones."""
    masks, share = _groups(spec, groups), spec["train_on"]["atypical"]
    typical, atypical = (np.flatnonzero(masks[name]) for name in ("typical", "atypical"))
    rng = generator(spec["train_on"]["seed"], 0, "atypical")
    drawn = rng.permutation(atypical)[: round(share * len(atypical))]
    return np.sort(np.concatenate([typical, drawn]))


def hold_out(index: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
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

    Where low scores are atypical the two change places. With ``top`` the highest share counts as
    above, and all others as below. Other methods need none.
    """
    if spec["score"] is None:
        return None, None
    kind, threshold = spec["score"]["kind"], _threshold(spec["score"])
    values = column(scores, kind)
    memorized, unmemorized = _split(spec["score"], values)
    for what, mask in (("atypical", memorized), ("typical", unmemorized)):
        if not mask.any():
            raise BatError(
                f"no training sample of {spec['dataset']} is {what} with {kind} and {threshold} "
                f"(scores from {values.min():.3g} to {values.max():.3g}); set another threshold "
                f"for the run {spec['run']}"
            )
    return memorized, unmemorized


def check_memorized(
    spec: dict, index: np.ndarray, memorized: np.ndarray | None, unmemorized: np.ndarray | None
) -> None:
    """Refuse BAT on samples of its own choice where one of its losses has none to act on.

    Parameters
    ----------
    spec : dict
    index : ndarray of int64, shape (n,)
        The samples that it trains on.
    memorized, unmemorized : ndarray of bool, shape (n_train,), or None
        From `score_masks`.

    Raises
    ------
    BatError
    """
    settings = spec["objective"]
    if "samples" not in spec or settings["method"] != "bat":
        return
    for key, name, mask in (("alpha", "atypical", memorized), ("beta", "typical", unmemorized)):
        if settings[key] > 0 and not mask[index].any():
            raise BatError(
                f"the run {spec['run']} of {spec['dataset']} trains on {len(index)} samples, of "
                f"which none is {name}; set {key}: 0, which turns off the loss that is of "
                "them, or choose other samples"
            )


def _threshold(score: dict) -> str:
    name = "top" if "top" in score else "sigma"
    return f"{name} = {score[name]:g}"


def _split(score: dict, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The samples that count as memorized, and the others."""
    kind = score["kind"]
    if "top" not in score:
        return SCORES[kind].split(values, score["sigma"])
    return ends(kind, values, top=score["top"], bottom=1)


def identity(spec: dict) -> dict:
    """Whose files those of a run are."""
    return {key: spec[key] for key in ("dataset", "architecture", "run", "seed")}

"""From trial shards to score tables, groups, and the studies of the scores.

Each function is one stage of the workflow: it reads files, checks that they
belong together, and writes its tables. The computing is done in
`bat.scores`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from bat.data import PreparedData
from bat.errors import BatError
from bat.files import artifacts
from bat.files.artifacts import ArtifactError, DamagedError, column, write_table
from bat.files.bits import unpack
from bat.progress import log
from bat.scores import convergence, influence, influence_convergence, memorization
from bat.scores.chance import counts_of, is_mostly_chance, memorization_by_chance
from bat.scores.ensembles import confidence, disagreement
from bat.scores.estimates import convergence_steps
from bat.scores.fit import chance_accuracy, fit_facts, fit_sentence, require_fit
from bat.scores.groups import test_groups, train_groups
from bat.validation import GROUPS_MADE_OF, check_together, groups_inputs, read_checked

CONVERGENCE_REPEATS = 20


@dataclass(frozen=True)
class Trials:
    """What all trials of one architecture say, one row per trial, by trial number.

    Attributes
    ----------
    included, train_correct : ndarray of bool, shape (n_trials, n_train)
    test_correct : ndarray of bool, shape (n_trials, n_test)
    accuracies : dict of str to float
        Means over trials: ``included``, ``excluded``, ``test``.
    recipe : dict
        What the trials share, with the number of ``trials``.
    probabilities : ndarray of float16, shape (n_members, n_train, n_classes), or None
    """

    included: np.ndarray
    train_correct: np.ndarray
    test_correct: np.ndarray
    accuracies: dict[str, float]
    recipe: dict
    probabilities: np.ndarray | None = None

    def digest(self) -> str:
        """What stands for the trials in the ``inputs`` of what is made of them."""
        digest = hashlib.sha256()
        for mask in (self.included, self.train_correct, self.test_correct):
            digest.update(f"{mask.shape}\n".encode())
            digest.update(np.packbits(mask))
        return digest.hexdigest()


def read_trials(
    shards: Sequence[Path],
    prepared: PreparedData,
    n_trials: int,
    *,
    recipe: dict,
    members: int = 0,
    probabilities: np.ndarray | None = None,
) -> Trials:
    """Read the shards of one architecture.

    A damaged shard is set aside under the name ``*.damaged``, so that the next
    run of the workflow trains its trials again.

    Parameters
    ----------
    shards : sequence of path
    prepared : PreparedData
    n_trials : int
        Trials 0 to ``n_trials - 1`` are wanted, each exactly once.
    recipe : dict
        The recipe that every shard must have.
    members : int
        Read the class probabilities of the first so many trials, and only these
        trials.
    probabilities : ndarray of float16, shape (members, n_train, n_classes), optional
        Gets these, one trial at a time, so that several ensembles share an array.

    Raises
    ------
    ArtifactError
        If a shard is damaged, missing, of another recipe or data set, or if
        trials are missing or double.
    """
    wanted = range(members or n_trials)
    n_train, n_test = prepared.info["n_train"], prepared.info["n_test"]
    if members and probabilities is None:
        shape = (members, n_train, len(prepared.info["class_names"]))
        probabilities = np.empty(shape, np.float16)
    rows: dict[int, dict] = {}
    for path in shards:
        for row in _read_shard(Path(path), prepared, recipe, with_probabilities=members > 0):
            trial = row["trial"]
            if trial in rows:
                raise ArtifactError(f"{path}: trial {trial} is also in another shard")
            content = row.pop("probabilities", None)
            if members and trial in wanted:
                _place(content, probabilities, trial, recipe, members)
                _check_probabilities(path, prepared, row, probabilities[trial])
            rows[trial] = row
    missing = [trial for trial in wanted if trial not in rows]
    if missing:
        raise ArtifactError(
            f"trials {missing[:5]}{'...' if len(missing) > 5 else ''} are in none of the "
            f"{len(shards)} shards; {len(wanted)} trials are needed"
        )
    chosen = [rows[trial] for trial in wanted]
    return Trials(
        included=np.stack([unpack(row["included"], n_train) for row in chosen]),
        train_correct=np.stack([unpack(row["train_correct"], n_train) for row in chosen]),
        test_correct=np.stack([unpack(row["test_correct"], n_test) for row in chosen]),
        accuracies={
            name: float(np.mean([row[f"{name}_accuracy"] for row in chosen]))
            for name in ("included", "excluded", "test")
        },
        recipe=recipe | {"trials": len(chosen)},
        probabilities=probabilities,
    )


def _place(
    content: pa.Scalar, probabilities: np.ndarray, trial: int, recipe: dict, members: int
) -> None:
    """Copy one trial's class probabilities from its row's buffer to their place."""
    if not content.is_valid:
        raise ArtifactError(
            f"the shards of {recipe['architecture']} hold no class probabilities for some of "
            f"the first {members} trials; run the workflow, which trains these again"
        )
    place = probabilities[trial]
    place[...] = np.frombuffer(content.as_buffer(), np.float16).reshape(place.shape)


def _check_probabilities(
    path: Path, prepared: PreparedData, row: dict, probabilities: np.ndarray
) -> None:
    """Refuse class probabilities that are not those of the trial's own predictions."""
    correct = unpack(row["train_correct"], prepared.info["n_train"])
    top = probabilities.max(axis=1)
    alone = (probabilities == top[:, None]).sum(axis=1) == 1  # float16 makes ties of float32
    right = probabilities.argmax(axis=1) == np.asarray(prepared.train_labels)
    if not np.isfinite(top).all() or (alone & (right != correct)).any():
        raise ArtifactError(
            f"{path}: the class probabilities of trial {row['trial']} are not finite, or another "
            "trial's; remove the shard and run the workflow, which trains its trials again"
        )


def _read_shard(
    path: Path, prepared: PreparedData, recipe: dict, *, with_probabilities: bool
) -> Iterator[dict]:
    """The rows of a shard, their class probabilities where they lie in memory."""
    without = () if with_probabilities else ("probabilities",)
    try:
        table, metadata = read_checked(path, "trials", prepared, without=without)
    except DamagedError as error:
        aside = path.with_name(path.name + ".damaged")
        path.replace(aside)
        raise ArtifactError(
            f"{path}: damaged, and set aside as {aside.name}. Run the same command once more: "
            "its trials are trained again"
        ) from error
    if metadata["recipe"] != recipe:
        raise ArtifactError(
            f"{path}: trained with another recipe than the configured one; run the workflow, "
            "which trains its trials again"
        )
    contents = table["probabilities"] if with_probabilities else None
    if with_probabilities:
        table = table.drop_columns("probabilities")
    for at, row in enumerate(table.to_pylist()):
        yield row if contents is None else row | {"probabilities": contents[at]}


def write_scores(
    shards: Sequence[Path], prepared: PreparedData, spec: dict, out: Path, *, command: str
) -> None:
    """Write ``memorization``, ``influence`` and ``test`` tables (equations 1 and 2)."""
    trials = read_trials(shards, prepared, spec["trials"], recipe=spec["recipe"])
    labels, test_labels = np.asarray(prepared.train_labels), np.asarray(prepared.test_labels)
    provenance = {
        "fingerprint": prepared.info["fingerprint"],
        "dataset": spec["dataset"],
        "recipe": trials.recipe,
        "accuracies": trials.accuracies,
        "chance_accuracy": chance_accuracy(labels),
        "min_included_accuracy": spec["min_included_accuracy"],
        "converged": trials.accuracies["included"] >= spec["min_included_accuracy"],
        "influence": spec["influence"],
        "command": command,
        "identity": {"dataset": spec["dataset"]},
        "inputs": {"trials": trials.digest()},
    }
    require_fit(provenance, spec.get("allow_unfitted", False))
    _warn_of_fit(provenance)
    scores = memorization(trials.included, trials.train_correct)
    pairs = influence(
        trials.included,
        trials.test_correct,
        labels,
        test_labels,
        pairs=spec["influence"]["pairs"],
        keep_above=spec["influence"]["keep_above"],
    )
    index = np.arange(len(labels))
    columns = {name: getattr(scores, name) for name in artifacts.SCHEMAS["memorization"].names[2:]}
    columns |= {"index": index, "label": labels}
    write_table(out / "memorization.parquet", "memorization", columns, **provenance)
    columns = {name: getattr(pairs, name) for name in artifacts.SCHEMAS["influence"].names}
    chance = {"chance": pairs.chance}
    write_table(out / "influence.parquet", "influence", columns, **provenance, **chance)
    columns = {
        "index": np.arange(len(test_labels)),
        "label": test_labels,
        "accuracy": pairs.test_accuracy,
        "max_influence": pairs.max_influence,
        "max_influence_train_index": pairs.max_influence_train_index,
    }
    write_table(out / "test.parquet", "test", columns, **provenance)


def _warn_of_fit(metadata: dict) -> None:
    if sentence := fit_sentence(metadata):
        log.warning("%s Train longer", sentence)


def write_ensembles(
    shards: dict[str, Sequence[Path]],
    prepared: PreparedData,
    spec: dict,
    out: Path,
    *,
    command: str,
) -> None:
    """Write ``disagreement`` and ``confidence`` tables (paper, A.1).

    Parameters
    ----------
    shards : dict of str to sequence of path
        By architecture.
    """
    n, labels = spec["members"], np.asarray(prepared.train_labels)
    n_classes = len(prepared.info["class_names"])
    probabilities = np.empty((n * len(shards), len(labels), n_classes), np.float16)
    members = [
        read_trials(
            paths,
            prepared,
            n,
            recipe=spec["recipes"][name],
            members=n,
            probabilities=probabilities[at * n : (at + 1) * n],
        )
        for at, (name, paths) in enumerate(shards.items())
    ]
    held_out = None
    if spec["samples"] == "held_out":
        held_out = ~np.concatenate([trials.included for trials in members])
    provenance = {
        "fingerprint": prepared.info["fingerprint"],
        "dataset": spec["dataset"],
        "recipe": {name: t.recipe for name, t in zip(shards, members, strict=True)},
        "samples": spec["samples"],
        "accuracies": min((t.accuracies for t in members), key=lambda means: means["included"]),
        "chance_accuracy": chance_accuracy(labels),
        "command": command,
        "identity": {"dataset": spec["dataset"]},
        "inputs": {f"trials of {name}": t.digest() for name, t in zip(shards, members, strict=True)}
        | {"probabilities": hashlib.sha256(probabilities).hexdigest()},
    }
    _warn_of_fit(provenance)
    for name, values in (
        ("disagreement", disagreement(probabilities, held_out)),
        ("confidence", confidence(probabilities, labels, held_out)),
    ):
        columns = {"index": np.arange(len(labels)), "label": labels, name: values}
        write_table(out / f"{name}.parquet", name, columns, **provenance)


def write_groups(
    scores: Path, prepared: PreparedData, spec: dict, out: Path, *, command: str
) -> None:
    """Write the typical and atypical groups of both splits (paper, 3.1 and 3.2)."""
    fingerprint = prepared.info["fingerprint"]
    tables = {
        kind: read_checked(scores / f"{kind}.parquet", kind, prepared) for kind in GROUPS_MADE_OF
    }
    check_together(scores, tables)
    (train, _), (pairs, metadata), (test, _) = tables.values()
    thresholds = spec["groups"]
    significance, rate = thresholds["significance"], thresholds.get("false_discovery")
    counts = counts_of(train, test, metadata)
    if rate is not None and counts is None:
        raise BatError(
            f"{scores}: groups.false_discovery needs the counts of every sample (n_included, "
            "n_excluded and the accuracies), which are not known for these scores; unset it"
        )
    if sentence := fit_sentence(metadata):
        log.warning("%s So are the groups made of them", sentence)
    train_typical, train_atypical = train_groups(
        column(train, "memorization"),
        column(train, "memorization_se"),
        atypical_above=thresholds["atypical_above"],
        typical_below=thresholds["typical_below"],
        significance=significance,
        p=None if rate is None else counts.memorization_p(),
        false_discovery=rate,
    )
    of_pairs = {name: column(pairs, name) for name in pairs.column_names}
    if rate is not None:
        names = ("train_index", "test_index", "influence")
        of_pairs["p"] = counts.influence_p(*(of_pairs[name] for name in names))
    test_typical, test_atypical = test_groups(
        test.num_rows,
        of_pairs,
        train_atypical,
        column(test, "accuracy"),
        keep_above=metadata["influence"]["keep_above"],
        influence_above=thresholds["influence_above"],
        influence_touch=thresholds["influence_touch"],
        min_accuracy=thresholds["min_accuracy"],
        significance=significance,
        n_candidates=None if rate is None else counts.n_candidates(train_atypical),
        false_discovery=rate,
    )
    expected: dict[str, float | None] = {
        "train": memorization_by_chance(train, thresholds["atypical_above"], significance),
        "test": None,
    }
    if counts is not None:
        _, chances = counts.by_chance(train_atypical, thresholds["influence_above"], significance)
        expected["test"] = float(chances.sum())
    groups = {"train": (train_typical, train_atypical), "test": (test_typical, test_atypical)}
    for split, (typical, atypical) in groups.items():
        for name, members in (("typical", typical), ("atypical", atypical)):
            if not members.any():
                log.warning("the %s %s group is empty under the configured thresholds", split, name)
        n = int(atypical.sum())
        chance = {"members": n, "expected": expected[split] if rate is None else rate * n}
        chance["false_discovery"] = rate
        if is_mostly_chance(chance):
            log.warning(
                "of the %d %s atypical samples about %.0f are expected by chance alone; train more "
                "trials, or set groups.false_discovery",
                n,
                split,
                chance["expected"],
            )
        columns = {"index": np.arange(len(typical)), "typical": typical, "atypical": atypical}
        write_table(
            out / f"{split}.parquet",
            "groups",
            columns,
            fingerprint=fingerprint,
            dataset=spec["dataset"],
            recipe=metadata["recipe"],
            thresholds=thresholds,
            chance=chance,
            command=command,
            identity={"dataset": spec["dataset"], "split": split},
            inputs=groups_inputs(scores),
            **fit_facts(metadata),
        )


def write_convergence(
    shards: Sequence[Path], prepared: PreparedData, spec: dict, out: Path
) -> None:
    """Write how the scores settle with the number of trials, as CSV."""
    trials = read_trials(shards, prepared, spec["trials"], recipe=spec["recipe"])
    n_trials, seed = len(trials.included), spec["recipe"]["seed"]
    steps = convergence_steps(n_trials)
    rows = convergence(
        trials.included,
        trials.train_correct,
        steps=steps,
        repeats=CONVERGENCE_REPEATS,
        seed=seed,
    )
    of_pairs = influence_convergence(
        trials.included,
        trials.train_correct,
        trials.test_correct,
        np.asarray(prepared.train_labels),
        np.asarray(prepared.test_labels),
        steps=steps,
        seed=seed,
    )
    table = pd.DataFrame([row | more for row, more in zip(rows, of_pairs, strict=True)])
    artifacts.write_bytes(out, table.to_csv(index=False).encode())
    artifacts.write_label(
        out,
        fingerprint=prepared.info["fingerprint"],
        identity={"dataset": spec["dataset"]},
        inputs={"trials": trials.digest()},
        recipe=trials.recipe,
    )

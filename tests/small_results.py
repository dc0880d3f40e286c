"""A small finished results folder of digits, and the stages that read it, as the workflow has them.

Nothing is drawn: figures are a digest of all that they would show.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pandas as pd
from short_runs import CPU

import bat
from bat import config, data, scoring
from bat.files import read_table, write_bytes, write_json, write_table, write_torch
from bat.files.specifications import read_specification, specification_name
from bat.plan.catalogue import read_catalogue, writer
from bat.plan.shards import shard_names
from bat.plan.specifications import all_specifications
from bat.report.comparison import Comparison
from bat.report.folder import Folder
from bat.scoring.proxies import write_proxies
from bat.studies import annotation, features, poisoning
from bat.training import (
    Inputs,
    Training,
    check_checkpoint,
    courses,
    evaluate_checkpoint,
    read_inputs,
    running,
    train_run,
    trials,
)

ARCHITECTURE, OTHER = "small_cnn-4", "small_cnn-5"
RUNS = ("pgd-at", "bat-1-0.2", "erm-atypical-20", "pgd-at-atypical-20")
SEEDS = (0, 1)
EARLIER = (30, 31)  # trials that an interrupted job left
STOPPED = f"{ARCHITECTURE}/runs/pgd-at-atypical-20/seed7"
SHORT = {"epochs": 2, "batch_size": 50, "lr": 0.05, "milestones": [1]}
SHORT |= {"augmentation": {"crop": 1, "flip": False}}


def configuration(**subsample):
    """Of the data set, checked."""
    others = {name: None for name in config.RUNS if name not in RUNS}
    raw = {
        "data": {"source": "digits", "subsample": {"train": 200, "test": 100} | subsample},
        "scores": {
            "architecture": ARCHITECTURE,
            "trials": 30,
            "trials_per_job": 15,
            "training": {
                "epochs": 8,
                "batch_size": 20,
                "lr": 0.2,
                "augmentation": SHORT["augmentation"],
            },
        },
        "ensemble": {"architectures": [ARCHITECTURE, OTHER], "members": 4, "samples": "in_sample"},
        "proxies": {"names": ["csl", "aum"], "seeds": list(SEEDS)},
        "groups": {"influence_above": 0.4, "influence_touch": 0.4, "min_accuracy": 0.3},
        "architectures": [ARCHITECTURE],
        "seeds": list(SEEDS),
        "adversary": {"eps": 0.1, "step": 0.05, "steps": 2},
        "training": SHORT,
        "selection": {"validation": 0.2, "steps": 2},
        "history": {"every": 1, "steps": 2},
        "evaluation": {
            **{"pgd_steps": 3, "cw_steps": 2, "autoattack": "none", "max_samples": 40},
            "masking": {"samples": 20, "queries": 5},
        },
        "studies": {"training": SHORT, "atypical": [0.2]},
        "runs": others,
    }
    return config.load_config({"datasets": {"digits": raw}})


class Again(Exception):
    """Something would be trained again."""


def matches(path: str, pattern: str) -> bool:
    """As a shell matches: ``*`` and ``?`` stand for no slash."""
    words = re.escape(pattern).replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
    words = words.replace(r"\[", "[").replace(r"\]", "]")
    return re.fullmatch(words, path) is not None


class Stage(NamedTuple):
    """What reads files, by patterns of their paths, and may write others."""

    name: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    run: Callable[[Path], Any]
    specs: tuple[str, ...] = ()

    def concerns(self, path: str) -> bool:
        patterns = (*self.reads, *(f"specs/{spec}-????????????.json" for spec in self.specs))
        return any(matches(path, pattern) for pattern in patterns)


def spec_of(folder: Path, stage: str, seed: int | None = None) -> dict:
    (path,) = folder.glob(f"specs/{stage}-????????????.json")
    return read_specification(path, seed=seed)


def load(folder: Path, verify: bool = False) -> data.PreparedData:
    return data.load(folder / "data", verify=verify)


def shards(folder: Path, architecture: str = ARCHITECTURE) -> list[Path]:
    names = shard_names(architecture, *((30, 15) if architecture == ARCHITECTURE else (4, 4)))
    return [folder / "trials" / name for name in names]


def _run_shard(path: Path, folder: Path) -> None:
    architecture = path.stem.rsplit("-", 2)[0]
    prepared, spec = load(folder, verify=True), spec_of(folder, f"trials-{architecture}")
    numbers = trials.shard_range(path)
    trials.run_shard(
        path, prepared, spec["recipe"], *numbers, spec["members"], device=CPU, command="test"
    )


def _trials(folder: Path) -> None:
    for path in [*shards(folder), *shards(folder, OTHER)]:
        _run_shard(path, folder)


def _interrupted(folder: Path) -> None:
    numbers = "-".join(f"{trial:06d}" for trial in EARLIER)
    _run_shard(folder / "trials" / f"{ARCHITECTURE}-{numbers}.parquet", folder)


def _scores(folder: Path) -> None:
    spec, out = spec_of(folder, "scores"), folder / "scores"
    scoring.write_scores(shards(folder), load(folder), spec, out, command="test")


def _convergence(folder: Path) -> None:
    spec, out = spec_of(folder, "convergence"), folder / "scores" / "convergence.csv"
    scoring.write_convergence(shards(folder), load(folder), spec, out)


def _ensembles(folder: Path) -> None:
    spec, out = spec_of(folder, "ensembles"), folder / "scores"
    needed = {ARCHITECTURE: shards(folder)[:1], OTHER: shards(folder, OTHER)}
    scoring.write_ensembles(needed, load(folder), spec, out, command="test")


def _watched(seed: int, folder: Path) -> None:
    path, spec = (
        folder / "proxies" / f"{ARCHITECTURE}-seed{seed}.parquet",
        spec_of(folder, "courses"),
    )
    courses.record_course(path, load(folder, verify=True), spec, seed, device=CPU, command="test")


def _proxies(folder: Path) -> None:
    given = [folder / "proxies" / f"{ARCHITECTURE}-seed{seed}.parquet" for seed in SEEDS]
    write_proxies(given, load(folder), spec_of(folder, "proxies"), folder, command="test")


def _groups(folder: Path) -> None:
    spec, scores, out = spec_of(folder, "groups"), folder / "scores", folder / "groups"
    scoring.write_groups(scores, load(folder), spec, out, command="test")


def _privacy(folder: Path) -> None:
    spec, groups = spec_of(folder, "privacy"), folder / "groups" / "train.parquet"
    given = shards(folder), groups, load(folder), spec, folder / "scores"
    scoring.write_privacy(*given, command="test")


def _train(out: str, folder: Path) -> None:
    name, seed = Path(out).parts[-2:]
    spec = spec_of(folder, f"{ARCHITECTURE}-run-{name}", int(seed.removeprefix("seed")))
    inputs = Inputs(groups=folder / "groups", scores=folder / "scores")
    train_run(
        folder / out,
        load(folder, verify=True),
        spec,
        inputs,
        device=CPU,
        command="test",
        checkpoint_every=1000,
    )


def _evaluate(of: str, folder: Path) -> None:
    evaluate_checkpoint(
        folder / ARCHITECTURE / "runs" / of / "best.pt",
        ARCHITECTURE,
        load(folder, verify=True),
        spec_of(folder, "evaluation"),
        folder / ARCHITECTURE / "evaluations" / f"{of}.parquet",
        device=CPU,
        command="test",
    )


def _check(of: str, folder: Path) -> None:
    name, seed = of.split("/seed")
    runs = folder / ARCHITECTURE / "runs" / name
    check_checkpoint(
        runs / f"seed{seed}" / "best.pt",
        ARCHITECTURE,
        load(folder, verify=True),
        spec_of(folder, "masking"),
        folder / ARCHITECTURE / "masking" / f"{of}.parquet",
        source=runs / f"seed{1 - int(seed)}" / "best.pt",
        device=CPU,
        command="test",
    )


def _measure(of: str, folder: Path) -> None:
    name, seed = of.split("/")
    spec = spec_of(folder, f"{ARCHITECTURE}-run-{name}", int(seed.removeprefix("seed")))
    place = folder / ARCHITECTURE
    features.represent_checkpoint(
        place / "runs" / of / "last.pt",
        folder / "groups",
        load(folder, verify=True),
        spec,
        place / "representation" / f"{of}.json",
        device=CPU,
        command="test",
    )


def _poison(of: str, folder: Path) -> None:
    name, seed = of.split("/")
    poisoning.score_checkpoint(
        folder / ARCHITECTURE / "runs" / of / "best.pt",
        load(folder, verify=True),
        spec_of(folder, f"{ARCHITECTURE}-run-{name}", int(seed.removeprefix("seed"))),
        folder / ARCHITECTURE / "poisoning" / f"{of}.parquet",
        device=CPU,
        command="test",
    )


def _read_scores(folder: Path) -> None:
    tables = bat.read_scores(folder).tables
    text = "\n".join(f"{kind} {_digest(frame)}" for kind, frame in sorted(tables.items()))
    write_bytes(folder / "shown" / "read.txt", text.encode())


def _figure(name: str, folder: Path) -> None:
    spec = spec_of(folder, "figures")
    writer(read_catalogue()[name])(Folder(folder, spec), folder / "shown" / name)


def _table(name: str, folder: Path) -> None:
    spec = spec_of(folder, f"comparison-{ARCHITECTURE}")
    of_runs = [spec_of(folder, f"{ARCHITECTURE}-run-{run}") for run in RUNS]
    comparison = Comparison(Folder(folder), spec, of_runs)
    writer(read_catalogue()[name])(comparison, folder / "shown" / name)


def _sheet(folder: Path) -> None:
    scores = folder / ARCHITECTURE / "poisoning" / "pgd-at" / "seed0.parquet"
    groups = folder / "groups" / "train.parquet"
    annotation.write_sheet(scores, groups, folder / "data", folder / "shown" / "sheet")


_DATA, _GROUPS, _SCORES = "data/*", "groups/*", "scores/*.parquet"
_PAIRS = [f"{run}/seed{seed}" for run in RUNS for seed in SEEDS]
_MEASURED = [of for of in _PAIRS if "atypical" in of]
_SHARED = ("scores/memorization.parquet", "groups/train.parquet")


def _run_spec(of: str) -> tuple[str]:
    return (f"{ARCHITECTURE}-run-{of.partition('/')[0]}",)


def stages() -> list[Stage]:
    """In the order of the workflow."""

    def bound(function: Callable, *arguments: str) -> Callable[[Path], Any]:
        return lambda folder: function(*arguments, folder)

    place = ARCHITECTURE
    found = [
        Stage(
            "trials",
            (_DATA, "trials/*.parquet"),
            ("trials/*.parquet",),
            _trials,
            (f"trials-{place}",),
        ),
        Stage(
            "interrupted",
            (_DATA, "trials/.partial/*/*"),
            ("trials/*0031*",),
            _interrupted,
            (f"trials-{place}",),
        ),
        Stage("scores", (_DATA, "trials/*.parquet"), ("scores/[mit]*",), _scores, ("scores",)),
        Stage(
            "convergence",
            (_DATA, "trials/*.parquet"),
            ("scores/conv*",),
            _convergence,
            ("convergence",),
        ),
        Stage(
            "ensembles",
            (_DATA, "trials/*.parquet"),
            ("scores/[d]*", "scores/conf*"),
            _ensembles,
            ("ensembles",),
        ),
        *(
            Stage(
                f"watch seed{seed}",
                (_DATA, f"proxies/*-seed{seed}.parquet"),
                (f"proxies/*-seed{seed}.parquet",),
                bound(_watched, seed),
                ("courses",),
            )
            for seed in SEEDS
        ),
        Stage(
            "proxies",
            (_DATA, "proxies/*-seed*.parquet"),
            ("scores/proxies*", "proxies/by_seed*"),
            _proxies,
            ("proxies",),
        ),
        Stage("groups", (_DATA, _SCORES), (_GROUPS,), _groups, ("groups",)),
        Stage(
            "privacy",
            (_DATA, "trials/*.parquet", "groups/train.parquet"),
            ("scores/privacy*",),
            _privacy,
            ("privacy",),
        ),
    ]
    for of in _PAIRS:
        needs = _SHARED[0] if of.startswith("bat") else _SHARED[1] if "atypical" in of else ""
        files = f"{place}/runs/{of}/*"
        found.append(
            Stage(
                f"train {of}",
                (_DATA, needs, files),
                (files,),
                bound(_train, files[:-2]),
                _run_spec(of),
            )
        )
    found.append(
        Stage(
            "resume",
            (_DATA, _SHARED[1], f"{STOPPED}/*"),
            (f"{STOPPED}/*",),
            bound(_train, STOPPED),
            _run_spec("pgd-at-atypical-20/"),
        )
    )
    for of in [of for of in _PAIRS if of not in _MEASURED]:
        out = f"{place}/evaluations/{of}.parquet"
        reads = (_DATA, f"{place}/runs/{of}/best.pt", out)
        found.append(Stage(f"evaluate {of}", reads, (out,), bound(_evaluate, of), ("evaluation",)))
        out = f"{place}/masking/{of}.parquet"
        reads = (_DATA, f"{place}/runs/{of.partition('/')[0]}/*/best.pt", out)
        found.append(Stage(f"check {of}", reads, (out,), bound(_check, of), ("masking",)))
    for of in _MEASURED:
        out = f"{place}/representation/{of}.json"
        reads = (_DATA, _GROUPS, f"{place}/runs/{of}/last.pt", out)
        found.append(Stage(f"represent {of}", reads, (out,), bound(_measure, of), _run_spec(of)))
    for of in [f"pgd-at/seed{seed}" for seed in SEEDS]:
        out = f"{place}/poisoning/{of}.parquet"
        reads = (_DATA, f"{place}/runs/{of}/best.pt", out)
        found.append(Stage(f"poison {of}", reads, (out,), bound(_poison, of), _run_spec(of)))
    shown = ("shown/*", "shown/*/*")
    found.append(Stage("read scores", ("scores/*",), shown, _read_scores))
    for figure in [n for n, entry in read_catalogue().items() if entry.scope == "dataset"]:
        by_group = figure in ("groups", "privacy", "privacy_rates")
        more = ("scores/*", _GROUPS) if by_group else ("scores/*",)
        more = ("scores/*", "proxies/by_seed*") if figure == "proxies" else more
        if figure == "browse":  # what else it shows it may do without
            needed = ("memorization", "influence", "test")
            more = (_GROUPS, *(f"scores/{name}.parquet" for name in needed))
        found.append(
            Stage(f"figure {figure}", (_DATA, *more), shown, bound(_figure, figure), ("figures",))
        )
    for name, reads in {
        "methods": (
            f"{place}/evaluations/*/*",
            f"{place}/masking/*/*",
            "scores/memorization.parquet",
        ),
        "ladder": (f"{place}/evaluations/*/*", "scores/memorization.parquet"),
        "history": ("groups/*", "scores/*", f"{place}/runs/[bp]*/*/history.parquet"),
        "masking": (f"{place}/masking/*/*",),
        "overfitting": ("scores/*", f"{place}/runs/[bp]*/*/history.parquet"),
        "typical": ("groups/*", "scores/*", f"{place}/runs/*atypical*/*/history.parquet"),
        "representation": ("groups/*", "scores/*", f"{place}/representation/*/*"),
        "fig3": ("groups/train.parquet", f"{place}/poisoning/*/*"),
    }.items():
        found.append(
            Stage(
                f"table {name}",
                (_DATA, *reads),
                shown,
                bound(_table, name),
                (f"comparison-{place}",),
            )
        )
    poisoned = (_DATA, "groups/train.parquet", f"{place}/poisoning/*/*")
    return [
        *found,
        Stage("sheet", poisoned, shown, _sheet),
    ]


def make(folder: Path, **subsample: int) -> None:
    """Make all of it, undisturbed."""
    whole = configuration(**subsample)
    specs = all_specifications(whole)
    for (_, stage), spec in specs.items():
        path = folder / "specs" / f"{specification_name(stage, spec)}.json"
        write_json(path, spec)
    data.prepare(whole.datasets["digits"].data, folder / "data", workers=1)
    _interrupted(folder)
    (shard,) = (folder / "trials").glob("*-000031.parquet")
    table, about = read_table(shard, "trials")
    given = {key: about[key] for key in ("fingerprint", "recipe", "command")}
    for at, trial in enumerate(EARLIER):
        path = folder / "trials" / ".partial" / ARCHITECTURE / f"{trial:06d}.parquet"
        write_table(path, "trials", table.slice(at, 1), **given)
    shard.unlink()
    for stage in stages():
        if stage.name != "interrupted":
            stage.run(folder)
    shutil.rmtree(folder / STOPPED)  # of it, the state in the middle
    spec = spec_of(folder, f"{ARCHITECTURE}-run-pgd-at-atypical-20", 7)
    inputs = Inputs(groups=folder / "groups", scores=folder / "scores")
    prepared = load(folder)
    run = running.Run(prepared, spec, read_inputs(prepared, spec, inputs), CPU)
    run.advance(lambda: None)
    write_torch(folder / STOPPED / "resume.pt", run.state())
    shutil.rmtree(folder / "shown")


# -- figures that are not drawn -------------------------------------------------------------


def _digest(value: Any) -> str:
    if isinstance(value, pd.DataFrame):
        text = f"{list(value.columns)} {value.to_csv()}".encode()
    elif isinstance(value, np.ndarray):
        text = np.ascontiguousarray(value).tobytes()
    elif isinstance(value, dict):
        text = " ".join(f"{key} {_digest(inner)}" for key, inner in value.items()).encode()
    else:
        text = repr(value).encode()
    return hashlib.sha256(text).hexdigest()


class _Drawn:
    """A figure, by a digest of what it shows."""

    def __init__(self, *shown: Any):
        self.text = " ".join(map(_digest, shown))
        self.figure = self

    def __repr__(self) -> str:
        return self.text


def _drawing(name: str) -> Callable[..., _Drawn]:
    return lambda *shown, **named: _Drawn(name, *shown, named)


def _save_figure(
    figure: _Drawn, out: Path, table: pd.DataFrame, caption: str, **more: Any
) -> list[Path]:
    path = out.with_suffix(".txt")
    text = f"{figure}\n{caption}\n{_digest(more)}\n{table.to_csv()}"
    write_bytes(path, text.encode())
    return [path]


@contextmanager
def nothing_drawn() -> Iterator[None]:
    with ExitStack() as stack:
        for entry in read_catalogue().values():
            module = import_module(f"bat.{entry.folder}.{entry.name}")
            for name in vars(module):
                if name.startswith(("plot_", "draw")):
                    stack.enter_context(mock.patch.object(module, name, _drawing(name)))
                elif name == "save_figure":
                    stack.enter_context(mock.patch.object(module, name, _save_figure))
        yield


@contextmanager
def nothing_trained() -> Iterator[None]:
    """No trial and no run beside the one that was stopped is trained."""
    run_epoch = Training.run_epoch

    def only_the_stopped(self, *arguments: Any) -> Any:
        if self.seed != 7:
            raise Again
        return run_epoch(self, *arguments)

    with (
        mock.patch.object(Training, "run_epoch", only_the_stopped),
        mock.patch.object(trials, "TrialTrainer", side_effect=Again),
    ):
        yield

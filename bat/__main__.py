"""The command line: ``python -m bat COMMAND``; parses, calls, prints."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import bat
from bat.errors import BatError
from bat.progress import log, progress, start_logging


def main(argv: list[str] | None = None) -> int:
    """Run one command; 0 is success, 2 something that the user can put right."""
    argv = sys.argv[1:] if argv is None else argv
    arguments = _parser().parse_args(argv)
    start_logging(arguments.log)
    if hasattr(arguments, "spec"):
        arguments.line = f"python -m bat {arguments.name} --spec {arguments.spec}"
    try:
        arguments.run(arguments)
    except BatError as error:
        log.error("error: %s", error)
        return 2
    return 0


# -- commands -------------------------------------------------------------------------------


def _prepare(arguments: argparse.Namespace) -> None:
    from pydantic import TypeAdapter

    from bat import config, data
    from bat.artifacts import read_json

    source = TypeAdapter(config.AnyData).validate_python(read_json(arguments.spec)["data"])
    with progress(f"{arguments.out.parent.name} images", 0) as bar:

        def report(done: int, total: int) -> None:
            bar.total = total
            bar.update(done)

        info = data.prepare(source, arguments.out, progress=report, workers=arguments.threads)
    log.info(
        "%s: %d training and %d test images of shape %s in %d classes, fingerprint %s",
        arguments.out,
        info["n_train"],
        info["n_test"],
        "x".join(map(str, info["shape"])),
        len(info["class_names"]),
        info["fingerprint"][:12],
    )


def _trials(arguments: argparse.Namespace) -> None:
    from bat import data, devices, trials
    from bat.artifacts import read_json

    spec, prepared = read_json(arguments.spec), data.load(arguments.data, verify=True)
    trials.check_coverage(prepared, spec["recipe"], arguments.n_trials, arguments.n_held_out)
    with devices.runtime(
        arguments.device,
        threads=arguments.threads,
        compile=arguments.compile,
        jobs_per_gpu=arguments.jobs_per_gpu,
    ) as device:
        trials.run_shard(
            arguments.out,
            prepared,
            spec["recipe"],
            *trials.shard_range(arguments.out),
            spec["members"],
            device=device,
            command=arguments.line,
        )


def _scores(arguments: argparse.Namespace) -> None:
    from bat import data, scoring
    from bat.artifacts import read_json

    spec, prepared = read_json(arguments.spec), data.load(arguments.data)
    scoring.write_scores(arguments.shards, prepared, spec, arguments.out, command=arguments.line)


def _convergence(arguments: argparse.Namespace) -> None:
    from bat import data, scoring
    from bat.artifacts import read_json

    spec, prepared = read_json(arguments.spec), data.load(arguments.data)
    scoring.write_convergence(arguments.shards, prepared, spec, arguments.out)


def _ensembles(arguments: argparse.Namespace) -> None:
    from bat import data, scoring
    from bat.artifacts import read_json

    spec, prepared = read_json(arguments.spec), data.load(arguments.data)
    shards: dict[str, list[Path]] = {name: [] for name in spec["recipes"]}
    for path in arguments.shards:
        shards[path.stem.rsplit("-", 2)[0]].append(path)
    scoring.write_ensembles(shards, prepared, spec, arguments.out, command=arguments.line)


def _groups(arguments: argparse.Namespace) -> None:
    from bat import data, scoring
    from bat.artifacts import read_json

    spec, prepared = read_json(arguments.spec), data.load(arguments.data)
    scoring.write_groups(arguments.scores, prepared, spec, arguments.out, command=arguments.line)


def _figure(arguments: argparse.Namespace) -> None:
    from bat import reports

    folder = reports.Folder(arguments.dataset)
    for path in reports.FIGURES[arguments.figure](folder, arguments.out):
        log.info("%s", path)


def _schema(arguments: argparse.Namespace) -> None:
    from bat import config

    print(json.dumps(config.json_schema(), indent=2))


def _check(arguments: argparse.Namespace) -> None:
    from bat import config

    settings = config.read_config(*arguments.configfile)
    for name, dataset in settings.datasets.items():
        print(
            f"{name}: {dataset.data.source}, {dataset.scores.trials} trials of "
            f"{dataset.scores.architecture}"
        )


# -- parsing --------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bat", description=bat.__doc__)
    parser.add_argument("--version", action="version", version=bat.__version__)
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")

    def add(name: str, run, text: str, *options: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        command.add_argument("--log", type=Path, help="also append the messages to this file")
        for option in options:
            flags, settings = _OPTIONS[option]
            command.add_argument(*flags, **settings)
        return command

    add(
        "prepare", _prepare, "read a data set once and write it as arrays", "spec", "out", "threads"
    )
    command = add(
        "trials",
        _trials,
        "train one shard of subset trainings; its range is in the name of --out",
        *("spec", "data", "out", "threads", "device", "compile", "jobs-per-gpu"),
    )
    for flag, text in (
        ("--n-trials", "trials in all; refused where they leave a score undefined"),
        ("--n-held-out", "trials behind held-out scores, likewise"),
    ):
        command.add_argument(flag, type=int, default=0, help=text)
    for name, run, text in (
        ("scores", _scores, "memorization and influence tables from shards"),
        ("convergence", _convergence, "how the scores settle with the number of trials"),
        ("ensembles", _ensembles, "disagreement and confidence tables from shards"),
    ):
        add(name, run, text, "spec", "data", "out", "shards")
    command = add("groups", _groups, "typical and atypical groups", "spec", "data", "out")
    command.add_argument("--scores", type=Path, required=True, help="folder of the score tables")
    command = add("figure", _figure, "draw one figure beside the values it draws", "out")
    command.add_argument("figure", choices=_figure_names())
    command.add_argument("--dataset", type=Path, required=True, help="results folder of the data")
    add("schema", _schema, "print the JSON schema of the configuration")
    add("check", _check, "check configuration files and say what they ask for", "configfile")
    return parser


def _figure_names() -> list[str]:
    return ["fig5", "fig6", "fig7", "alignment", "convergence", "groups"]


_OPTIONS = {
    "spec": (["--spec"], {"type": Path, "required": True, "help": "specification of the stage"}),
    "data": (["--data"], {"type": Path, "required": True, "help": "folder of the prepared data"}),
    "out": (["--out"], {"type": Path, "required": True, "help": "what is written"}),
    "shards": (
        ["--shards"],
        {"type": Path, "required": True, "nargs": "+", "help": "trial shards"},
    ),
    "threads": (["--threads"], {"type": int, "default": 1, "help": "CPU threads"}),
    "device": (
        ["--device"],
        {"choices": ["auto", "cpu", "cuda"], "default": "auto", "help": "where to train"},
    ),
    "compile": (
        ["--compile"],
        {"action": argparse.BooleanOptionalAction, "default": True, "help": "on a GPU"},
    ),
    "jobs-per-gpu": (["--jobs-per-gpu"], {"type": int, "default": 1, "help": "jobs on one GPU"}),
    "configfile": (["configfile"], {"type": Path, "nargs": "+", "help": "YAML files"}),
}


if __name__ == "__main__":
    sys.exit(main())

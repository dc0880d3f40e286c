"""The command line: ``python -m bat COMMAND``; parses, calls, prints."""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import shlex
import signal
import sys
from pathlib import Path

import bat
from bat.errors import BatError
from bat.escaping import for_terminal
from bat.progress import log, progress, start_logging
from bat.stopping import UNDER_WORKFLOW, Stopped, ended_by_signals


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    0 is success, 1 an output that takes no more, 2 something that the user can
    put right; 128 and a signal's number is a stop by SIGTERM, Ctrl-C or a closed
    terminal, after which the same command goes on from what is on disk.
    """
    argv = sys.argv[1:] if argv is None else argv
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started us; the next file would be it
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    try:
        try:
            return _run(argv)
        finally:
            sys.stdout.flush()
    except OSError as error:
        # files that are written by name say theirs; what is left is the standard output
        if error.filename is not None or error.errno not in _NO_MORE:
            raise
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.EPIPE:  # as after `| head`, which wants no more
            return 128 + signal.SIGPIPE
        log.error("error: the output takes no more: %s", error.strerror)
        return 1


_NO_MORE = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF)


def _run(argv: list[str]) -> int:
    arguments = _parser().parse_args(argv)
    start_logging(arguments.log)
    arguments.words = argv
    try:
        with ended_by_signals():
            arguments.run(arguments)
    except BatError as error:
        log.error("error: %s", error)
        return 2
    except Stopped as stop:
        if UNDER_WORKFLOW in os.environ:  # which itself says it, once for all its jobs
            log.handlers[:] = log.handlers[1:] or log.handlers
        log.warning("%s. To go on: %s", stop, shlex.join(["python", "-m", "bat", *argv]))
        return stop.code
    return 0


def _command(arguments: argparse.Namespace, out: Path | None = None) -> str:
    """The command to record in what it writes: it runs in the folder of ``--out``.

    So it is the same wherever the results lie, and tells nobody's folders.
    """
    out = out or arguments.out
    folder = out.parent if out.suffix else out
    given = {name: value for name, value in vars(arguments).items() if name != "out"} | {"out": out}
    paths = [p for v in given.values() for p in (v if isinstance(v, list) else [v])]
    words, previous = ["python", "-m", "bat"], ""
    for word in arguments.words:
        option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        if "--log" not in (previous, option):
            if "--dataset" in (previous, option) and isinstance(arguments.dataset, Path):
                value = str(arguments.dataset)
            if value and (Path(value) in paths or Path(value) == given.get("dataset")):
                value = os.path.relpath(value, folder)
            words.append(f"{option}{equals}{value}")
        previous = word
    return shlex.join(words)


# -- commands -------------------------------------------------------------------------------


def _prepare(arguments: argparse.Namespace) -> None:
    from pydantic import TypeAdapter

    from bat import config, data
    from bat.files.specifications import read_specification

    spec = read_specification(arguments.spec)
    source = TypeAdapter(config.AnyData).validate_python(spec["data"])
    with progress(f"{arguments.out.parent.name} images", 0) as bar:

        def report(done: int, total: int) -> None:
            bar.total = max(total, done)
            bar.update(done)

        info = data.prepare(
            source,
            arguments.out,
            progress=report,
            workers=arguments.threads,
            revision=spec.get("sources"),
        )
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
    from bat import data
    from bat.files.specifications import read_specification
    from bat.training import trials

    spec, prepared = read_specification(arguments.spec), data.load(arguments.data, verify=True)
    trials.check_coverage(prepared, spec["recipe"], arguments.n_trials, arguments.n_held_out)
    with _device(arguments) as device:
        trials.run_shard(
            arguments.out,
            prepared,
            spec["recipe"],
            *trials.shard_range(arguments.out),
            spec["members"],
            device=device,
            command=_command(arguments),
        )


def _memorization(arguments: argparse.Namespace) -> None:
    from bat import data, scoring
    from bat.files.specifications import read_specification

    spec, prepared = read_specification(arguments.spec), data.load(arguments.data)
    command = _command(arguments)
    scoring.write_scores(arguments.shards, prepared, spec, arguments.out, command=command)


def _convergence(arguments: argparse.Namespace) -> None:
    from bat import data, scoring
    from bat.files.specifications import read_specification

    spec, prepared = read_specification(arguments.spec), data.load(arguments.data)
    scoring.write_convergence(arguments.shards, prepared, spec, arguments.out)


def _ensembles(arguments: argparse.Namespace) -> None:
    from bat import data, scoring
    from bat.files.specifications import read_specification

    spec, prepared = read_specification(arguments.spec), data.load(arguments.data)
    shards: dict[str, list[Path]] = {name: [] for name in spec["recipes"]}
    for path in arguments.shards:
        shards[path.stem.rsplit("-", 2)[0]].append(path)
    scoring.write_ensembles(shards, prepared, spec, arguments.out, command=_command(arguments))


def _groups(arguments: argparse.Namespace) -> None:
    from bat import data, scoring
    from bat.files.specifications import read_specification

    spec, prepared = read_specification(arguments.spec), data.load(arguments.data)
    scoring.write_groups(
        arguments.scores, prepared, spec, arguments.out, command=_command(arguments)
    )


def _train(arguments: argparse.Namespace) -> None:
    from bat import data
    from bat.files import artifacts
    from bat.training import runs

    spec = _run_specification(arguments)
    prepared = data.load(arguments.data, verify=True)
    inputs = runs.Inputs(groups=arguments.groups, scores=arguments.scores)
    with _device(arguments) as device:
        runs.train_run(
            arguments.out,
            prepared,
            spec,
            inputs,
            device=device,
            command=_command(arguments),
            checkpoint_every=arguments.checkpoint_every,
        )
    artifacts.write_json(arguments.out / "spec.json", spec)


def _run_specification(arguments: argparse.Namespace) -> dict:
    from bat.files.specifications import read_specification

    spec = read_specification(arguments.spec, seed=arguments.seed)
    if "seed" not in spec:
        raise BatError(f"{arguments.spec}: holds for every seed of the run; give one with --seed")
    return spec


def _evaluate(arguments: argparse.Namespace) -> None:
    from bat import data
    from bat.training import runs

    folder = arguments.dataset
    place = folder / arguments.arch / "evaluations" / arguments.checkpoint.stem
    spec, prepared = _attacks(arguments), data.load(folder / "data", verify=True)
    with _device(arguments) as device:
        out = arguments.out or place / "seed0.parquet"
        accuracies = runs.evaluate_checkpoint(
            arguments.checkpoint,
            arguments.arch,
            prepared,
            spec,
            out,
            normalize=arguments.normalize,
            key=arguments.key,
            device=device,
            command=_command(arguments, out),
        )
    for name, accuracy in accuracies.items():
        log.info("%s: %.4f", name, accuracy)


def _attacks(arguments: argparse.Namespace) -> dict:
    """The specification that is named, or that of the configuration for the data set."""
    from bat import config
    from bat.files.specifications import latest_configurations, read_specification
    from bat.plan import studies

    if arguments.spec is not None:
        return read_specification(arguments.spec)
    name = arguments.dataset.absolute().name
    asked = [arguments.configfile] if arguments.configfile else []
    if not asked:  # what the workflow was last started with, then the default
        asked = [[path] for path in latest_configurations(arguments.dataset.parent)]
        asked.append([Path("config/config.yaml")])
    for paths in asked:
        if arguments.configfile or paths[0].exists():
            specs = studies.specifications(config.read_config(*paths))
            if (name, "evaluation") in specs:
                log.info("attacks as configured in %s", " + ".join(map(str, paths)))
                return specs[name, "evaluation"]
    raise BatError(
        f"{' + '.join(str(path) for paths in asked for path in paths)}: configured is no data set "
        f"{name!r}, so the attacks are not known; name its configuration with --configfile"
    )


def _represent(arguments: argparse.Namespace) -> None:
    from bat import data
    from bat.studies import features

    spec = _run_specification(arguments)
    prepared = data.load(arguments.data, verify=True)
    with _device(arguments) as device:
        found = features.represent_checkpoint(
            arguments.checkpoint,
            arguments.groups,
            prepared,
            spec,
            arguments.out,
            device=device,
            command=_command(arguments),
        )
    log.info(
        "similarity within classes %.3f, between them %.3f; accuracy of a linear probe %.4f",
        *(found[name] for name in ("within", "between", "probe_accuracy")),
    )


def _device(arguments: argparse.Namespace):
    from bat import devices

    return devices.runtime(
        arguments.device,
        threads=arguments.threads,
        compile=getattr(arguments, "compile", False),
        jobs_per_gpu=arguments.jobs_per_gpu,
    )


def _report(arguments: argparse.Namespace) -> None:
    from bat.files.specifications import read_specification
    from bat.plan import catalogue
    from bat.report.comparison import Comparison
    from bat.report.folder import Folder

    entry = catalogue.find_entry(arguments.artefact)
    spec = read_specification(arguments.spec)
    source = Folder(arguments.dataset, spec)
    if entry.scope == "architecture":
        runs = [read_specification(path) for path in arguments.runs]
        source = Comparison(source, spec, runs)
    for path in catalogue.writer(entry)(source, arguments.out):
        log.info("%s", path)


def _poisoning(arguments: argparse.Namespace) -> None:
    from bat import data
    from bat.studies import poisoning

    spec = _run_specification(arguments)
    prepared = data.load(arguments.data, verify=True)
    with _device(arguments) as device:
        poisoning.score_checkpoint(
            arguments.checkpoint,
            prepared,
            spec,
            arguments.out,
            device=device,
            command=_command(arguments),
        )


def _sheet(arguments: argparse.Namespace) -> None:
    from bat.studies import annotation

    key = annotation.write_sheet(
        arguments.scores, arguments.groups, arguments.data, arguments.out, seed=arguments.seed
    )
    n, sheet = len(key["items"]), arguments.out / "sheet.html"
    log.info("%s: %d images; open it in a browser", sheet, n)
    log.info("%s: tells the answers' meaning; keep it from annotators", arguments.out / "key.json")


def _answers(arguments: argparse.Namespace) -> None:
    from bat.tables import annotation

    for path in annotation.write_answer_tables(arguments.key, arguments.answers, arguments.out):
        log.info("%s", path)


def _theory(arguments: argparse.Namespace) -> None:
    from bat.figures import fig20
    from bat.tables import theorems

    out = arguments.out
    files = fig20.write(out, out / "figures" / "fig20")
    files += theorems.write(out, out / "tables" / "theorems")
    for path in files:
        log.info("%s", path)


def _paper(arguments: argparse.Namespace) -> None:
    from bat.tables import paper_page

    for path in paper_page.write(arguments.results, arguments.out):
        log.info("%s", path)


def _summary(arguments: argparse.Namespace) -> None:
    from bat import config
    from bat.report.summary import summary

    _say("\n".join(summary(config.read_config(*arguments.configfile))))


def _export(arguments: argparse.Namespace) -> None:
    from bat import sharing

    entry = sharing.export(arguments.dataset, arguments.out, licence=arguments.licence)
    log.info(
        "%s: to use it, write under the data set in a configuration\n%s", arguments.dataset, entry
    )


def _fetch(arguments: argparse.Namespace) -> None:
    from bat import data, sharing
    from bat.files.specifications import read_specification

    spec, prepared = read_specification(arguments.spec), data.load(arguments.data)
    command = _command(arguments)
    log.info("%s", sharing.fetch(spec, prepared, arguments.out, command=command))


def _show(arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from bat import sharing

    sharing.show(arguments.path, Console(), top=arguments.top)


def _validate(arguments: argparse.Namespace) -> None:
    from bat import data, sharing

    prepared = data.load(arguments.data) if arguments.data else None
    for path in arguments.paths:
        for name, text in sharing.validate(path, prepared):
            _say(f"ok {name}: {text}")


def _merge(arguments: argparse.Namespace) -> None:
    from bat import config, data
    from bat.scoring import merging

    prepared, defaults = data.load(arguments.data), config.Scores()
    influence = {"pairs": arguments.pairs, "keep_above": arguments.keep_above}
    given = {key: value for key, value in influence.items() if value is not None}
    least = arguments.min_included_accuracy
    merging.merge(
        arguments.paths,
        prepared,
        arguments.out,
        dataset=arguments.dataset or arguments.data.resolve().parent.name,
        influence=config.Influence(**given).model_dump(mode="json"),
        min_included_accuracy=defaults.min_included_accuracy if least is None else least,
        architecture=arguments.architecture,
        command=_command(arguments),
    )


def _plan(arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from bat import config
    from bat.plan import costs as planning

    paths = arguments.configfile or arguments.laid or [Path("config/config.yaml")]
    console = Console(width=None if sys.stdout.isatty() else 110)
    seconds = arguments.seconds if arguments.measure else 0.0
    planning.show(config.read_config(*paths), console, device=arguments.device, measure=seconds)


def _schema(arguments: argparse.Namespace) -> None:
    if arguments.markdown:
        from bat.config import reference

        print(reference.configuration_reference(), end="")
        return
    from bat import config

    print(json.dumps(config.json_schema(), indent=2))


def _check(arguments: argparse.Namespace) -> None:
    from bat import addresses, config
    from bat.plan import costs as planning

    settings = config.read_config(*arguments.configfile)
    for name, dataset in settings.datasets.items():
        scores = f"{dataset.scores.trials} trials of {dataset.scores.architecture}"
        if dataset.scores.source is not None:
            scores = f"scores from {addresses.shown_source(dataset.scores.source)}"
        _say(f"{name}: {dataset.data.source}, {scores}")
        advice = planning.trials_to_stand(dataset, settings.results / name)
        if dataset.scores.source is None and advice:
            _say(f"  {advice}")
    files = shlex.join(map(str, arguments.configfile))
    _say(f"to make everything: snakemake all --cores 2 --configfile {files}")


def _say(text: str) -> None:
    """Print what holds names of others."""
    print(for_terminal(text), flush=True)


# -- parsing --------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bat", description=bat.__doc__)
    parser.add_argument("--version", action="version", version=bat.__version__)
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")

    def add(name: str, run, text: str, *options: str, to=commands) -> argparse.ArgumentParser:
        command = to.add_parser(name, help=text, description=text)
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
        *("spec", "data", "out", "threads", "device", "jobs-per-gpu", "compile"),
    )
    for flag, text in (
        ("--n-trials", "trials in all; refused where they leave a score undefined"),
        ("--n-held-out", "trials behind held-out scores, likewise"),
    ):
        command.add_argument(flag, type=int, default=0, help=text)
    for name, run, text in (
        ("memorization", _memorization, "memorization and influence tables from shards"),
        ("convergence", _convergence, "how the scores settle with the number of trials"),
        ("ensembles", _ensembles, "disagreement and confidence tables from shards"),
    ):
        add(name, run, text, "spec", "data", "out", "shards")
    command = add("groups", _groups, "typical and atypical groups", "spec", "data", "out")
    command.add_argument("--scores", type=Path, required=True, help="folder of the score tables")
    job = ("threads", "device", "jobs-per-gpu")
    text = "one run of adversarial training"
    command = add("train", _train, text, "spec", "seed", "data", "out", *job, "compile")
    command.add_argument("--groups", type=Path, help="folder of the typical and atypical groups")
    command.add_argument("--scores", type=Path, help="folder of the score tables, for BAT")
    command.add_argument(
        "--checkpoint-every", type=float, default=60.0, help="seconds between two checkpoints"
    )
    command = add("evaluate", _evaluate, "attack a trained model, ours or anyone's", *job)
    command.add_argument("--checkpoint", type=Path, required=True, help="state dict of a model")
    command.add_argument("--dataset", **_DATASET)
    command.add_argument("--spec", type=Path, help="attacks; by default as configured")
    text = "YAML files with the attacks; by default what the workflow was last started with"
    command.add_argument("--configfile", type=Path, nargs="+", help=text)
    text = "table to write; by default in the data set's evaluations, named after the checkpoint"
    command.add_argument("--out", type=Path, help=text)
    command.add_argument("--arch", required=True, help="its architecture, as resnet18")
    command.add_argument(
        "--normalize",
        action=argparse.BooleanOptionalAction,
        help="whether the model expects images normalized by the data set's channel statistics; "
        "to be said where the file does not",
    )
    text = "where in the file the weights are, as ema.model, if they could be several"
    command.add_argument("--key", help=text)
    text = "how well a model's features tell the typical samples of classes apart"
    command = add("represent", _represent, text, "spec", "seed", "data", "out", *job)
    command.add_argument("--checkpoint", type=Path, required=True, help="state dict of the run")
    command.add_argument("--groups", type=Path, required=True, help="folder of the groups")
    command = add("report", _report, "make one figure or table from files on disk", "spec", "out")
    text = "its name, as the README has it and its file in bat/figures or bat/tables"
    command.add_argument("artefact", metavar="NAME", help=text)
    command.add_argument("--dataset", type=Path, required=True, help="results folder of the data")
    text = "specifications of the runs, for what compares them"
    command.add_argument("--runs", type=Path, nargs="+", default=[], help=text)
    text = "atypical training samples that a model takes for another class: score"
    poisoning = commands.add_parser("poisoning", help=text, description=text)
    poisoning = poisoning.add_subparsers(dest="action", required=True, metavar="ACTION")
    text = "poisoning scores of the training samples under a trained run"
    options = ("spec", "seed", "data", "out", *job)
    command = add("score", _poisoning, text, *options, to=poisoning)
    command.add_argument("--checkpoint", type=Path, required=True, help="state dict of the run")
    text = "the annotation study: sheet, table"
    annotate = commands.add_parser("annotate", help=text, description=text)
    annotate = annotate.add_subparsers(dest="action", required=True, metavar="ACTION")
    command = add("sheet", _sheet, "page for annotators and its key", "data", "out", to=annotate)
    command.add_argument("--scores", type=Path, required=True, help="poisoning scores")
    command.add_argument("--groups", type=Path, required=True, help="training groups")
    command.add_argument("--seed", type=int, default=0, help="of the order of the images")
    command = add("table", _answers, "table of the answers and agreement", "out", to=annotate)
    command.add_argument("answers", type=Path, nargs="*", help="CSV files that the sheet saved")
    command.add_argument("--key", type=Path, required=True, help="key.json of the sheet")
    text = "share score tables: export, fetch, show, validate, merge"
    scores = commands.add_parser("scores", help=text, description=text)
    scores = scores.add_subparsers(dest="action", required=True, metavar="ACTION")
    command = add("export", _export, "pack score tables into one zip", "out", to=scores)
    command.add_argument("--dataset", **_DATASET)
    command.add_argument("--licence", default="not stated", help="SPDX name for the card")
    text = "bring the configured score tables into the results"
    add("fetch", _fetch, text, "spec", "data", "out", to=scores)
    command = add("show", _show, "print what score tables are", to=scores)
    command.add_argument("path", type=Path, help="folder, archive or table")
    command.add_argument("--top", type=int, default=10, help="most memorized samples to list")
    command = add("validate", _validate, "check every rule of every table", to=scores)
    command.add_argument("paths", type=Path, nargs="+", help="tables, folders or archives")
    command.add_argument("--data", type=Path, help="prepared data that they must be of")
    text = "join trials of one recipe from several places into one table"
    command = add("merge", _merge, text, "data", "out", to=scores)
    command.add_argument("paths", type=Path, nargs="+", help="shards, or folders of shards")
    command.add_argument("--architecture", help="whose trials the scores come from")
    command.add_argument("--dataset", help="name for the captions; default: that of --data")
    for flag, settings in (
        ("--pairs", {"choices": ["same_class", "all"]}),
        ("--keep-above", {"type": float}),
        ("--min-included-accuracy", {"type": float}),
    ):
        command.add_argument(flag, **settings, help="as in the configuration; same default")
    add("theory", _theory, "theorems 1 and 2 and figure 20, checked by numbers", "out")
    text = "the paper's numbers beside those of a results folder, as a page"
    command = add("paper", _paper, text, "out")
    command.add_argument("--results", type=Path, required=True, help="folder of the results")
    add("summary", _summary, "say what has been made and where", "configfile")
    command = add("plan", _plan, "say what a configuration costs: jobs, hours, disk")
    text = "YAML files, each laid over the one before; config/config.yaml where none is named"
    command.add_argument("configfile", type=Path, nargs="*", help=text)
    text = "the same, as snakemake takes them"
    command.add_argument("--configfile", dest="laid", type=Path, nargs="+", help=text)
    text = "where the jobs will run; by default as configured"
    command.add_argument("--device", choices=["auto", "cpu", "cuda"], help=text)
    text = "run a few steps of each stage here and plan with what they take"
    command.add_argument("--measure", action="store_true", help=text)
    text = "that measuring takes, about (60); on a GPU, compilation comes on top"
    command.add_argument("--seconds", type=float, default=60.0, help=text)
    command = add("schema", _schema, "print the JSON schema of the configuration")
    command.add_argument("--markdown", action="store_true", help="a page for readers instead")
    add("check", _check, "check configuration files and say what they ask for", "configfile")
    return parser


def _results_of(text: str) -> Path:
    """The results folder of a data set from its path, or from its name in ``results``."""
    folder, named = Path(text), Path("results") / text
    if folder.is_dir():
        return folder
    if named.is_dir():
        return named
    raise argparse.ArgumentTypeError(
        f"{text!r} is no folder, and neither is {named}: name the results folder of a data set "
        f"(`snakemake {named}/data/dataset.json` prepares one that is configured)"
    )


_DATASET = {
    "type": _results_of,
    "required": True,
    "help": "results folder of the data set, or its name in results/",
}
_OPTIONS = {
    "spec": (["--spec"], {"type": Path, "required": True, "help": "specification of the stage"}),
    "seed": (["--seed"], {"type": int, "help": "of the run, whose specification all seeds share"}),
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

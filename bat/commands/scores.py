"""``scores``: tables of scores for others, and from them."""

from __future__ import annotations

import argparse
from pathlib import Path

from bat.commands.options import DATASET, add_actions, add_verb, at_least, say
from bat.commands.recording import recorded_command
from bat.progress import log


def add_parser(subparsers) -> None:
    """Add ``scores`` and its options."""
    text = "share score tables and trials: export, fetch, show, validate, merge, import-trials, ..."
    actions = add_actions(subparsers, "scores", text)
    parser = add_verb(actions, "export", export, "pack score tables into one zip", "out")
    parser.add_argument("--dataset", **DATASET)
    parser.add_argument("--licence", default="not stated", help="SPDX name for the card")
    text = "bring the configured score tables into the results"
    add_verb(actions, "fetch", fetch, text, "spec", "data", "out")
    parser = add_verb(actions, "show", show, "print what score tables are")
    parser.add_argument("path", type=Path, help="folder, archive or table")
    parser.add_argument(
        "--top", type=at_least(1), default=10, help="most memorized samples to list"
    )
    parser = add_verb(actions, "validate", validate, "check every rule of every table")
    parser.add_argument("paths", type=Path, nargs="+", help="tables, folders or archives")
    parser.add_argument("--data", type=Path, help="prepared data that they must be of")
    text = "join trials of one recipe from several places into one table"
    parser = add_verb(actions, "merge", merge, text, "data", "out")
    parser.add_argument("paths", type=Path, nargs="+", help="shards, or folders of shards")
    parser.add_argument("--architecture", help="whose trials the scores come from")
    _add_estimate(parser)
    text = "write the masks and test margins of trials to one npz, as datamodels need them"
    parser = add_verb(actions, "export-datamodels", export_datamodels, text, "data", "out")
    help_text = "shards, or folders of shards, of one recipe"
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help=help_text)
    parser.add_argument("--architecture", help="whose trials, where shards are of several")
    text = "estimate the score tables from masks and correctness of models of others"
    parser = add_verb(actions, "import-trials", import_trials, text, "data", "out")
    help_text = "npz files, or folders of them"
    parser.add_argument("paths", type=Path, nargs="+", help=help_text)
    parser.add_argument("--architecture", help="of the models, for cards and captions")
    parser.add_argument("--made-by", help="whose models they are, for cards")
    _add_estimate(parser)


def _add_estimate(parser: argparse.ArgumentParser) -> None:
    """Options of what makes tables of trials outside of the workflow."""
    parser.add_argument("--dataset", help="name for the captions; default: that of --data")
    for flag, settings in (
        ("--pairs", {"choices": ["same_class", "all"]}),
        ("--keep-above", {"type": float}),
        ("--min-included-accuracy", {"type": float}),
    ):
        parser.add_argument(flag, **settings, help="as in the configuration; same default")


def _estimate(arguments: argparse.Namespace) -> dict:
    """What `_add_estimate` asked for, with the defaults of the configuration."""
    from bat import config

    given = _given(arguments, "min_included_accuracy")
    given["influence"] = _given(arguments, "pairs", "keep_above")
    scores = config.from_arguments(config.Scores, given, f"scores {arguments.action}")
    return {
        "dataset": arguments.dataset or arguments.data.resolve().parent.name,
        "influence": scores.influence.model_dump(mode="json"),
        "min_included_accuracy": scores.min_included_accuracy,
        "command": recorded_command(arguments),
    }


def _given(arguments: argparse.Namespace, *names: str) -> dict:
    return {name: value for name in names if (value := getattr(arguments, name)) is not None}


def export(arguments: argparse.Namespace) -> None:
    """Do ``scores export``, for what was parsed."""
    from bat import sharing

    entry = sharing.export(arguments.dataset, arguments.out, licence=arguments.licence)
    log.info(
        "%s: to use it, write under the data set in a configuration\n%s", arguments.dataset, entry
    )


def fetch(arguments: argparse.Namespace) -> None:
    """Do ``scores fetch``, for what was parsed."""
    from bat import data, sharing
    from bat.files.specifications import read_specification

    spec, prepared = read_specification(arguments.spec), data.load(arguments.data)
    command = recorded_command(arguments)
    log.info("%s", sharing.fetch(spec, prepared, arguments.out, command=command))


def show(arguments: argparse.Namespace) -> None:
    """Do ``scores show``, for what was parsed."""
    from rich.console import Console

    from bat import sharing

    sharing.show(arguments.path, Console(), top=arguments.top)


def validate(arguments: argparse.Namespace) -> None:
    """Do ``scores validate``, for what was parsed."""
    from bat import data, sharing

    prepared = data.load(arguments.data) if arguments.data else None
    for path in arguments.paths:
        for name, text in sharing.validate(path, prepared):
            say(f"ok {name}: {text}")


def merge(arguments: argparse.Namespace) -> None:
    """Do ``scores merge``, for what was parsed."""
    from bat import data
    from bat.scoring import merging

    where = arguments.paths, data.load(arguments.data), arguments.out
    merging.merge(*where, architecture=arguments.architecture, **_estimate(arguments))


def export_datamodels(arguments: argparse.Namespace) -> None:
    """Do ``scores export-datamodels``, for what was parsed."""
    from bat import data
    from bat.scoring import datamodels

    prepared = data.load(arguments.data)
    where = arguments.shards, prepared, arguments.out
    datamodels.export_datamodels(*where, architecture=arguments.architecture)


def import_trials(arguments: argparse.Namespace) -> None:
    """Do ``scores import-trials``, for what was parsed."""
    from bat import data
    from bat.sharing import importing

    said = {"architecture": arguments.architecture, "source": arguments.made_by}
    about = {key: value for key, value in said.items() if value is not None}
    where = arguments.paths, data.load(arguments.data), arguments.out
    importing.import_trials(*where, about=about, **_estimate(arguments))

"""``evaluate``: the accuracy of a checkpoint under the configured attacks."""

from __future__ import annotations

import argparse
from pathlib import Path

from bat.commands.options import DATASET, JOB, KEY, NORMALIZE, add_verb, device_of
from bat.commands.recording import recorded_command
from bat.errors import BatError
from bat.extensions import described
from bat.progress import log

DEFAULT = [Path("config/config.yaml")]
"""The configuration where none is named."""


def add_parser(subparsers) -> None:
    """Add ``evaluate`` and its options."""
    text = "attack a trained model, ours or anyone's"
    parser = add_verb(subparsers, "evaluate", run, text, *JOB)
    parser.add_argument("--checkpoint", type=Path, required=True, help="state dict of a model")
    parser.add_argument("--dataset", **DATASET)
    parser.add_argument("--spec", type=Path, help="attacks; by default as configured")
    text = "YAML files with the attacks; by default what the workflow was last started with"
    parser.add_argument("--configfile", type=Path, nargs="+", help=text)
    text = "table to write; by default in the data set's evaluations, named after the checkpoint"
    parser.add_argument("--out", type=Path, help=text)
    parser.add_argument("--arch", required=True, help="its architecture, as resnet18")
    parser.add_argument("--normalize", **NORMALIZE)
    text = "specification of a network of your own; by default that which --configfile defines"
    parser.add_argument("--network", type=Path, help=text)
    parser.add_argument("--key", help=KEY)


def run(arguments: argparse.Namespace) -> None:
    """Do it, for what was parsed: the accuracy of a checkpoint under the configured attacks."""
    from bat import data
    from bat.training import evaluate_checkpoint

    folder = arguments.dataset
    place = folder / arguments.arch / "evaluations" / arguments.checkpoint.stem
    spec, prepared = _attacks(arguments), data.load(folder / "data", verify=True)
    with device_of(arguments) as device:
        out = arguments.out or place / "seed0.parquet"
        accuracies = evaluate_checkpoint(
            arguments.checkpoint,
            arguments.arch,
            prepared,
            spec,
            out,
            normalize=arguments.normalize,
            key=arguments.key,
            network=_network(arguments),
            device=device,
            command=recorded_command(arguments, out),
        )
    for name, accuracy in accuracies.items():
        log.info("%s: %.4f", name, accuracy)


def _attacks(arguments: argparse.Namespace) -> dict:
    """The specification that is named, or that of the configuration for the data set."""
    from bat.files.specifications import latest_configurations, read_specification

    if arguments.spec is not None:
        return read_specification(arguments.spec)
    asked = [arguments.configfile] if arguments.configfile else []
    if not asked:  # what the workflow was last started with, then the default
        asked = [[path] for path in latest_configurations(arguments.dataset.parent)]
        asked.append(DEFAULT)
    spec, files = _configured(arguments.dataset, asked, "evaluation")
    if spec is None:
        raise BatError(
            f"{files}: configured is no data set {arguments.dataset.absolute().name!r}, so the "
            "attacks are not known; name its configuration with --configfile"
        )
    log.info("attacks as configured in %s", files)
    return spec


def _network(arguments: argparse.Namespace) -> dict | None:
    """The code of a network of one's own: as named, or as configured for the data set.

    A configuration that lies in a results folder, which may be anyone's, names no code to run.
    """
    from bat.config import is_built_in
    from bat.files.specifications import read_specification

    if arguments.network is not None:
        return read_specification(arguments.network)["network"]
    if is_built_in(arguments.arch):
        return None
    asked = [arguments.configfile or DEFAULT]
    spec, files = _configured(arguments.dataset, asked, f"network-{arguments.arch}")
    if spec is None:
        raise BatError(
            f"{files}: {arguments.arch!r} is no built-in architecture, and no network of that name "
            f"is configured for the data set {arguments.dataset.absolute().name!r}; name the "
            "configuration that defines it with --configfile, or correct --arch"
        )
    log.info("%s is %s, as configured in %s", arguments.arch, described(spec["network"]), files)
    return spec["network"]


def _configured(folder: Path, asked: list[list[Path]], stage: str) -> tuple[dict | None, str]:
    """The specification of a stage of a data set, and the files that have it, or all searched."""
    from bat import config
    from bat.plan.specifications import all_specifications

    name = folder.absolute().name
    for paths in asked:
        if paths != DEFAULT or paths[0].exists():
            specs = all_specifications(config.read_config(*paths, strict=False))
            if (name, stage) in specs:
                return specs[name, stage], " + ".join(map(str, paths))
    return None, " + ".join(str(path) for paths in asked for path in paths)

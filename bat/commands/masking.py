"""``masking``: whether a trained model is robust or hides its gradient."""

from __future__ import annotations

import argparse
from pathlib import Path

from bat.commands.options import DATASET, JOB, KEY, NORMALIZE, add_verb, device_of
from bat.commands.recording import recorded_command
from bat.progress import log


def add_parser(subparsers) -> None:
    """Add ``masking`` and its options."""
    text = "whether a trained model, ours or anyone's, is robust or hides its gradient"
    parser = add_verb(subparsers, "masking", run, text, "spec", "out", *JOB)
    parser.add_argument("--checkpoint", type=Path, required=True, help="state dict of a model")
    text = "another model of its kind, as of another seed, that the transfer attack is made on"
    parser.add_argument("--source", type=Path, help=text)
    parser.add_argument("--dataset", **DATASET)
    parser.add_argument("--arch", required=True, help="its architecture, as resnet18")
    parser.add_argument("--normalize", **NORMALIZE)
    parser.add_argument("--network", type=Path, help="specification of a network of your own")
    parser.add_argument("--key", help=KEY)


def run(arguments: argparse.Namespace) -> None:
    """Do it, for what was parsed: whether a trained model hides its gradient."""
    from bat import data
    from bat.files.specifications import read_specification
    from bat.training import check_checkpoint

    network = arguments.network and read_specification(arguments.network)["network"]
    prepared = data.load(arguments.dataset / "data", verify=True)
    with device_of(arguments) as device:
        accuracies = check_checkpoint(
            arguments.checkpoint,
            arguments.arch,
            prepared,
            read_specification(arguments.spec),
            arguments.out,
            source=arguments.source,
            normalize=arguments.normalize,
            key=arguments.key,
            network=network,
            device=device,
            command=recorded_command(arguments),
        )
    for name, accuracy in accuracies.items():
        log.info("%s: %.4f", name, accuracy)

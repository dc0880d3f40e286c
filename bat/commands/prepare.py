"""``prepare``: a data set as it comes to arrays on disk."""

from __future__ import annotations

import argparse

from bat import extensions
from bat.commands.options import add_verb
from bat.progress import log, progress


def add_parser(subparsers) -> None:
    """Add ``prepare`` and its options."""
    text = "read a data set once and write it as arrays"
    add_verb(subparsers, "prepare", run, text, "spec", "out", "threads")


def run(arguments: argparse.Namespace) -> None:
    """Do it, for what was parsed: a data set as it comes to arrays on disk."""
    from pydantic import TypeAdapter

    from bat import config, data
    from bat.files.specifications import read_specification

    spec = read_specification(arguments.spec)
    if "code" in spec:
        extensions.verify(spec["code"])
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

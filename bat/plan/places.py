"""Whether what a configuration names lies where it says, looked up before anything runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bat.addresses import is_address
from bat.data.dropping import read_dropped
from bat.data.revisions import data_files
from bat.errors import DataError
from bat.escaping import shown

if TYPE_CHECKING:
    from bat import config


def absent(config: config.Config) -> list[str]:
    """What is missing of the files that a configuration names, a line for each.

    What is downloaded is not looked up, nor what was made use of already: the
    results folder holds what was made of it, and nothing reads it again.

    Parameters
    ----------
    config : bat.config.Config

    Returns
    -------
    list of str
        Each begins with the key, as ``datasets.pets.data.path``.
    """
    return [
        f"datasets.{name}.{problem}"
        for name, dataset in config.datasets.items()
        for problem in _problems(dataset, config.results / name)
    ]


def _problems(dataset: config.Dataset, folder: Path) -> Iterator[str]:
    if not (folder / "data" / "dataset.json").exists() and (problem := _data_problem(dataset.data)):
        yield f"data{problem}"
    source = dataset.scores.source
    made = (folder / "scores" / "memorization.parquet").exists()
    if source is not None and not is_address(source) and not made and not os.path.lexists(source):
        yield f"scores.source: {shown(source)} does not exist; correct it, or put the scores there"
    for name, model in dataset.external.items():
        of = model.architecture or dataset.architectures[0]
        judged = ["evaluations", *(["masking"] if dataset.evaluation.masking else [])]
        made = all((folder / of / kind / name / "seed0.parquet").exists() for kind in judged)
        if not made and not model.checkpoint.is_file():
            yield (
                f"external.{name}.checkpoint: {shown(model.checkpoint)} is no file; correct it, "
                "or leave the model out"
            )


def _data_problem(data: config.Data) -> str | None:
    """Why the images cannot be read, by what lies there; None where they may be."""
    key = next((key for key in ("path", "folder") if hasattr(data, key)), None)
    place = f".{key}" if key else ""
    if key and not os.path.lexists(getattr(data, key)):
        if getattr(data, "download", False):
            return None
        more = ", and download is false" if hasattr(data, "download") else ""
        return f"{place}: {shown(getattr(data, key))} does not exist{more}; correct it"
    try:
        if data.drop is not None:
            read_dropped(data.drop)
        data_files(data, {})
    except DataError as error:
        return f"{place}: {error}"
    return None

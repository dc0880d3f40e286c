"""Score files to figures and tables on disk, one function per artefact."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from bat import data, figures, tables
from bat.artifacts import read_json, read_table
from bat.ensembles import alignment


class Folder:
    """The files of one data set below the results folder, read on demand."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.prepared = data.load(self.path / "data")
        self.spec = read_json(self.path / "specs" / "figures.json")

    def scores(self, kind: str) -> tuple[pd.DataFrame, dict]:
        """A score table as a data frame, and its metadata."""
        return self._table(f"scores/{kind}.parquet", kind)

    def groups(self, split: str) -> tuple[pd.DataFrame, dict]:
        """The groups of a split as a data frame, and their metadata."""
        return self._table(f"groups/{split}.parquet", "groups")

    def _table(self, name: str, kind: str) -> tuple[pd.DataFrame, dict]:
        fingerprint = self.prepared.info["fingerprint"]
        table, metadata = read_table(self.path / name, kind, fingerprint=fingerprint)
        return table.to_pandas(), metadata


def fig5(folder: Folder, out: Path) -> list[Path]:
    """Training images of low, middle and high memorization."""
    scores, metadata = folder.scores("memorization")
    table = tables.memorization_examples(scores, folder.prepared.info["class_names"])
    ax = figures.plot_memorization_examples(table, folder.prepared.train_images)
    caption = tables.caption_examples(table, metadata)
    return figures.save_figure(ax.figure, out, table, caption)


def fig6(folder: Folder, out: Path) -> list[Path]:
    """The histogram of memorization."""
    scores, metadata = folder.scores("memorization")
    table = tables.memorization_histogram(scores, atypical_above=folder.spec["atypical_above"])
    ax = figures.plot_memorization_histogram(table)
    caption = tables.caption_histogram(table, metadata)
    return figures.save_figure(ax.figure, out, table, caption)


def fig7(folder: Folder, out: Path) -> list[Path]:
    """Training images beside the test images that they carry."""
    influence, metadata = folder.scores("influence")
    table = tables.influence_pairs(
        influence,
        folder.scores("memorization")[0],
        folder.scores("test")[0],
        folder.prepared.info["class_names"],
        atypical_above=folder.spec["atypical_above"],
        influence_above=folder.spec["influence_above"],
    )
    ax = figures.plot_influence_pairs(
        table, folder.prepared.train_images, folder.prepared.test_images
    )
    return figures.save_figure(ax.figure, out, table, tables.caption_pairs(table, metadata))


def metric_alignment(folder: Folder, out: Path) -> list[Path]:
    """The cheap metrics against memorization."""
    scores, metadata = folder.scores("memorization")
    disagreement, ensemble = folder.scores("disagreement")
    metrics = {
        "disagreement": disagreement["disagreement"].to_numpy(),
        "1 − confidence": 1 - folder.scores("confidence")[0]["confidence"].to_numpy(),
    }
    threshold = folder.spec["atypical_above"]
    values = tables.metric_values(scores, metrics, atypical_above=threshold)
    memorization = scores["memorization"].to_numpy()
    rows = pd.DataFrame(alignment(memorization, metrics, threshold=threshold))
    figure = figures.draw_alignment(values, rows)
    caption = tables.caption_alignment(values, metadata, ensemble)
    return figures.save_figure(figure, out, rows, caption, more_tables={"values": values})


def convergence(folder: Folder, out: Path) -> list[Path]:
    """How the scores settle with the number of trials."""
    rows = pd.read_csv(folder.path / "scores" / "convergence.csv")
    table = tables.convergence_study(rows, precision=folder.spec["precision"])
    _, metadata = folder.scores("memorization")
    caption = tables.caption_convergence(table, metadata)
    return figures.save_figure(figures.draw_convergence(table), out, table, caption)


def groups(folder: Folder, out: Path) -> list[Path]:
    """Sizes of the groups, as a figure and as a table for readers."""
    frames = {split: folder.groups(split)[0] for split in ("train", "test")}
    _, metadata = folder.scores("memorization")
    table = tables.group_sizes(folder.path.name, frames)
    caption = tables.caption_groups(table, metadata)
    figure = figures.plot_group_sizes(table).figure
    files = figures.save_figure(figure, out, table, caption)
    return files + tables.write_table_files(table, out, caption, formats=("md",))


FIGURES: dict[str, Callable[[Folder, Path], list[Path]]] = {
    "fig5": fig5,
    "fig6": fig6,
    "fig7": fig7,
    "alignment": metric_alignment,
    "convergence": convergence,
    "groups": groups,
}
"""By the name that targets and files carry."""

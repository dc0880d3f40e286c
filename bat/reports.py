"""Score files to figures and tables on disk, one function per artefact."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pandas as pd

from bat import comparison as comparisons
from bat import curves, data, figures, representation, tables
from bat.artifacts import read_json, read_metadata, read_table
from bat.config import Config
from bat.ensembles import alignment
from bat.fit import fit_sentence
from bat.studies import ablation_name, study_name


class Folder:
    """The files of one data set below the results folder, read on demand."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.prepared = data.load(self.path / "data")
        self.spec = read_json(self.path / "specs" / "figures.json")

    def scores(self, kind: str) -> tuple[pd.DataFrame, dict]:
        """A score table as a data frame, and its metadata."""
        return self.table(f"scores/{kind}.parquet", kind)

    def groups(self, split: str) -> tuple[pd.DataFrame, dict]:
        """The groups of a split as a data frame, and their metadata."""
        return self.table(f"groups/{split}.parquet", "groups")

    def table(self, name: str, kind: str) -> tuple[pd.DataFrame, dict]:
        """A table of this data set, and of no other, by its path in the folder."""
        path, fingerprint = self.path / name, self.prepared.fingerprint
        table, metadata = read_table(path, kind, fingerprint=fingerprint)
        return table.to_pandas(), metadata

    def noted(self, caption: str, name: str) -> str:
        """A caption, and what must be known of scores or groups that its artefact is made by."""
        kind = "groups" if name.startswith("groups/") else Path(name).stem
        if not (self.path / name).exists():  # a table without a run that goes by them
            return caption
        metadata = read_metadata(self.path / name, kind, fingerprint=self.prepared.fingerprint)
        return f"{caption} {fit_sentence(metadata)}".strip()


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


class Comparison:
    """The runs of one architecture on one data set, as its specification lists them."""

    def __init__(self, folder: Folder, architecture: str):
        self.folder, self.path = folder, folder.path / architecture
        self.spec = read_json(folder.path / "specs" / f"comparison-{architecture}.json")
        self.dataset, self.architecture = self.spec["dataset"], architecture

    def evaluations(self, runs: Iterable[str]) -> dict[tuple[str, int], pd.DataFrame]:
        """Verdicts by run and seed; an external model has the one seed 0."""
        return {
            (run, seed): self._table(f"evaluations/{run}/seed{seed}.parquet", "evaluations")
            for run in runs
            for seed in ([0] if run in self.spec["external"] else self.spec["seeds"])
        }

    def histories(self, runs: Iterable[str]) -> dict[tuple[str, int], pd.DataFrame]:
        """Histories by run and seed."""
        return {
            (run, seed): self._table(f"runs/{run}/seed{seed}/history.parquet", "history")
            for run in runs
            for seed in self.spec["seeds"]
        }

    def _table(self, name: str, kind: str) -> pd.DataFrame:
        return self.folder.table(f"{self.architecture}/{name}", kind)[0]

    def representations(self, runs: Iterable[str]) -> dict[tuple[str, int], dict]:
        """Measures of the features by run and seed."""
        folder, fingerprint = self.path / "representation", self.folder.prepared.fingerprint
        return {
            (run, seed): representation.read_measures(
                folder / run / f"seed{seed}.json", fingerprint
            )
            for run in runs
            for seed in self.spec["seeds"]
        }

    def specs(self, runs: Iterable[str]) -> dict[str, dict]:
        """The specification of each run that was trained here, at its first seed."""
        seed = self.spec["seeds"][0]
        return {
            run: read_json(self.path / "runs" / run / f"seed{seed}" / "spec.json")
            for run in runs
            if run not in self.spec["external"]
        }


def methods(comparison: Comparison, out: Path) -> list[Path]:
    """Tables 1 to 6: every run under every attack."""
    runs = [*comparison.spec["runs"], *comparison.spec["external"]]
    paper = comparisons.PAPER.get((comparison.dataset, comparison.architecture))
    return _methods(comparison, runs, paper, out)


def _methods(
    comparison: Comparison, runs: list[str], paper: comparisons.PaperTable | None, out: Path
) -> list[Path]:
    judged = comparisons.accuracies(comparison.evaluations(runs))
    table = comparisons.methods_table(judged, paper=paper)
    evaluation = comparison.spec["evaluation"]
    specs = comparison.specs(runs)
    caption = comparisons.caption_methods(table, evaluation, specs, paper=paper)
    kinds = {spec["score"]["kind"] for spec in specs.values() if spec["score"]}
    for kind in sorted(kinds):
        caption = comparison.folder.noted(caption, f"scores/{kind}.parquet")
    shown = comparisons.presentation(table, evaluation["attacks"])
    return _write(table, shown, out, caption)


def _write(table: pd.DataFrame, shown: pd.DataFrame, out: Path, caption: str) -> list[Path]:
    """Write a table for programs, and what readers are shown of it."""
    files = tables.write_table_files(table, out, caption, formats=("csv",))
    return files + tables.write_table_files(shown, out, caption, formats=("md", "tex"))


def fig4(comparison: Comparison, out: Path) -> list[Path]:
    """BAT over alpha and beta, clean and under PGD."""
    grid = comparison.spec["ablation"]
    cells = [ablation_name(alpha, beta) for alpha in grid["alpha"] for beta in grid["beta"]]
    evaluations = comparison.evaluations(dict.fromkeys(cells))
    judged = comparisons.accuracies(evaluations)
    parts = [
        comparisons.ablation(judged, grid["alpha"], grid["beta"], attack).assign(attack=attack)
        for attack in ("clean", "pgd")
    ]
    table = pd.concat(parts, ignore_index=True)
    n = len(next(iter(evaluations.values())))
    titles = comparisons.attack_labels(comparison.spec["evaluation"]["attacks"])
    evaluation = comparison.spec["evaluation"]
    caption = comparisons.caption_ablation(table, evaluation, comparison.specs(cells), n)
    caption = comparison.folder.noted(caption, "scores/memorization.parquet")
    return figures.save_figure(figures.draw_ablation(table, titles), out, table, caption)


def followed(comparison: Comparison, runs: list[str]) -> pd.DataFrame:
    """Clean and PGD accuracy of every split and group along the training of some runs."""
    groups = {split: comparison.folder.groups(split)[0] for split in ("train", "test")}
    max_samples = comparison.specs(runs[:1])[runs[0]]["history"]["max_samples"]
    return comparisons.along_training(
        comparison.histories(runs), groups, comparison.folder.prepared.info, max_samples
    )


def history(comparison: Comparison, out: Path) -> list[Path]:
    """The configured runs along training, by split and group."""
    table = followed(comparison, comparison.spec["runs"])
    return tables.write_table_files(table, out, "", formats=("csv",))


def _study_figure(figure: str) -> Callable[[Comparison, Path], list[Path]]:
    def draw(comparison: Comparison, out: Path) -> list[Path]:
        wanted = curves.curves_of(figure, comparison.spec["shares"])
        runs = list(dict.fromkeys(run for run, _ in wanted.series.values()))
        table = curves.study_curves(followed(comparison, runs), wanted)
        specs = comparison.specs(runs)
        titles = {"clean": "Clean accuracy", "pgd": "PGD accuracy"}
        caption = curves.caption(table, wanted, specs, comparison.dataset, comparison.architecture)
        caption = comparison.folder.noted(caption, "groups/train.parquet")
        return figures.save_figure(figures.draw_along_training(table, titles), out, table, caption)

    return draw


def typical(comparison: Comparison, out: Path) -> list[Path]:
    """Accuracy on the test typical group after training, by share of atypical samples."""
    parts = [
        curves.end_values(followed(comparison, list(runs)), runs, reference).assign(method=method)
        for method, runs, reference in _by_share(comparison)
    ]
    table = pd.concat(parts, ignore_index=True)
    caption = curves.caption_end_values(table, comparison.dataset, comparison.architecture)
    caption = comparison.folder.noted(caption, "groups/train.parquet")
    return _write(table, curves.present_end_values(table), out, caption)


def discrimination(comparison: Comparison, out: Path) -> list[Path]:
    """How well features tell classes apart, by share of atypical samples."""
    measured, parts = {}, []
    for method, runs, reference in _by_share(comparison):
        found = comparison.representations(runs)
        table = representation.representation_table(found, runs, reference)
        parts.append(table.assign(method=method))
        measured |= found
    table = pd.concat(parts, ignore_index=True)
    caption = representation.caption(table, measured, comparison.dataset, comparison.architecture)
    caption = comparison.folder.noted(caption, "groups/train.parquet")
    return _write(table, representation.present(table), out, caption)


def _by_share(comparison: Comparison) -> Iterator[tuple[str, dict[str, str], str]]:
    """For ERM and PGD-AT: the label of each run by share of atypical samples, and the first."""
    shares = comparison.spec["shares"]
    for method in ("erm", "pgd-at"):
        runs = {study_name(method, share): f"{100 * share:g} %" for share in shares}
        yield method, runs, study_name(method, shares[0])


def substitution(comparison: Comparison, out: Path) -> list[Path]:
    """BAT(1, 0.2) with each of the three scores."""
    return _methods(comparison, comparison.spec["substitution"], None, out)


def summary(config: Config) -> list[str]:
    """What has been made for each configured data set, and where; lines of text."""
    lines = []
    for name, dataset in config.datasets.items():
        root = config.results / name
        lines += ["", f"{name}", "-" * len(name)]
        if not (root / "scores" / "memorization.parquet").exists():
            lines.append("no scores yet")
            continue
        folder = Folder(root)
        scores, metadata = folder.scores("memorization")
        lines.append(tables.provenance(metadata))
        share = (scores["memorization"] > dataset.groups.atypical_above).mean()
        lines.append(
            f"{tables.percent(share)} of the {len(scores):,} training samples have memorization "
            f"above {dataset.groups.atypical_above:g}."
        )
        parts = [(f"scores in {root}/scores", root / "scores", "*.parquet")]
        parts.append((f"figures in {root}/figures", root / "figures", "*.p[dn][fg]"))
        for architecture in dataset.architectures:
            for what in ("figures", "tables"):
                place = root / architecture / what
                parts.append((f"{what} in {place}", place, "*"))
        for title, place, pattern in parts:
            files = sorted({path.name for path in place.glob(pattern)})
            if files:
                lines.append(f"{title}: {', '.join(files)}")
        for table in sorted(root.glob("*/tables/methods.md")):
            lines += ["", table.read_text(encoding="utf-8").strip()]
    return lines[1:]


FIGURES: dict[str, Callable[[Folder, Path], list[Path]]] = {
    "fig5": fig5,
    "fig6": fig6,
    "fig7": fig7,
    "alignment": metric_alignment,
    "convergence": convergence,
    "groups": groups,
}
"""Of a data set, by the name that targets and files carry."""

COMPARISONS: dict[str, Callable[[Comparison, Path], list[Path]]] = {
    "methods": methods,
    "fig4": fig4,
    "history": history,
    "typical": typical,
    "representation": discrimination,
    "substitution": substitution,
    **{figure: _study_figure(figure) for figure in ("fig1", "fig2", "fig8", "fig14")},
}
"""Of a data set and an architecture, likewise."""

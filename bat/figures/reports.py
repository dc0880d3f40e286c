"""Score files to figures and tables on disk, one function per artefact."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pandas as pd

from bat import data
from bat.config import Config
from bat.data.duplicates import duplicate_notes
from bat.figures import drawing as figures
from bat.files.artifacts import (
    ArtifactError,
    check_inputs,
    check_label,
    read_metadata,
    table_digest,
)
from bat.plan.inputs import (
    STUDIED,
    checkpoint_file,
    compared_runs,
    result_file,
    score_kinds,
    seeds_of,
)
from bat.plan.names import study_name
from bat.report import comparison as comparisons
from bat.report import curves, tables
from bat.scores.chance import (
    caution,
    chance_text,
    counts_of,
    memorization_by_chance,
    pairs_by_chance,
    warning_text,
)
from bat.scores.ensembles import alignment
from bat.scores.fit import fit_sentence
from bat.statistics import above
from bat.studies import representation
from bat.validation import check_convergence, check_model, groups_inputs, read_checked


class Folder:
    """The files of one data set below the results folder, read on demand.

    ``spec`` holds what the figures of the data set alone are drawn with.
    """

    def __init__(self, path: str | Path, spec: dict | None = None):
        self.path, self.spec = Path(path), spec or {}
        self.prepared = data.load(self.path / "data")

    def shown(self) -> data.PreparedData:
        """The data set, its images compared with their checksums: for what shows them."""
        return data.load(self.path / "data", verify=True)

    def scores(self, kind: str) -> tuple[pd.DataFrame, dict]:
        """A score table as a data frame, and its metadata."""
        return self.table(f"scores/{kind}.parquet", kind)

    def groups(self, split: str) -> tuple[pd.DataFrame, dict]:
        """The groups of a split as a data frame, and their metadata."""
        name = f"groups/{split}.parquet"
        table, metadata = self.table(name, "groups")
        if "inputs" in metadata:
            check_inputs(self.path / name, metadata, groups_inputs(self.path / "scores"))
        return table, metadata

    def chances(self) -> dict[str, dict]:
        """What is expected by chance of the atypical groups, by split; empty if not stated."""
        found = self._about_groups().items()
        return {split: about["chance"] for split, about in found if "chance" in about}

    def caution(self) -> str:
        """For captions: which groups are built on chance, if any."""
        return caution(self._about_groups())

    def _about_groups(self) -> dict[str, dict]:
        return {split: self.groups(split)[1] for split in ("train", "test")}

    def table(self, name: str, kind: str) -> tuple[pd.DataFrame, dict]:
        """A table of this data set, and of no other, by its path in the folder."""
        table, metadata = read_checked(self.path / name, kind, self.prepared)
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
    ax = figures.plot_memorization_examples(table, folder.shown().train_images)
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
    shown = folder.shown()
    ax = figures.plot_influence_pairs(table, shown.train_images, shown.test_images)
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
    expected = memorization_by_chance(scores, threshold)
    members = {"members": int(values["atypical"].sum()), "expected": expected}
    caption = f"{caption} {warning_text({'atypical samples': members})}".strip()
    return figures.save_figure(figure, out, rows, caption, more_tables={"values": values})


def convergence(folder: Folder, out: Path) -> list[Path]:
    """How the scores settle with the number of trials."""
    path = folder.path / "scores" / "convergence.csv"
    check_convergence(path)
    check_label(path, folder.prepared.fingerprint)
    rows = pd.read_csv(path)
    scores, metadata = folder.scores("memorization")
    about_pairs = folder.scores("influence")[1]
    table = tables.convergence_study(
        rows,
        precision=folder.spec["precision"],
        counts=counts_of(scores, folder.scores("test")[0], about_pairs),
        chosen=above(scores["memorization"].to_numpy(), 0.15),
    )
    caption = tables.caption_convergence(table, metadata)
    return figures.save_figure(figures.draw_convergence(table), out, table, caption)


def groups(folder: Folder, out: Path) -> list[Path]:
    """Sizes of the groups, as a figure and as a table for readers."""
    frames = {split: folder.groups(split)[0] for split in ("train", "test")}
    _, metadata = folder.scores("memorization")
    table = tables.group_sizes(folder.path.name, frames)
    caption = f"{tables.caption_groups(table, metadata, folder.chances())} {folder.caution()}"
    caption = caption.strip()
    figure = figures.plot_group_sizes(table).figure
    files = figures.save_figure(figure, out, table, caption)
    return files + tables.write_table_files(table, out, caption, formats=("md",))


class Comparison:
    """The runs of one architecture on one data set, as its specification lists them.

    ``run_specs`` are the specifications of those that were trained here.
    """

    def __init__(self, folder: Folder, spec: dict, run_specs: Iterable[dict]):
        self.folder, self.spec = folder, spec
        self.dataset, self.architecture = spec["dataset"], spec["architecture"]
        self._run_specs = {run["run"]: run for run in run_specs}

    def evaluations(self, runs: Iterable[str]) -> dict[tuple[str, int], pd.DataFrame]:
        """Verdicts by run and seed; an external model has the one seed 0.

        Raises
        ------
        ArtifactError
            If one is of other attacks than configured, or of another model than
            the run has now.
        """
        return {
            (run, seed): self._evaluation(run, seed)
            for run in runs
            for seed in seeds_of(run, self.spec)
        }

    def _evaluation(self, run: str, seed: int) -> pd.DataFrame:
        name = result_file("evaluations", self.architecture, run, seed)
        table, metadata = self.folder.table(name, "evaluations")
        path, wanted = self.folder.path / name, self.spec["evaluation"]
        made = metadata["recipe"]
        attacks = made.get("attacks", {})
        if made | {"attacks": {}} != wanted | {"attacks": {}} or any(
            wanted["attacks"].get(attack) != settings for attack, settings in attacks.items()
        ):
            raise ArtifactError(
                f"{path}: made with other attacks or on other samples than are configured; run the "
                "workflow, which makes it again"
            )
        if run not in self.spec["external"]:
            model = self.folder.path / checkpoint_file(self.architecture, run, seed)
            check_model(path, metadata, model)
        return table

    def histories(self, runs: Iterable[str]) -> dict[tuple[str, int], pd.DataFrame]:
        """Histories by run and seed.

        Raises
        ------
        ArtifactError
            If a run was trained with other settings than configured, or on other
            groups or scores than there are now.
        """
        return {
            (run, seed): self._history(run, seed) for run in runs for seed in self.spec["seeds"]
        }

    def _history(self, run: str, seed: int) -> pd.DataFrame:
        name = result_file("runs", self.architecture, run, seed)
        table, metadata = self.folder.table(name, "history")
        path = self.folder.path / name
        if metadata["recipe"] != self._run_specs[run] | {"seed": seed}:
            raise ArtifactError(
                f"{path}: trained with other settings than are configured; run the workflow, "
                "which trains it again"
            )
        check_inputs(path, metadata, self._tables(metadata.get("inputs", {})), what="the run")
        return table

    def _tables(self, names: Iterable[str]) -> dict[str, str]:
        """Digests of those tables that runs are made of which are named."""
        columns = {"groups": ["typical", "atypical"]}
        digests = {}
        for name in set(names) - {"data"}:
            place = "groups/train" if name == "groups" else f"scores/{name}"
            path = self.folder.path / f"{place}.parquet"
            digests[name] = table_digest(path, name, columns.get(name, [name]))
        return digests

    def representations(self, runs: Iterable[str]) -> dict[tuple[str, int], dict]:
        """Measures of the features by run and seed, of the models that the runs have now."""
        folder, fingerprint = self.folder.path, self.folder.prepared.fingerprint
        measured = {}
        for run in runs:
            for seed in self.spec["seeds"]:
                path = folder / result_file("representation", self.architecture, run, seed)
                measured[run, seed] = representation.read_measures(path, fingerprint)
                model = folder / checkpoint_file(self.architecture, run, seed, "last")
                check_model(path, measured[run, seed], model)
        return measured

    def specs(self, runs: Iterable[str]) -> dict[str, dict]:
        """The specification of each run that was trained here, the same for all its seeds."""
        return {run: self._run_specs[run] for run in runs if run not in self.spec["external"]}

    def caution(self, runs: Iterable[str]) -> str:
        """For captions: whether the samples that BAT treats apart are so by chance."""
        scores = [spec.get("score") for spec in self.specs(runs).values()]
        sigmas = {s["sigma"] for s in scores if s and s["kind"] == "memorization"}
        if not sigmas:
            return ""
        table, _ = self.folder.scores("memorization")
        chances = {}
        for sigma in sorted(sigmas):
            members = int(above(table["memorization"].to_numpy(), sigma).sum())
            expected = memorization_by_chance(table, sigma)
            what = f"training samples with memorization above {sigma:g}, which BAT treats apart,"
            chances[what] = {"members": members, "expected": expected}
        return warning_text(chances)


def methods(comparison: Comparison, out: Path) -> list[Path]:
    """Tables 1 to 6: every run under every attack."""
    runs = compared_runs("methods", comparison.spec)
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
    caption = f"{caption} {comparison.caution(runs)}".strip()
    for kind in sorted(score_kinds(specs.values())):
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
    cells = compared_runs("fig4", comparison.spec)
    evaluations = comparison.evaluations(cells)
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
    caption = f"{caption} {comparison.caution(cells)}".strip()
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
    table = followed(comparison, compared_runs("history", comparison.spec))
    return tables.write_table_files(table, out, "", formats=("csv",))


def _study_figure(figure: str) -> Callable[[Comparison, Path], list[Path]]:
    def draw(comparison: Comparison, out: Path) -> list[Path]:
        wanted = curves.curves_of(figure, comparison.spec["shares"])
        runs = list(dict.fromkeys(run for run, _ in wanted.series.values()))
        table = curves.study_curves(followed(comparison, runs), wanted)
        specs = comparison.specs(runs)
        titles = {"clean": "Clean accuracy", "pgd": "PGD accuracy"}
        caption = curves.caption(table, wanted, specs, comparison.dataset, comparison.architecture)
        caption = f"{caption} {comparison.folder.caution()}".strip()
        caption = comparison.folder.noted(caption, "groups/train.parquet")
        return figures.save_figure(figures.draw_along_training(table, titles), out, table, caption)

    return draw


def typical(comparison: Comparison, out: Path) -> list[Path]:
    """Accuracy on the test typical group after training, by share of atypical samples."""
    parts = [
        curves.end_values(followed(comparison, list(runs)), runs, reference).assign(method=method)
        for method, runs, reference in _by_share("typical", comparison)
    ]
    table = pd.concat(parts, ignore_index=True)
    caption = curves.caption_end_values(table, comparison.dataset, comparison.architecture)
    caption = f"{caption} {comparison.folder.caution()}".strip()
    caption = comparison.folder.noted(caption, "groups/train.parquet")
    return _write(table, curves.present_end_values(table), out, caption)


def discrimination(comparison: Comparison, out: Path) -> list[Path]:
    """How well features tell classes apart, by share of atypical samples."""
    measured, parts = {}, []
    for method, runs, reference in _by_share("representation", comparison):
        found = comparison.representations(runs)
        table = representation.representation_table(found, runs, reference)
        parts.append(table.assign(method=method))
        measured |= found
    table = pd.concat(parts, ignore_index=True)
    caption = representation.caption(table, measured, comparison.dataset, comparison.architecture)
    caption = f"{caption} {comparison.folder.caution()}".strip()
    caption = comparison.folder.noted(caption, "groups/train.parquet")
    return _write(table, representation.present(table), out, caption)


def _by_share(table: str, comparison: Comparison) -> Iterator[tuple[str, dict[str, str], str]]:
    """By method: the label of each run by share of atypical samples, and the first run."""
    shares = comparison.spec["shares"]
    for method in STUDIED[table].methods:
        runs = {study_name(method, share): f"{100 * share:g} %" for share in shares}
        yield method, runs, study_name(method, shares[0])


def substitution(comparison: Comparison, out: Path) -> list[Path]:
    """BAT(1, 0.2) with each of the three scores."""
    return _methods(comparison, compared_runs("substitution", comparison.spec), None, out)


def summary(config: Config) -> list[str]:
    """What has been made for each configured data set, and where; lines of text."""
    lines = []
    for name, dataset in config.datasets.items():
        root = config.results / name
        lines += ["", f"{name}", "-" * len(name), *_duplicates(root / "data")]
        start = len(lines)
        if not (root / "scores" / "memorization.parquet").exists():
            lines.append("no scores yet")
            continue
        folder = Folder(root)
        scores, metadata = folder.scores("memorization")
        lines.append(tables.provenance(metadata))
        share = above(scores["memorization"], dataset.groups.atypical_above).mean()
        chance = memorization_by_chance(scores, dataset.groups.atypical_above)
        by_chance = "how many by chance is not known"
        if chance is not None:
            by_chance = f"{tables.percent(chance / len(scores))} by chance"
        lines.append(
            f"{tables.percent(share)} of the {len(scores):,} training samples have memorization "
            f"above {dataset.groups.atypical_above:g}, {by_chance}."
        )
        pairs = root / "scores" / "influence.parquet"
        if pairs.exists():
            lines.append(pairs_by_chance(read_metadata(pairs, "influence")))
        if all((root / "groups" / f"{split}.parquet").exists() for split in ("train", "test")):
            lines += [
                f"{split} atypical samples: {chance_text(chance)}"
                for split, chance in folder.chances().items()
            ]
            lines.append(folder.caution())
        lines = [line for at, line in enumerate(lines) if line or at < start]
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


def _duplicates(folder: Path) -> list[str]:
    """A line on exact copies in a prepared folder; none where they were not counted (0.1.0)."""
    if not (folder / data.INFO).exists():
        return []
    info = data.load(folder).info
    notes = duplicate_notes(info["duplicates"], info["n_test"]) if "duplicates" in info else []
    return [f"Duplicates: {'; '.join(notes)}."] if notes else []


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

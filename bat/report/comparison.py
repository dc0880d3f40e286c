"""The runs of one architecture on one data set, as figures and tables read them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from bat.errors import ArtifactError
from bat.files import NO_SOURCE, check_inputs, table_digest
from bat.plan.inputs import (
    checkpoint_file,
    other_seed,
    result_file,
    score_file,
    seeds_of,
    tables_behind,
)
from bat.report.folder import Folder
from bat.scores.chance import memorization_by_chance, warning_text
from bat.statistics import above
from bat.validation import check_model


class Comparison:
    """The runs of one architecture on one data set, as its specification lists them.

    ``run_specs`` are the specifications of those that were trained here.
    """

    def __init__(self, folder: Folder, spec: dict, run_specs: Iterable[dict]):
        self.folder, self.spec = folder, spec
        self.dataset, self.architecture = spec["dataset"], spec["architecture"]
        self._run_specs = {run["run"]: run for run in run_specs}

    def evaluations(
        self, runs: Iterable[str], which: str = "best"
    ) -> dict[tuple[str, int], pd.DataFrame]:
        """Verdicts by run and seed; an external model has the one seed 0.

        Parameters
        ----------
        runs : iterable of str
        which : {"best", "last"}
            The epoch of the models that were judged; of ``last`` those of trained runs alone.

        Raises
        ------
        ArtifactError
            If one is of other attacks than configured, or of another model than
            the run has now.
        """
        return {
            (run, seed): self._evaluation(run, seed, which)
            for run in (runs if which == "best" else self.specs(runs))
            for seed in seeds_of(run, self.spec)
        }

    def _evaluation(self, run: str, seed: int, which: str) -> pd.DataFrame:
        kind = {"best": "evaluations", "last": "evaluations-last"}[which]
        name = result_file(kind, self.architecture, run, seed)
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
            check_model(path, metadata, self._checkpoint(run, seed, which))
        return table

    def maskings(self, runs: Iterable[str]) -> dict[tuple[str, int], pd.DataFrame]:
        """Verdicts that tell robustness from a masked gradient, by run and seed.

        Raises
        ------
        ArtifactError
            If one is of other attacks than configured, or of another model, its own or the one
            of another seed, than there is now.
        """
        found = {}
        for run in runs:
            for seed in seeds_of(run, self.spec):
                name = result_file("masking", self.architecture, run, seed)
                table, metadata = self.folder.table(name, "masking")
                path, other = self.folder.path / name, other_seed(seed, run, self.spec)
                if metadata["recipe"] != self.spec["masking"]:
                    raise ArtifactError(
                        f"{path}: made with other attacks or on other samples than are "
                        "configured; run the workflow, which makes it again"
                    )
                if run not in self.spec["external"]:
                    check_model(path, metadata, self._checkpoint(run, seed))
                if other is None:
                    check_inputs(path, metadata, {"source": NO_SOURCE})
                else:
                    check_model(path, metadata, self._checkpoint(run, other), "source")
                found[run, seed] = table
        return found

    def _checkpoint(self, run: str, seed: int, which: str = "best") -> Path:
        return self.folder.path / checkpoint_file(self.architecture, run, seed, which)

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
        made_of = metadata.get("inputs", {})
        check_inputs(path, metadata, self._tables(made_of), what="the run")
        if "start" in made_of:
            start = self._checkpoint(metadata["recipe"]["start_from"]["run"], seed)
            check_model(path, metadata, start, "start")
        return table

    def _tables(self, names: Iterable[str]) -> dict[str, str]:
        """Digests of those tables that runs are made of which are named."""
        digests = {}
        for name in set(names) - {"data", "start"}:
            path, kind, columns = "groups/train.parquet", "groups", ["typical", "atypical"]
            if name != "groups":
                path, columns = score_file(name), [name]
                kind = Path(path).stem
            digests[name] = table_digest(self.folder.path / path, kind, columns)
        return digests

    def poisoning(self, run: str) -> dict[int, tuple[pd.DataFrame, dict]]:
        """Poisoning scores under a run by seed, each with its metadata.

        Raises
        ------
        ArtifactError
            If one is of another model than the run has now.
        """
        found = {}
        for seed in seeds_of(run, self.spec):
            name = result_file("poisoning", self.architecture, run, seed)
            table, metadata = self.folder.table(name, "poisoning")
            check_model(self.folder.path / name, metadata, self._checkpoint(run, seed))
            found[seed] = table, metadata
        return found

    def specs(self, runs: Iterable[str]) -> dict[str, dict]:
        """The specification of each run that was trained here, the same for all its seeds."""
        return {run: self._run_specs[run] for run in runs if run not in self.spec["external"]}

    def noted(self, caption: str, runs: Iterable[str]) -> str:
        """A caption, and what must be known of the scores and groups that runs go by."""
        for file in tables_behind(self.specs(runs).values()):
            caption = self.folder.noted(caption, file)
        return caption

    def caution(self, runs: Iterable[str]) -> str:
        """For captions: whether the samples that BAT treats apart are so by chance."""
        scores = [spec.get("score") for spec in self.specs(runs).values()]
        sigmas = {s["sigma"] for s in scores if s and s["kind"] == "memorization" and "sigma" in s}
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

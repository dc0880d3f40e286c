"""The files of one data set, as figures and tables read them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bat import data
from bat.files import check_inputs, read_metadata, table_digest
from bat.reading import lies_there
from bat.report.captions import about_groups, ranked_text, sentences
from bat.scores.fit import fit_sentence
from bat.validation import check_convergence, check_rates, groups_inputs, read_checked


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
            made_of = groups_inputs(self.path / "scores", metadata.get("thresholds", {}))
            check_inputs(self.path / name, metadata, made_of)
        return table, metadata

    def convergence(self) -> pd.DataFrame:
        """``convergence.csv`` of this data set, made of its scores' trials."""
        path = self.path / "scores" / "convergence.csv"
        check_convergence(path, self.prepared.fingerprint, self._inputs("memorization", "trials"))
        return pd.read_csv(path)

    def rates(self) -> pd.DataFrame:
        """``privacy.csv`` of this data set, made of its scores' trials and its groups."""
        path, groups = self.path / "scores" / "privacy.csv", self.path / "groups" / "train.parquet"
        present = self._inputs("privacy", "trials", "margins")
        present["groups"] = table_digest(groups, "groups", ["typical", "atypical"])
        check_rates(path, self.prepared.fingerprint, present)
        return pd.read_csv(path)

    def _inputs(self, kind: str, *names: str) -> dict[str, str]:
        """Digests of what a score table was made of, those that it states."""
        stated = self.scores(kind)[1].get("inputs", {})
        return {name: stated[name] for name in names if name in stated}

    def chances(self) -> dict[str, dict]:
        """What is expected by chance of the atypical groups, by split; empty if not stated."""
        found = self._about_groups().items()
        return {split: about["chance"] for split, about in found if "chance" in about}

    def caution(self) -> str:
        """For captions: what the training groups go by, and which are built on chance, if any."""
        return about_groups(self._about_groups())

    def _about_groups(self) -> dict[str, dict]:
        return {split: self.groups(split)[1] for split in ("train", "test")}

    def table(self, name: str, kind: str) -> tuple[pd.DataFrame, dict]:
        """A table of this data set, and of no other, by its path in the folder."""
        table, metadata = read_checked(self.path / name, kind, self.prepared)
        return table.to_pandas(), metadata

    def noted(self, caption: str, name: str) -> str:
        """A caption, and what must be known of scores or groups that its artefact is made by."""
        kind = "groups" if name.startswith("groups/") else Path(name).stem
        if not lies_there(self.path / name):  # a table without a run that goes by them
            return caption
        metadata = read_metadata(self.path / name, kind, fingerprint=self.prepared.fingerprint)
        known = (ranked_text(metadata.get("thresholds", {})), fit_sentence(metadata))
        return sentences(caption, *(text for text in known if text not in caption))

"""What has been made, in lines of text."""

from __future__ import annotations

from pathlib import Path

from bat import data
from bat.config import Config
from bat.data.duplicates import duplicate_notes
from bat.errors import ArtifactError
from bat.files import read_metadata
from bat.reading import lies_there, regular_file
from bat.report.captions import provenance
from bat.report.folder import Folder
from bat.report.words import percent
from bat.scores.chance import chance_text, memorization_by_chance, pairs_by_chance
from bat.statistics import above


def summary(config: Config) -> list[str]:
    """What has been made for each configured data set, and where; lines of text."""
    lines = []
    for name, dataset in config.datasets.items():
        root = config.results / name
        lines += ["", f"{name}", "-" * len(name), *_duplicates(root / "data")]
        start = len(lines)
        if not lies_there(root / "scores" / "memorization.parquet"):
            lines.append("no scores yet")
            continue
        folder = Folder(root)
        scores, metadata = folder.scores("memorization")
        lines.append(provenance(metadata))
        share = above(scores["memorization"], dataset.groups.atypical_above).mean()
        chance = memorization_by_chance(scores, dataset.groups.atypical_above)
        by_chance = "how many by chance is not known"
        if chance is not None:
            by_chance = f"{percent(chance / len(scores))} by chance"
        lines.append(
            f"{percent(share)} of the {len(scores):,} training samples have memorization "
            f"above {dataset.groups.atypical_above:g}, {by_chance}."
        )
        pairs = root / "scores" / "influence.parquet"
        if lies_there(pairs):
            lines.append(pairs_by_chance(read_metadata(pairs, "influence")))
        if all(lies_there(root / "groups" / f"{split}.parquet") for split in ("train", "test")):
            lines += [
                f"{split} atypical samples: {chance_text(chance)}"
                for split, chance in folder.chances().items()
            ]
            lines.append(folder.caution())
        lines = [line for at, line in enumerate(lines) if line or at < start]
        parts = [(f"pages in {root}", root, "*.html")]
        parts += [(f"scores in {root}/scores", root / "scores", "*.parquet")]
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
            text = regular_file(table, ArtifactError).read_text(encoding="utf-8", errors="replace")
            lines += ["", text.strip()]
    return lines[1:]


def _duplicates(folder: Path) -> list[str]:
    """A line on exact copies in a prepared folder; none where they were not counted (0.1.0)."""
    if not lies_there(folder / data.INFO):
        return []
    info = data.load(folder).info
    notes = duplicate_notes(info["duplicates"], info["n_test"]) if "duplicates" in info else []
    return [f"Duplicates: {'; '.join(notes)}."] if notes else []

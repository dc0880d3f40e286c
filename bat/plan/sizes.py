"""How large data sets are, prepared or not, and how many trials that asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bat.config import Config, Data, Dataset
from bat.data.counting import count_samples
from bat.data.prepared import read_info
from bat.errors import BatError, DataError
from bat.plan.enough import trials_in_words
from bat.plan.shards import covered_trials, trial_counts
from bat.scores.significance import trials_for_influence
from bat.scores.subsets import check_coverage

KNOWN_SIZES = {
    "fashion_mnist": (60_000, 10_000, 10, (1, 28, 28)),
    "cifar10": (50_000, 10_000, 10, (3, 32, 32)),
    "cifar100": (50_000, 10_000, 100, (3, 32, 32)),
}
"""Training and test samples, classes and shape of data sets that are not prepared yet."""

ASSUMED_SIZE = KNOWN_SIZES["cifar10"]
"""For a data set of the user's own that is neither prepared nor can be counted here."""


@dataclass(frozen=True)
class Size:
    """Samples, classes, and (channels, height, width) of a data set."""

    n_train: int
    n_test: int
    n_classes: int
    shape: tuple[int, int, int]
    assumed: bool = False


def size(dataset: Dataset, folder: Path) -> Size:
    """The size of a data set: as prepared, else as known or counted before, else assumed.

    Parameters
    ----------
    dataset : Dataset
    folder : path
        Its folder below the results.
    """
    data, assumed = dataset.data, False
    try:
        info = read_info(folder / "data")
    except DataError:
        info = None
    if info is not None and _as_configured(info, data):
        n_classes = len(info["class_names"])
        return Size(info["n_train"], info["n_test"], n_classes, tuple(info["shape"]))
    if data.source == "digits":
        n_train, n_test, n_classes, shape = 1797 - data.n_test, data.n_test, 10, (1, 8, 8)
    elif data.source == "tiny_imagenet":
        n_classes, shape = data.classes, (3, 64, 64)
        n_train, n_test = 500 * n_classes, 50 * n_classes
    elif counted := KNOWN_SIZES.get(data.source) or count_samples(data):
        n_train, n_test, n_classes, shape = counted
    else:
        assumed, (n_train, n_test, n_classes, shape) = True, ASSUMED_SIZE
    part = data.subsample
    if part.train or part.train_per_class:
        n_train = part.train or part.train_per_class * n_classes
    if part.test or part.test_per_class:
        n_test = part.test or part.test_per_class * n_classes
    if data.resize:
        shape = (shape[0], data.resize, data.resize)
    return Size(n_train, n_test, n_classes, shape, assumed=assumed)


def _as_configured(info: dict, data: Data) -> bool:
    """Whether data were prepared by these settings, or will be prepared again."""
    now = data.model_dump(mode="json")
    known = {key: info[key] for key in ("source", "resize") if key in info}
    known |= info.get("settings", {})
    drawn = info.get("subsample", {}).items() <= now["subsample"].items()
    return drawn and all(now.get(key) == value for key, value in known.items())


def coverage_problems(config: Config) -> list[str]:
    """Numbers of trials that leave scores undefined, a line for each data set and setting."""
    found = {}
    for name, dataset in config.datasets.items():
        for architecture in trial_counts(dataset) if dataset.scores.source is None else ():
            try:
                check_trials(dataset, config.results / name, architecture)
            except BatError as error:
                found[f"datasets.{name}.{error}"] = None
    return list(found)


def check_trials(dataset: Dataset, folder: Path, architecture: str) -> None:
    """Refuse as few trials of an architecture as leave scores undefined, as far as is known now.

    Their jobs look again, with the prepared data.
    """
    known = size(dataset, folder)
    if known.assumed or dataset.data.drop is not None:
        return
    scores = dataset.scores
    counts = covered_trials(dataset, architecture)
    check_coverage(scores.seed, known.n_train, scores.subset_ratio, *counts)


def trials_to_stand(dataset: Dataset, folder: Path) -> str:
    """How many trials an influence at the threshold needs to be told from chance, in a sentence."""
    n, influence = size(dataset, folder), dataset.groups.influence_above
    pairs = n.n_train * n.n_test
    if dataset.scores.influence.pairs == "same_class":
        pairs //= n.n_classes
    ratio, trials = dataset.scores.subset_ratio, trials_in_words(dataset.scores)
    if influence == 0:
        return ""
    # as usual, but one that such an influence can lower to 0 or raise to 1 at most
    accuracy = max(min(0.8, 1 - influence * (1 - ratio)), influence * ratio)
    needed = trials_for_influence(influence, accuracy, pairs, ratio)
    assumed = " (size assumed)" if n.assumed else ""
    sooner = "; by margins, which the trials keep, sooner" if dataset.scores.margins else ""
    return (
        f"an influence of {influence:g} on a test sample of accuracy {accuracy:g} stands among "
        f"{pairs:,} candidate pairs{assumed} after about {needed:,} trials by right and wrong "
        f"alone, and {trials} are configured{sooner}"
    )

"""What is called real where nothing is, and what is found of what is planted, on real trials.

    python benchmarks/false_discoveries.py results/digits results/cifar10 --trials 60 120 300

Every folder holds the prepared data and the trials of one data set. In each repeat,
random trials are taken and their verdicts permuted against their subsets, so that no
sample has any part in any verdict while all else stays: accuracies, and verdicts that
go together. Then some test samples are planted: an atypical training sample of the
class carries each, in a given share of the trials. Test samples are called by the
threshold alone, with two standard errors, and by Benjamini-Hochberg at 0.1 across
test samples, where the p-values of a test sample are joined by Simes (what `bat`
does), by their least one times their number (Bonferroni), or not at all (over all
pairs); and by Simes with the p-values of the pairs' margins, where trials have them (what
`bat` does then). Columns are means over the repeats; under the null every call is false.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from bat import data, scoring
from bat.files import read_metadata
from bat.report.writing import csv_text
from bat.scores import MemorizationScores, influence, memorization
from bat.scores.chance import Counts, counts_of, memorization_by_chance
from bat.scores.groups import test_groups, train_groups
from bat.scores.margin_influence import influence_from_margins, student_p
from bat.scores.significance import LEVEL, benjamini_hochberg

ABOVE = 0.15


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", help="results folders of data sets")
    parser.add_argument("--architecture", help="by default that of the first shard")
    parser.add_argument("--trials", type=int, nargs="+", default=[60, 120, 300])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--planted", type=int, default=20, help="test samples that are carried")
    parser.add_argument("--carried", type=float, default=0.5, help="in this share of the trials")
    args = parser.parse_args()
    rows = []
    for folder in args.folders:
        prepared, trials = read(folder, args.architecture)
        for n_trials in args.trials:
            if n_trials > len(trials.included):
                continue
            for planted in (0, args.planted):
                found = [
                    once(prepared, trials, n_trials, planted, args.carried, seed)
                    for seed in range(args.repeats)
                ]
                row = {"data": folder.name, "trials": n_trials, "planted": planted}
                rows.append(row | pd.DataFrame(found).mean().to_dict())
    print(csv_text(pd.DataFrame(rows).round(3)))


def read(folder, architecture):
    """The data set, and all its trials from number 0 up."""
    prepared = data.load(folder / "data")
    shards = sorted((folder / "trials").glob(f"{architecture or '*'}-*.parquet"))
    name = shards[0].stem.rsplit("-", 2)[0]
    shards = [path for path in shards if path.stem.rsplit("-", 2)[0] == name]
    n_trials = int(shards[-1].stem.rsplit("-", 1)[1]) + 1
    recipe = read_metadata(shards[0], "trials")["recipe"]
    return prepared, scoring.read_trials(shards, prepared, n_trials, recipe=recipe, margins=True)


def once(prepared, trials, n_trials, n_planted, carried, seed) -> dict:
    """One draw of trials with permuted verdicts: what is called, and how much of it is false."""
    rng = np.random.default_rng(seed)
    draw = rng.permutation(len(trials.included))[:n_trials]
    included, correct = trials.included[draw], trials.train_correct[draw]
    usable = included.any(axis=0) & ~included.all(axis=0)
    included, correct = included[:, usable], correct[:, usable]
    labels = np.asarray(prepared.train_labels)[usable]
    test_labels = np.asarray(prepared.test_labels)
    mixed = rng.permutation(draw)
    verdicts = trials.test_correct[mixed]
    margins = None if trials.test_margin is None else trials.test_margin[mixed]
    true = plant(rng, included, correct, verdicts, margins, labels, test_labels, n_planted, carried)
    null_train = memorization(included, correct[rng.permutation(n_trials)])
    _, called_train = train_groups(
        null_train.memorization,
        p=counts(null_train, labels, verdicts, test_labels).memorization_p(),
        false_discovery=LEVEL,
    )
    scores = memorization(included, correct)
    atypical = train_groups(scores.memorization)[1]
    pairs = influence(included, verdicts, labels, test_labels)
    stands = pairs.q <= LEVEL
    counted = counts(scores, labels, verdicts, test_labels)
    row = {
        "train_above": (null_train.memorization > ABOVE).sum(),
        "train_expected": memorization_by_chance(vars(null_train), ABOVE),
        "train_called": called_train.sum(),
        "pairs_above": pairs.chance["observed"][pairs.chance["thresholds"].index(ABOVE)],
        "pairs_expected": pairs.chance["expected"][pairs.chance["thresholds"].index(ABOVE)],
        "pairs_called": stands.sum(),
        "pairs_false": (~true[pairs.test_index[stands]]).sum(),
        "test_expected": counted.by_chance(atypical, ABOVE)[1].sum(),
    }
    found = rules(pairs, counted, atypical)
    if margins is not None:
        of_pairs = by_margins(included, margins, labels, test_labels, pairs)
        found["margins"] = simes_groups(pairs, of_pairs, counted, atypical)
    for rule, called in found.items():
        row |= {f"{rule}_called": called.sum(), f"{rule}_false": (called & ~true).sum()}
        row[f"{rule}_fdp"] = (called & ~true).sum() / max(called.sum(), 1)
    return row


def plant(rng, included, correct, verdicts, margins, labels, test_labels, n, carried):
    """Let atypical training samples carry some test samples; which ones, shape (n_test,)."""
    true = np.zeros(len(test_labels), bool)
    atypical = np.flatnonzero(memorization(included, correct).memorization > ABOVE)
    for j in rng.permutation(len(test_labels)):
        own = atypical[labels[atypical] == test_labels[j]]
        if true.sum() == n or not own.size:
            continue
        carries = rng.random(len(verdicts)) < carried
        verdicts[carries, j] = included[carries, rng.choice(own)]
        if margins is not None:
            size = np.abs(margins[carries, j])
            margins[carries, j] = np.where(verdicts[carries, j], size, -size)
        true[j] = True
    return true


def counts(scores: MemorizationScores, labels, verdicts, test_labels) -> Counts:
    frame = pd.DataFrame(vars(scores)).assign(label=labels)
    test = pd.DataFrame({"label": test_labels, "accuracy": verdicts.mean(axis=0)})
    return counts_of(frame, test, {"influence": {"pairs": "same_class"}})


def by_margins(included, margins, labels, test_labels, pairs) -> np.ndarray:
    """One-sided p-values of the margins of kept pairs."""
    keep = pairs.train_index, pairs.test_index
    found = influence_from_margins(included, margins, labels, test_labels, keep=keep)
    key = found.train_index.astype(np.int64) << 32 | found.test_index
    at = np.searchsorted(key, pairs.train_index.astype(np.int64) << 32 | pairs.test_index)
    p = student_p(found.influence_margin, found.influence_margin_se, len(included))
    return p[at]


def simes_groups(pairs, p, counted: Counts, atypical) -> np.ndarray:
    """Test samples that `bat` calls atypical by these p-values of pairs."""
    columns = {name: getattr(pairs, name) for name in ("train_index", "test_index", "influence")}
    return test_groups(
        len(pairs.test_accuracy),
        columns | {"p": p},
        atypical,
        pairs.test_accuracy,
        keep_above=0.02,
        n_candidates=counted.n_candidates(atypical),
        false_discovery=LEVEL,
    )[1]


def rules(pairs, counted: Counts, atypical) -> dict[str, np.ndarray]:
    """Which test samples each rule calls atypical."""
    columns = {name: getattr(pairs, name) for name in ("train_index", "test_index", "influence")}
    columns["influence_se"] = pairs.influence_se
    columns["p"] = counted.influence_p(*list(columns.values())[:3])
    n_test, tested = len(pairs.test_accuracy), counted.n_candidates(atypical)
    called = {}
    for name, settings in (
        ("threshold", {}),
        ("significance", {"significance": 2.0}),
    ):
        arguments = n_test, columns, atypical, pairs.test_accuracy
        called[name] = test_groups(*arguments, keep_above=0.02, **settings)[1]
    called["simes"] = simes_groups(pairs, columns["p"], counted, atypical)
    use = atypical[pairs.train_index] & (pairs.influence > np.float32(ABOVE))
    p, test = columns["p"][use], pairs.test_index[use]
    least = np.ones(n_test)
    np.minimum.at(least, test, p)
    joined = np.where(tested > 0, np.minimum(least * tested, 1), 1.0)
    called["bonferroni"] = benjamini_hochberg(joined) <= LEVEL
    padded = np.concatenate([p, np.ones(tested.sum() - len(p))])
    stands = benjamini_hochberg(padded)[: len(p)] <= LEVEL
    called["all_pairs"] = np.isin(np.arange(n_test), test[stands])
    return called


if __name__ == "__main__":
    main()

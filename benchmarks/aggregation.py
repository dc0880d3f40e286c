"""Time the score tables against plain numpy of the published kind, on synthetic trials.

    python benchmarks/aggregation.py --trials 500 --train 10000 --test 2000   # seconds
    python benchmarks/aggregation.py                                         # full size, 6 GB

The plain twin averages under the mask and under its complement: two full float32
products, then the kept pairs. Ours also gives standard errors and each test
sample's largest influence. Every measurement is a process of its own that makes
the same data, so that the peak memory is its own; imports inside the functions
count as time. The kept pairs must be the same, but for those that the plain twin's
float32 rounding puts on the other side of the threshold. Runs on Linux only.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

ROUNDING = 1e-6  # of the plain twin's float32 averages


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=2_000)
    parser.add_argument("--train", type=int, default=50_000)
    parser.add_argument("--test", type=int, default=10_000)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--pairs", choices=("same_class", "all"), nargs="+")
    parser.add_argument("--keep-above", type=float, default=0.02)
    parser.add_argument("--repeats", type=int, default=3, help="of ours; the plain twin runs once")
    parser.add_argument("--measure", nargs=2, metavar=("METHOD", "FILE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        measure(*args.measure, args)
        return
    print(hardware())
    print(f"{args.trials} trials x {args.train} train x {args.test} test, {args.classes} classes")
    print(f"{'pairs':12}{'method':8}{'seconds':>9}{'peak GB':>9}{'kept':>12}{'ratio':>8}")
    for pairs in args.pairs or ("same_class", "all"):
        plain = run("plain", pairs)
        report(pairs, "plain", plain)
        ours = [run("ours", pairs) for _ in range(args.repeats)]
        middle = sorted(ours, key=lambda result: result["seconds"])[args.repeats // 2]
        report(pairs, "ours", middle, plain["seconds"] / middle["seconds"])
        times = [result["seconds"] for result in ours]
        print(f"  ours, all runs: {', '.join(f'{t:.2f}' for t in times)} s", end="; ")
        compare(plain, ours[0], args)


def run(method, pairs):
    """Measure one method in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "result.npz")
        # a later --pairs replaces an earlier one
        command = [sys.executable, __file__, *sys.argv[1:], "--pairs", pairs]
        subprocess.run([*command, "--measure", method, str(path)], check=True)
        with np.load(path) as result:
            return {name: result[name] for name in result.files}


def measure(method, path, args):
    trials = synthetic(args)
    data = peak_memory()
    start = time.perf_counter()
    functions = {"plain": plain_scores, "ours": our_scores}
    memorization, train, test, influence = functions[method](*trials, args)
    seconds = time.perf_counter() - start
    np.savez(
        path,
        seconds=seconds,
        peak=peak_memory(),
        data=data,
        memorization=memorization,
        key=train.astype(np.int64) * args.test + test,
        influence=influence,
    )


def synthetic(args):
    """Make trials in which labels differ in how often they are right, and some are memorized."""
    rng = np.random.default_rng(0)
    gain = rng.beta(0.3, 1, args.train)
    often = rng.beta(5, 0.5, args.test)
    train_labels = rng.integers(args.classes, size=args.train)
    test_labels = rng.integers(args.classes, size=args.test)
    included, correct = np.empty((2, args.trials, args.train), bool)
    test_correct = np.empty((args.trials, args.test), bool)
    for t in range(args.trials):
        included[t] = rng.random(args.train) < 0.7
        correct[t] = included[t] | (rng.random(args.train) > gain)
        test_correct[t] = rng.random(args.test) < often
    for j in range(0, args.test, 10):  # every tenth test sample leans on one training sample
        i = rng.choice(np.flatnonzero(train_labels == test_labels[j]))
        test_correct[:, j] &= included[:, i] | (rng.random(args.trials) < 0.6)
    return included, correct, test_correct, train_labels, test_labels


def plain_scores(included, correct, test_correct, train_labels, test_labels, args):
    """Score as the formulas read: averages under the mask and under its complement."""
    excluded = ~included
    with_sample, without = included.sum(axis=0), excluded.sum(axis=0)
    memorization = (correct * included).sum(axis=0) / with_sample
    memorization -= (correct * excluded).sum(axis=0) / without
    right = test_correct.T.astype(np.float32)
    influence = right @ included.astype(np.float32) / with_sample.astype(np.float32)
    influence -= right @ excluded.astype(np.float32) / without.astype(np.float32)
    kept = influence > np.float32(args.keep_above)
    if args.pairs == ["same_class"]:
        kept &= test_labels[:, None] == train_labels
    test, train = np.nonzero(kept)
    return memorization, train, test, influence[test, train]


def our_scores(included, correct, test_correct, train_labels, test_labels, args):
    from bat.scores import influence, memorization

    found = influence(
        included,
        test_correct,
        train_labels,
        test_labels,
        pairs=args.pairs[0],
        keep_above=args.keep_above,
    )
    scores = memorization(included, correct)
    return scores.memorization, found.train_index, found.test_index, found.influence


def report(pairs, method, result, ratio=1.0):
    print(
        f"{pairs:12}{method:8}{result['seconds']:9.2f}{result['peak']:9.2f}"
        f"{result['key'].size:12}{ratio:7.1f}x",
        flush=True,
    )


def compare(plain, ours, args):
    """Stop unless the results are equal up to the plain twin's rounding."""
    np.testing.assert_allclose(ours["memorization"], plain["memorization"], atol=1e-12)
    order = np.argsort(plain["key"])
    key, influence = plain["key"][order], plain["influence"][order]
    in_both, at = np.isin(ours["key"], key, assume_unique=True), np.isin(key, ours["key"])
    np.testing.assert_array_equal(ours["key"][in_both], key[at])
    np.testing.assert_allclose(ours["influence"][in_both], influence[at], atol=ROUNDING)
    apart = np.concatenate([ours["influence"][~in_both], influence[~at]])
    if (np.abs(apart - args.keep_above) > ROUNDING).any():
        raise SystemExit(f"{apart.size} kept pairs differ, not all by rounding at the threshold")
    print(f"same pairs ({apart.size} at the threshold), data {ours['data']:.2f} GB")


def peak_memory():
    """Return the peak memory of this process in GB, on Linux.

    Not ``ru_maxrss``, which starts at that of the parent process.
    """
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 2**20 for line in status if line.startswith("VmHWM"))


def hardware():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    packages = ", ".join(f"{package} {version(package)}" for package in ("numpy", "torch"))
    cores = len(os.sched_getaffinity(0))
    return f"{name}, {cores} cores; Python {platform.python_version()}, {packages}"


if __name__ == "__main__":
    main()

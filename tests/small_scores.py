"""A results folder with score tables and nothing trained."""

import shutil

import numpy as np

import bat
from bat.files import write_table

TRIALS = 20


def write_results(folder, prepared):
    """Data and the three score tables of made-up trials, as ``results/{dataset}`` has them."""
    shutil.copytree(prepared.folder, folder / "data")
    labels, test_labels = prepared.train_labels, prepared.test_labels
    rng, n = np.random.default_rng(0), len(prepared.train_labels)
    included = np.array([bat.subset(seed=0, trial=t, n=n, ratio=0.7) for t in range(TRIALS)])
    scores = bat.memorization(included, included | (rng.random(included.shape) < 0.7))
    right = rng.random((TRIALS, len(test_labels))) < 0.7
    pairs = bat.influence(included, right, labels, test_labels)
    frames = {
        "memorization": scores.to_frame(labels),
        "influence": pairs.to_frame(),
        "test": pairs.test_to_frame(test_labels),
    }
    about = {"fingerprint": prepared.fingerprint, "recipe": {}, "command": "a test"}
    about["influence"] = {"keep_above": 0.02, "pairs": "same_class"}
    for kind, frame in frames.items():
        columns = {name: frame[name].to_numpy() for name in frame.columns}
        write_table(folder / "scores" / f"{kind}.parquet", kind, columns, **about)
    return folder

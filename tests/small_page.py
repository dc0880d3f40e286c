"""The page of all images of a small data set, whose scores were made up."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
from samples import encode, pets, pixels
from small_scores import write_results

from bat import data
from bat.figures import browse, browse_methods
from bat.files import PREDICTED, write_table
from bat.report.folder import Folder

HOSTILE = "<img src=x onerror=document.title='hit'>"
CLASSES = (HOSTILE, "\"'&amp;</script>".replace("/", "!"), "plain")
N_TRAIN, N_TEST = 72, 36


def write_pictures(root):
    """A folder of coloured images in three classes, two of hostile names."""
    for split, n in (("train", N_TRAIN // 3), ("test", N_TEST // 3)):
        for c, name in enumerate(CLASSES):
            place = root / split / name
            place.mkdir(parents=True)
            for i in range(n):
                seed = 1000 * c + i + (500 if split == "test" else 0)
                (place / f"{HOSTILE}{i}.png").write_bytes(encode(pixels(seed, (8, 10, 3))))
    return root


N_MODELS = 8


def predicted(labels):
    """What models without a sample take it for: its label, another class or a third; 0 nothing."""
    shares = np.tile([0.5, 0.375, 0.125], (len(labels), 1))
    classes = np.stack([(labels + shift) % len(CLASSES) for shift in (1, 0, 2)], axis=1)
    shares[1::2], classes[1::2] = [0.75, 0.125, 0], [[1, 0, -1]]
    shares[2], classes[2] = 0, -1
    n_models = np.where(np.arange(len(labels)) == 2, 0, N_MODELS)
    columns = {"n_held_out": n_models}
    for at, names in enumerate(PREDICTED):
        columns |= dict(zip(names, (classes[:, at], shares[:, at]), strict=True))
    return columns


def write_folder(root):
    """Results with every table that the page needs, and two that it may use."""
    data.prepare(pets(write_pictures(root / "pictures")), root / "prepared", workers=1)
    prepared = data.load(root / "prepared")
    folder = write_results(root / "results", prepared)
    about = {"fingerprint": prepared.fingerprint, "recipe": {}, "command": "a test"}
    for split in ("train", "test"):
        n = prepared.info[f"n_{split}"]
        kind = np.arange(n) % 3
        columns = {"index": np.arange(n), "typical": kind == 0, "atypical": kind == 1}
        write_table(folder / "groups" / f"{split}.parquet", "groups", columns, **about)
    labels = np.asarray(prepared.train_labels)
    rng = np.random.default_rng(3)
    for name in ("disagreement", "confidence"):
        columns = {"index": np.arange(len(labels)), "label": labels}
        columns[name] = 0.6 * rng.random(len(labels))
        if name == "confidence":
            columns |= predicted(labels)
        write_table(folder / "scores" / f"{name}.parquet", name, columns, **about)
    return folder


RUNS = ("pgd-at", "<i>mine</i>")
SPEC = {"dataset": "d", "architecture": "net", "runs": RUNS, "external": [], "seeds": [0, 1, 2]}
SPEC |= {"ablation": {"alpha": [], "beta": []}, "shares": [], "substitution": []}
SPEC["evaluation"] = {"attacks": {"pgd": {"eps": 0.1, "steps": 10, "restarts": 1}}}


def verdicts(run, seed):
    """What a run got right of every second test image."""
    rng = np.random.default_rng([RUNS.index(run), seed])
    columns = {name: rng.random(N_TEST // 2) < 0.5 for name in ("clean", "pgd")}
    return pd.DataFrame({"index": np.arange(0, N_TEST, 2), **columns})


def write_methods_page(folder):
    """``net/browse.html`` in a results folder, with two methods that were never trained."""
    judged = {(run, seed): verdicts(run, seed) for run in RUNS for seed in SPEC["seeds"]}
    comparison = SimpleNamespace(
        folder=Folder(folder, SPEC),
        spec=SPEC,
        dataset=SPEC["dataset"],
        architecture=SPEC["architecture"],
        evaluations=lambda runs: {key: judged[key] for key in judged if key[0] in runs},
    )
    (folder / "net").mkdir()
    browse_methods.write(comparison, folder / "net" / "browse")
    return folder / "net" / "browse.html"


def write_page(folder, out):
    """The page of the data set."""
    spec = {"dataset": "a <b>data set</b>", "influence_above": 0.15}
    return browse.write(Folder(folder, spec), out)


def write_small_page(root):
    """The results folder of the data set, with ``browse.html``."""
    folder = write_folder(root)
    write_page(folder, folder / "browse")
    return folder

"""The evaluation of a checkpoint, ours or anyone's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from bat import extensions, files
from bat.attacks import build_attack
from bat.attacks.evaluation import evaluate
from bat.checkpoints import load_model
from bat.checkpoints.formats import checkpoint_digest, of_file
from bat.data import PreparedData
from bat.devices import Runtime
from bat.files import column
from bat.progress import Progress
from bat.streams import generator
from bat.validation import made_already

REPORT_EVERY = 10.0  # seconds between two lines of an attack


def evaluate_checkpoint(
    checkpoint: Path,
    architecture: str,
    prepared: PreparedData,
    spec: dict,
    out: Path,
    *,
    device: Runtime,
    command: str,
    normalize: bool | None = None,
    key: str | None = None,
    network: dict | None = None,
) -> dict[str, float]:
    """Judge every test sample under a trained model, clean and under each attack.

    Parameters
    ----------
    checkpoint : path
        Ours, or anyone's, as for `checkpoints.load_model`.
    architecture : str
    prepared : PreparedData
    spec : dict
        From `bat.plan.specifications.evaluation_specification`.
    out : path
        The evaluation table.
    device : Runtime
    command : str
    normalize, key, network : optional
        As for `checkpoints.load_model`.

    Returns
    -------
    dict of str to float
        Accuracies, clean and under each attack.

    Raises
    ------
    ArtifactError
        If the checkpoint is damaged, or of another architecture or class count.
    """
    info, index = prepared.info, judged_samples(spec, prepared.info["n_test"])
    made_of = model_inputs(checkpoint, normalize, key, network)
    done = made_already(
        out, "evaluations", prepared, recipe=spec, inputs=made_of, before=of_file(checkpoint)
    )
    if done is not None:
        names = ["clean", *spec["attacks"]]
        return {name: float(column(done, name).astype(bool).mean()) for name in names}
    model = load_model(
        checkpoint,
        architecture,
        prepared,
        device,
        normalize=normalize,
        key=key,
        network=network,
    )
    attacks = {name: build_attack(name, settings) for name, settings in spec["attacks"].items()}
    with extensions.heard_in("judging", network):
        flags = evaluate(
            model,
            prepared.test_images[index],
            np.asarray(prepared.test_labels)[index],
            attacks,
            batch_size=spec["batch_size"],
            seed=spec["seed"],
            progress=reports(f"{spec['dataset']} {architecture} {out.parent.name} {out.stem}"),
        )
    columns = {name: flags.get(name) for name in files.schema_of("evaluations", spec).names[1:]}
    files.write_table(
        out,
        "evaluations",
        {
            "index": index,
            **{k: [None] * len(index) if v is None else v for k, v in columns.items()},
        },
        fingerprint=info["fingerprint"],
        recipe=spec,
        command=command,
        identity=files.place_of(out) | {"dataset": spec["dataset"]},
        inputs=made_of,
        architecture=architecture,
        checkpoint_sha256=files.sha256_of(checkpoint),
        normalization={k: getattr(model, k).flatten().tolist() for k in ("mean", "std")},
    )
    return {name: float(values.mean()) for name, values in flags.items()}


def judged_samples(spec: dict, n_test: int) -> np.ndarray:
    """The test samples that a specification asks for, rising; of more samples a part of more."""
    order = generator(spec["seed"], 0, "evaluated").permutation(n_test)
    return np.sort(order[: spec["max_samples"] or n_test])


def model_inputs(
    checkpoint: Path, normalize: bool | None, key: str | None, network: dict | None
) -> dict[str, str]:
    """What verdicts on a model are made of, as their metadata name it."""
    made_of = {"checkpoint": checkpoint_digest(checkpoint), "asked": f"{normalize} {key}"}
    return made_of if network is None else made_of | {"network": extensions.digest(network)}


def reports(title: str) -> Callable[[str, int, int], None]:
    """What tells how far each attack is, with a line for each."""
    attacks: dict[str, Progress] = {}

    def report(name: str, done: int, total: int) -> None:
        if name not in attacks:
            attacks[name] = Progress(f"{title}, {name}", total, done=done, every=REPORT_EVERY)
        attacks[name].update(done, "samples" if done < total else "")

    return report

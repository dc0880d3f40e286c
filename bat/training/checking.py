"""The check of a checkpoint, ours or anyone's, for a masked gradient."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bat import files
from bat.attacks import masking_verdicts
from bat.checkpoints import load_model
from bat.checkpoints.formats import checkpoint_digest
from bat.data import PreparedData
from bat.devices import Runtime
from bat.files import NO_SOURCE
from bat.training.evaluating import judged_samples, model_inputs, reports
from bat.validation import made_already


def check_checkpoint(
    checkpoint: Path,
    architecture: str,
    prepared: PreparedData,
    spec: dict,
    out: Path,
    *,
    source: Path | None = None,
    device: Runtime,
    command: str,
    normalize: bool | None = None,
    key: str | None = None,
    network: dict | None = None,
) -> dict[str, float]:
    """Judge test samples under what tells whether a trained model masks its gradient.

    Parameters
    ----------
    checkpoint, architecture, prepared, device, command, normalize, key, network
        As for `bat.training.evaluate_checkpoint`.
    spec : dict
        From `bat.plan.specifications.masking_specification`.
    out : path
        The table, of kind ``masking``.
    source : path, optional
        Another model of the same kind and architecture, such as one of another seed, that the
        images of the transfer attack are made on; without it there is none.

    Returns
    -------
    dict of str to float
        Accuracies; see `bat.attacks.masking_verdicts`.

    Raises
    ------
    ArtifactError
        If a checkpoint is damaged, or of another architecture or class count.
    """
    index = judged_samples(spec, prepared.info["n_test"])
    made_of = model_inputs(checkpoint, normalize, key, network)
    made_of["source"] = NO_SOURCE if source is None else checkpoint_digest(source)
    done = made_already(
        out, "masking", prepared, recipe=spec, inputs=made_of, before=lambda metadata: False
    )
    if done is not None:
        asked = [name for name in ("clean", *files.MASKING) if name != "transfer" or source]
        return {name: float(files.column(done, name).astype(bool).mean()) for name in asked}
    given = {"normalize": normalize, "key": key, "network": network}
    models = {
        name: load_model(path, architecture, prepared, device, **given)
        for name, path in (("model", checkpoint), ("source", source))
        if path is not None
    }
    verdicts = masking_verdicts(
        models["model"],
        prepared.test_images[index],
        np.asarray(prepared.test_labels)[index],
        **spec["attack"],
        source=models.get("source"),
        batch_size=spec["batch_size"],
        seed=spec["seed"],
        progress=reports(f"{spec['dataset']} {architecture} {out.parent.name} {out.stem} masking"),
    )
    columns = {name: verdicts.get(name, [None] * len(index)) for name in ("clean", *files.MASKING)}
    files.write_table(
        out,
        "masking",
        {"index": index, **columns},
        fingerprint=prepared.fingerprint,
        recipe=spec,
        command=command,
        identity=files.place_of(out) | {"dataset": spec["dataset"]},
        inputs=made_of,
        architecture=architecture,
        checkpoint_sha256=files.sha256_of(checkpoint),
    )
    return {name: float(values.mean()) for name, values in verdicts.items()}

"""One adversarial training from its specification to checkpoints and history.

A run is a function of its specification (method, samples, settings, seed) and
the data. It can be stopped at any step and goes on exactly where it was.
"""

from __future__ import annotations

import time
from pathlib import Path

from bat import files
from bat.data import PreparedData
from bat.devices import Runtime
from bat.progress import log, progress
from bat.scores.fit import fit_sentence
from bat.stopping import Stopped, signals_kept
from bat.training.completeness import is_complete
from bat.training.inputs import Inputs, identity, read_inputs
from bat.training.loop import DivergedError
from bat.training.running import Run


def train_run(
    out: Path,
    prepared: PreparedData,
    spec: dict,
    inputs: Inputs,
    *,
    device: Runtime,
    command: str,
    checkpoint_every: float = 60.0,
) -> None:
    """Train one run; write ``last.pt``, ``best.pt`` and ``history.parquet`` into ``out``.

    Checkpoints are plain state dicts. While the run is under way, its state is
    in ``resume.pt``, also while it selects or measures; a run that is complete
    already is left as it is.

    Parameters
    ----------
    out : path
        Folder of the run.
    prepared : PreparedData
    spec : dict
        From `bat.plan.specifications`.
    inputs : Inputs
    device : Runtime
    command : str
        For the metadata.
    checkpoint_every : float
        Seconds between two writes of the state.

    Raises
    ------
    BatError
        If a group is empty, or a table is of another data set.
    DivergedError
        If a loss, a weight or a prediction is not finite; the last good state
        stays.
    Stopped
        After a signal, with the state written; the same call goes on from it.
    """
    files.remove_leftovers(out)
    made_of = read_inputs(prepared, spec, inputs)
    if is_complete(out, prepared, spec, made_of):
        for name in ("last.pt", "best.pt", "history.parquet"):
            (out / name).touch()
        (out / "resume.pt").unlink(missing_ok=True)
        log.info("%s: complete already", out)
        return
    title = f"{spec['dataset']} {spec['architecture']} {spec['run']} seed {spec['seed']}"
    log.info("%s: starts on %s", title, device.name)
    if sentence := fit_sentence(made_of.fit):
        log.warning("%s: %s", title, sentence)
    run = Run(prepared, spec, made_of, device)
    _train(run, title, out / "resume.pt", checkpoint_every)
    checkpoints = {
        name: files.write_torch(out / f"{name}.pt", run.checkpoint(name, weights))
        for name, weights in (("last", run.weights()), ("best", run.best["weights"]))
    }
    files.write_table(
        out / "history.parquet",
        "history",
        run.history(),
        fingerprint=prepared.info["fingerprint"],
        recipe=spec,
        command=command,
        identity=identity(spec),
        inputs=made_of.digests,
        checkpoints=checkpoints,
        device=device.label(run.training.precision),
        best_epoch=run.best["epoch"],
        best_accuracy=run.best["accuracy"],
        undefined_steps=run.undefined_steps(),
        **run.own_statistics(),
        **made_of.fit,
    )
    (out / "resume.pt").unlink(missing_ok=True)


def _train(run: Run, title: str, resume: Path, checkpoint_every: float) -> None:
    """Train to the last epoch, from the state in ``resume``, which is kept there meanwhile."""
    run.resume_from(resume)
    written = time.monotonic()

    def keep_state() -> None:
        nonlocal written
        files.write_torch(resume, run.state())
        written = time.monotonic()

    with (
        signals_kept() as asked,
        progress(f"{title} epochs", run.recipe.epochs, done=len(run.rows)) as bar,
    ):

        def look_up() -> None:
            bar.update(len(run.rows) + run.share(), run.note())
            if asked:
                keep_state()
                log.info("%s: stopped in epoch %d, state kept", title, len(run.rows) + 1)
                raise Stopped(asked[0], f"epoch {len(run.rows) + 1} goes on where it is")
            if time.monotonic() - written >= checkpoint_every:
                keep_state()

        try:
            while len(run.rows) < run.recipe.epochs:
                run.advance(look_up)
                bar.update(len(run.rows), run.note())
        except DivergedError as error:
            last = f"the last good state is in {resume}"
            if not resume.exists():
                last = "no state was kept, since it came before the first was due"
            raise DivergedError(f"{title}: {error}; {last}") from None

"""A method's constants: what a run leaves open is settled by the adversary and the reference.

The defaults of a method are those of its section (`bat.config.TradesRun`, ...) and of this
file; its objective in `bat.objectives` takes them from here.
"""

from __future__ import annotations

from bat.config.awp import awp_constants

REFERENCE_EPS, REFERENCE_STEP = 0.031, 0.007
"""Of TRADES, MART, GAIRAT and MAIL in their authors' code, on the [0, 1] scale."""

GAIRAT_EPOCHS = 120
"""Of the training that GAIRAT's reference has its settings for."""

MAIL_EPOCHS = 120
"""Of the training that MAIL's reference has its settings for."""

SETTLED_ELSEWHERE = {
    "train_on",
    "samples",
    "start_from",
    "training",
    "selection",
    "score",
    "sigma",
    "top",
    "awp",
    "averaging",
}
SETTLED_ELSEWHERE |= {"objective", "settings"}  # of a method of one's own
"""Of a run, what is none of its objective's constants."""


UNSMOOTHED = {
    "mart": "its boosted cross-entropy is of the label alone",
    "mail-mart": "its boosted cross-entropy is of the label alone",
    "own": "a method of your own takes its losses itself; give it a setting for this",
}
"""Methods in which label smoothing has no meaning, and why."""


def with_smooth_labels(run):
    """Refuse a run whose method has no cross-entropy of smoothed labels."""
    if run.training.label_smoothing and run.method in UNSMOOTHED:
        raise ValueError(
            f"training.label_smoothing ({run.training.label_smoothing:g}) has no meaning for "
            f"{run.method}: {UNSMOOTHED[run.method]}; set training: {{label_smoothing: 0}} for it"
        )
    return run


def mart_beta(architecture: str) -> float:
    """MART's beta in its authors' code: 6 for wide residual networks, 5 for others."""
    return 6.0 if architecture.startswith("wrn") else 5.0


def begin_epoch(share: float, epochs: int) -> int:
    """The first epoch, counted from 1, with GAIRAT's weights."""
    return round(share * epochs)


def first_epoch_after(share: float, epochs: int) -> int:
    """The first epoch, counted from 1, after this share of a training: of MAIL's weights."""
    return round(share * epochs) + 1


def with_epochs_to_weigh(run):
    """Refuse MAIL whose weights are asked for after the last epoch alone."""
    begin, epochs = run.begin, run.training.epochs
    if "begin" in run.model_fields_set and first_epoch_after(begin, epochs) > epochs:
        raise ValueError(
            f"begin ({begin:g}) leaves none of the {epochs} epochs to weigh the samples in; choose "
            "a smaller share"
        )
    return run


def averaging(run) -> dict:
    """``{"averaging": settings}`` of a run whose weights are averaged, resolved; else empty."""
    if run.averaging is None:
        return {}
    settings = run.averaging.model_dump(mode="json")
    begin = first_epoch_after(settings.pop("start"), run.training.epochs)
    return {"averaging": settings | {"begin_epoch": begin}}


def constants(run, architecture: str, adversary) -> dict:
    """The method of a run and all its constants, resolved; keywords of its objective.

    Parameters
    ----------
    run : Run
        One of `bat.config.AnyRun`.
    architecture : str
        Whose network is trained.
    adversary : Adversary
        Of the data set, for what the run does not set.

    Returns
    -------
    dict
        ``method``, and what its class in `bat.objectives` is called with; where it
        is set, ``awp``, what that class is called with around it.
    """
    settings = run.model_dump(mode="json", exclude=SETTLED_ELSEWHERE)
    if run.training.label_smoothing:
        settings["label_smoothing"] = run.training.label_smoothing
    if run.method == "erm":
        return settings
    settings["eps"] = adversary.eps if run.eps is None else run.eps
    settings["steps"] = run.steps or adversary.steps
    if run.step is None:
        own = run.method in ("pgd-at", "bat", "own")
        step = REFERENCE_STEP / REFERENCE_EPS * settings["eps"]
        settings["step"] = adversary.step if own else step
    if run.method in ("mart", "mail-mart") and run.beta is None:
        settings["beta"] = mart_beta(architecture)
    if run.method == "gairat":
        settings["begin_epoch"] = begin_epoch(settings.pop("begin"), run.training.epochs)
    if run.method.startswith("mail-"):
        begin = settings.pop("begin")
        settings["begin_epoch"] = first_epoch_after(begin, run.training.epochs)
    if run.awp is not None:
        settings["awp"] = awp_constants(run.awp, run.method, run.training.epochs)
    return settings

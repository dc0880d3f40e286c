"""A method's constants: what a run leaves open is settled by the adversary and the reference.

The defaults of a method are those of its section (`bat.config.TradesRun`, ...) and of this
file; its objective in `bat.objectives` takes them from here.
"""

from __future__ import annotations

REFERENCE_EPS, REFERENCE_STEP = 0.031, 0.007
"""Of TRADES, MART, GAIRAT and MAIL in their authors' code, on the [0, 1] scale."""

GAIRAT_EPOCHS = 120
"""Of the training that GAIRAT's reference has its settings for."""

MAIL_EPOCHS = 120
"""Of the training that MAIL's reference has its settings for."""

SETTLED_ELSEWHERE = {"train_on", "samples", "training", "selection", "score", "sigma", "top"}
SETTLED_ELSEWHERE |= {"objective", "settings"}  # of a method of one's own
"""Of a run, what is none of its objective's constants."""


def mart_beta(architecture: str) -> float:
    """MART's beta in its authors' code: 6 for wide residual networks, 5 for others."""
    return 6.0 if architecture.startswith("wrn") else 5.0


def begin_epoch(share: float, epochs: int) -> int:
    """The first epoch, counted from 1, with GAIRAT's weights."""
    return round(share * epochs)


def first_weighted_epoch(share: float, epochs: int) -> int:
    """The first epoch, counted from 1, with MAIL's weights, after this share without them."""
    return round(share * epochs) + 1


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
        ``method``, and what its class in `bat.objectives` is called with.
    """
    settings = run.model_dump(mode="json", exclude=SETTLED_ELSEWHERE)
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
        settings["begin_epoch"] = first_weighted_epoch(begin, run.training.epochs)
    return settings

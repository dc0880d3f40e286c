"""Training objectives: ERM, PGD-AT, TRADES, MART, GAIRAT, MAIL and BAT, one file each.

An objective is what one training loop calls for each batch::

    loss, statistics = objective(model, batch, generator, epoch=epoch)

It makes its own training attack, leaves the model's mode as it was (the loop
sets train mode) and returns a scalar to differentiate and scalars to record,
all on the device: nothing here waits for it. Forward passes run under the
caller's autocast; softmax, logarithms and losses are always in float32. What it
is given and its further hooks in the loop are in `bat.objectives.base`; default
constants are those of the configuration.
"""

from bat.objectives.awp import AWP
from bat.objectives.base import Adversarial, Batch, Objective, Statistics, weighted_mean
from bat.objectives.bat import (
    BAT,
    FEATURE_NORM_FLOOR,
    discrimination,
    discrimination_loss,
    poisoning_weights,
    wrong_class,
)
from bat.objectives.erm import ERM
from bat.objectives.gairat import GAIRAT, geometry_weights
from bat.objectives.mail import MailAT, MailMART, MailTRADES, mail_weights
from bat.objectives.mart import MART, mart_loss
from bat.objectives.own import build_objective
from bat.objectives.pgd_at import PGDAT
from bat.objectives.registry import OBJECTIVES
from bat.objectives.trades import TRADES, trades_loss

__all__ = [
    "AWP",
    "BAT",
    "ERM",
    "FEATURE_NORM_FLOOR",
    "GAIRAT",
    "MART",
    "OBJECTIVES",
    "PGDAT",
    "TRADES",
    "Adversarial",
    "Batch",
    "MailAT",
    "MailMART",
    "MailTRADES",
    "Objective",
    "Statistics",
    "build_objective",
    "discrimination",
    "discrimination_loss",
    "geometry_weights",
    "mail_weights",
    "mart_loss",
    "poisoning_weights",
    "trades_loss",
    "weighted_mean",
    "wrong_class",
]

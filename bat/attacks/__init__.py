"""l_inf attacks, one file each, for training and evaluation; which samples a model gets right."""

from bat.attacks._cw import cw
from bat.attacks._fgsm import fgsm
from bat.attacks.autoattack import MAX_TARGETS, AutoAttack, Square, autoattack_parts
from bat.attacks.base import EvaluationAttack, Progress, batch_of
from bat.attacks.linf import (
    CW_CONFIDENCE,
    GAUSSIAN_START,
    TOLERANCE,
    Attacked,
    check_adversarial,
    linf_attack,
    margins,
)
from bat.attacks.masking import Transfer, masking_verdicts
from bat.attacks.modes import (
    AttackError,
    at_least_float32,
    device_of,
    eval_mode,
    forward,
    full_precision,
    global_draws,
)
from bat.attacks.own import OwnAttack
from bat.attacks.pgd import PGD, start_noise
from bat.attacks.registry import build_attack

__all__ = [
    "CW_CONFIDENCE",
    "GAUSSIAN_START",
    "MAX_TARGETS",
    "PGD",
    "TOLERANCE",
    "AttackError",
    "Attacked",
    "AutoAttack",
    "EvaluationAttack",
    "OwnAttack",
    "Progress",
    "Square",
    "Transfer",
    "at_least_float32",
    "autoattack_parts",
    "batch_of",
    "build_attack",
    "check_adversarial",
    "cw",
    "device_of",
    "eval_mode",
    "fgsm",
    "forward",
    "full_precision",
    "global_draws",
    "linf_attack",
    "margins",
    "masking_verdicts",
    "start_noise",
]

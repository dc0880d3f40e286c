"""The training loop, trials on random subsets, and adversarial runs."""

from bat.training.checking import check_checkpoint
from bat.training.evaluating import evaluate_checkpoint
from bat.training.inputs import Inputs, read_inputs
from bat.training.loop import DivergedError, Recorder, Training, learning_rate
from bat.training.running import EVALUATION_BATCH
from bat.training.runs import train_run

__all__ = [
    "EVALUATION_BATCH",
    "DivergedError",
    "Inputs",
    "Recorder",
    "Training",
    "check_checkpoint",
    "evaluate_checkpoint",
    "learning_rate",
    "read_inputs",
    "train_run",
]

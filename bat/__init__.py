"""Memorization, influence, and their part in adversarial training."""

__version__ = "0.2.0.dev0"

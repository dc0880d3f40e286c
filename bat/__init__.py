"""Memorization, influence, and their part in adversarial training."""

__version__ = "0.1.0"

"""Estimates of memorization and influence, and of what chance gives: arrays in, arrays out."""

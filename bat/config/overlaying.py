"""Nested mappings, one laid over another."""

from __future__ import annotations


def overlay(base: dict, top: dict) -> dict:
    """Lay one nested mapping over another; the upper one wins, lists are replaced."""
    merged = dict(base)
    for key, value in top.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            value = overlay(merged[key], value)
        merged[key] = value
    return merged

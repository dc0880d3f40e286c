"""The studies' runs by share of atypical samples, as tables compare them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bat.plan.names import study_name


def by_share(spec: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, str], str]]:
    """For ERM and PGD-AT: the method, the label of each run by its share, and the first run.

    ``spec`` is the specification of a comparison.
    """
    for method in ("erm", "pgd-at"):
        runs = {study_name(method, share): f"{100 * share:g} %" for share in spec["shares"]}
        yield method, runs, next(iter(runs))

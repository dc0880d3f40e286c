"""The plan of the costs for readers: a table, and what stands behind its numbers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bat.config import Config
from bat.plan.costs import plan, planned_device
from bat.plan.stages import Row
from bat.plan.timings import seconds_per_trial
from bat.progress import progress

if TYPE_CHECKING:
    from bat.devices import Runtime


def show(config: Config, console, *, device: str | None = None, measure: float = 0.0) -> None:
    """Print the plan, its sums, and the measured seconds in the form the configuration takes.

    Parameters
    ----------
    config : Config
    console : rich.console.Console
    device, measure
        As for `plan`.
    """
    from rich.table import Table

    target = planned_device(config, device)
    on_cpu = target.device.type == "cpu"
    unit = "CPU core hours" if on_cpu else "GPU hours"
    table = Table(box=None, pad_edge=False)
    for title in ("data set", "stage"):
        table.add_column(title, no_wrap=True)
    for title in ("jobs", "done", unit, "left", "disk"):
        table.add_column(title, justify="right")
    table.add_column("hours from", no_wrap=True)
    with progress("steps and passes", 0) as bar:

        def report(done: int, total: int) -> None:
            bar.total = total
            bar.update(done)

        rows = plan(config, device=device, measure=measure, report=report)
    for row in rows:
        hours = [_hours(row.hours), _hours(row.hours_left)] if row.hours else ["", ""]
        cells = [row.dataset, row.stage, str(row.jobs), str(row.done), *hours]
        table.add_row(*cells, _bytes(row.bytes), row.basis)
    sums = [sum(getattr(row, name) for row in rows) for name in ("jobs", "done")]
    hours = [_hours(sum(getattr(row, name) for row in rows)) for name in ("hours", "hours_left")]
    table.add_row("total", "", *map(str, sums), *hours, _bytes(sum(row.bytes for row in rows)))
    console.print(table)
    for line in sources(rows, target):
        console.print(line)
    for name, seconds in seconds_per_trial(config).items():
        values = ", ".join(f"{arch}: {value:.3g}" for arch, value in seconds.items())
        console.print(f"{name}: one trial takes, for `scores`, seconds_per_trial: {{{values}}}")


def sources(rows: list[Row], device: Runtime) -> list[str]:
    """What stands behind the hours of a plan, a line for each."""
    from bat.plan.pace import SPEEDS, START
    from bat.plan.seconds import CORRECT, STAND_IN

    kind, lines = device.device.type, []
    where = {"cpu": "a CPU core", "cuda": "a data-centre GPU"}[kind]
    if any(row.basis.startswith("assumed") for row in rows):
        lines += [
            f"assumed: {where} does {speed.flops:.2g} operations and moves {speed.bandwidth:.2g} "
            f"bytes in a second in {precision}, {1e6 * speed.overhead:.2g} µs a call"
            for (of_kind, precision), speed in SPEEDS.items()
            if of_kind == kind
        ]
        lines.append(
            f"assumed: a job starts in {START[kind]:g} s; {100 * CORRECT:g} % of the samples are "
            "right without an attack, which alone are attacked; measure: plan --measure"
        )
    if any(row.basis.startswith("measured here") for row in rows):
        lines.append(
            f"measured here: steps, passes and attacks on {device.name}, in seconds of "
            f"{'the processor' if kind == 'cpu' else 'the clock'}"
        )
    if any(row.basis.endswith(f", as {STAND_IN}") for row in rows):
        lines.append(
            f"as {STAND_IN}: a plan runs no network or method of one's own; trials and runs that "
            "are done tell their time"
        )
    if any(re.match(r"measured \(", row.basis) for row in rows):
        lines.append("measured (n): the mean of n that are done")
    return lines


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.2g}"


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"

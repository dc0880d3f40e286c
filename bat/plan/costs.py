"""What a configuration will cost, before anything is spent: jobs, hours, disk, by stage.

What has been made tells its own time: trial shards their seconds for each trial,
benchmark files those of other jobs. Where nothing has been made, the time is that
of the steps and passes of a job, counted from the network and an assumed speed
(`bat.plan.pace`), or measured on this machine (`bat.plan.measuring`); the plan says which.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bat.config import Config
from bat.plan.stages import Place, Row

if TYPE_CHECKING:
    from bat.devices import Runtime


def plan(
    config: Config,
    device: str | None = None,
    *,
    measure: float = 0.0,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> list[Row]:
    """The stages of every data set, in the order in which they run.

    Parameters
    ----------
    config : Config
    device : {"auto", "cpu", "cuda"}, optional
        In place of the configured one; ``auto`` is a GPU where there is one here.
    measure : float
        Seconds for measuring steps and passes here; 0 counts them only.
    report : callable
        Called with the number of things measured and their number.

    Raises
    ------
    BatError
        If an architecture does not take the images, or a GPU that is not here
        is to be measured.
    """
    target = planned_device(config, device)
    places = [Place(config, n, d, target) for n, d in config.datasets.items()]
    rows = [row for place in places for row in place.rows()]
    if not measure:
        return rows
    from bat import devices
    from bat.plan import measuring

    asked = [len(place.seconds.pace.asked) for place in places]
    with devices.runtime(target.device.type, compile=config.compute.compile) as here:
        for number, place in enumerate(places):
            place.seconds.pace.device = here
            before, share = sum(asked[:number]), measure * asked[number] / max(1, sum(asked))
            measuring.measure(
                place.seconds.pace,
                place.folder / "data",
                share,
                lambda done, before=before: report(before + done, sum(asked)),
            )
    return [row for place in places for row in place.rows()]


def planned_device(config: Config, device: str | None = None) -> Runtime:
    """Where the jobs will run: as asked for, else as configured, else a GPU if there is one."""
    import torch

    from bat.devices import Runtime

    wanted = device or config.compute.device
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return Runtime(torch.device(wanted))

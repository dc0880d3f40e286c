"""How fast whole data sets of JPEG files are read, with one process and with several.

    python benchmarks/decoding.py --shared ../shared/data --workers 1 2 --repeats 3

Times are those of `bat.data.sources.read_source`: opening, checksums, decoding, checks.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from pathlib import Path

import numpy
import PIL
import PIL.features
import pyarrow

from bat import config
from bat.data.sources import read_source


def processor() -> str:
    """The processor's name as Linux gives it, otherwise its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def sources(shared: Path) -> dict[str, config.Data]:
    return {
        "CIFAR-10, Parquet of JPEG": config.ParquetData(
            source="parquet",
            train=shared / "cifar10-jpeg-train.parquet",
            test=shared / "cifar10-jpeg-test.parquet",
        ),
        "Tiny ImageNet, 50 classes, zip": config.TinyImagenetData(
            source="tiny_imagenet", path=shared / "tiny-imagenet-50.zip", download=False
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=Path("../shared/data"))
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()

    print(f"{processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    print(
        f"Python {platform.python_version()}, numpy {numpy.__version__}, "
        f"pyarrow {pyarrow.__version__}, Pillow {PIL.__version__} "
        f"(libjpeg-turbo {PIL.features.version('libjpeg_turbo')})"
    )
    print(
        f"{'data set':32}{'images':>8}{'workers':>9}{'median s':>10}{'range s':>14}{'images/s':>10}"
    )
    for name, settings in sources(options.shared).items():
        for workers in options.workers:
            seconds = []
            for _ in range(options.repeats):
                start = time.perf_counter()
                raw = read_source(settings, workers=workers)
                seconds.append(time.perf_counter() - start)
            images = len(raw.train_labels) + len(raw.test_labels)
            median = statistics.median(seconds)
            spread = f"{min(seconds):.2f}-{max(seconds):.2f}"
            print(
                f"{name:32}{images:8}{workers:9}{median:10.2f}{spread:>14}{images / median:10.0f}"
            )


if __name__ == "__main__":
    main()

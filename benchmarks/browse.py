"""How fast the page of all images opens and sorts in Chromium, with made-up images.

    python benchmarks/browse.py --images 50000 --out /tmp/page

Opening is until the first images are drawn on the screen, sorting until the grid is redrawn after
another score was chosen whose order was not known. Needs chromium and chromedriver.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from decoding import processor

from bat.report import browse_neighbours, browse_page
from bat.report.browse_columns import packed

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from chromium import Browser, chromedriver

SCORES = ("memorization", "confidence", "disagreement", "csl", "aum", "accuracy_excluded")
READY = (
    "const done = arguments[0]; const wait = () => { const cell = document.querySelector('.cell');"
    "if (!cell) return requestAnimationFrame(wait); const sheet = new Image(); sheet.onload = () =>"
    " requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now())));"
    "sheet.src = cell.firstChild.style.backgroundImage.slice(5, -2); }; wait();"
)
SORT = (
    "const [name, done] = arguments; const begin = performance.now();"
    "const control = document.getElementById('sort'); control.value = name;"
    "control.dispatchEvent(new Event('change'));"
    "document.getElementById('grid').getBoundingClientRect(); const drawn = performance.now();"
    "const end = () => done([drawn - begin, performance.now() - begin]);"
    "requestAnimationFrame(() => setTimeout(end));"
)


def made_up(n_train: int, n_test: int, edge: int = 32) -> tuple[SimpleNamespace, dict, dict]:
    """Images with some structure, scores and pairs; as `browse_page.write_page` takes them."""
    rng, arrays = np.random.default_rng(0), {}
    for split, n in (("train", n_train), ("test", n_test)):
        coarse = rng.integers(0, 256, (n, 3, 8, 8), dtype=np.uint8)
        fine = coarse.repeat(edge // 8, axis=2).repeat(edge // 8, axis=3)
        fine += rng.integers(0, 16, fine.shape, dtype=np.uint8)
        arrays[f"{split}_images"] = fine
    info = {"n_train": n_train, "n_test": n_test}
    names = [f"class {i}" for i in range(10)]
    prepared = SimpleNamespace(info=info, class_names=names, shape=(3, edge, edge), **arrays)
    splits, orders = {}, {}
    for split, n in (("train", n_train), ("test", n_test)):
        own = SCORES if split == "train" else ("accuracy", "max_influence")
        values = {name: rng.beta(0.3, 2, n).astype(np.float32) for name in own}
        orders[split] = np.argsort(-values[own[0]], kind="stable")
        splits[split] = {
            "n": n,
            "label": packed(rng.integers(0, 10, n), "i4"),
            "source": packed(np.arange(n), "i4"),
            "group": packed(rng.integers(0, 3, n), "u1"),
            "columns": [
                {"name": k, "title": k, "about": "", "values": packed(v, "f4")}
                for k, v in values.items()
            ],
        }
    counts = rng.poisson(4, n_train)
    total = counts.sum()
    pairs = {
        "start": packed(np.concatenate([[0], np.cumsum(counts)]), "i4"),
        "test": packed(rng.integers(0, n_test, total), "i4"),
        "influence": packed(rng.random(total), "f4"),
        "se": packed(rng.random(total), "f4"),
    }
    content = {"dataset": "made up", "note": "", "fingerprint": "0", "splits": splits}
    return prepared, content | {"pairs": pairs}, orders


def measure(page: Path, repeats: int) -> dict[str, list[float]]:
    """Milliseconds of opening and of sorting, each in a browser that has not seen the page."""
    found: dict[str, list[float]] = {"opening": [], "sorting": [], "sorting, with a frame": []}
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder, chromedriver() as driver:
            browser = Browser(driver, Path(folder) / "profile", Path(folder))
            try:
                browser.open(page)
                script = {"script": READY, "args": []}
                found["opening"].append(browser.call("POST", "/execute/async", **script))
                for name in SCORES[1:]:
                    script = {"script": SORT, "args": [name]}
                    drawn, whole = browser.call("POST", "/execute/async", **script)
                    found["sorting"].append(drawn)
                    found["sorting, with a frame"].append(whole)
            finally:
                browser.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=50_000, help="training images")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True, help="folder for the page")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    n_test = max(10, arguments.images // 5)
    prepared, content, orders = made_up(arguments.images, n_test)
    begin = time.perf_counter()
    index, distance = browse_neighbours.nearest(prepared)
    neighbours = time.perf_counter() - begin
    content["nearest"] = {"each": index.shape[1], "index": packed(index, "i4")}
    content["nearest"]["distance"] = packed(distance, "f4")
    begin = time.perf_counter()
    written = browse_page.write_page(arguments.out / "browse.html", content, prepared, orders)
    writing = time.perf_counter() - begin
    print(f"{processor()}; {arguments.images:,} training and {n_test:,} test images of 32 x 32")
    sizes = [path.stat().st_size / 1e6 for path in written]
    print(f"nearest images {neighbours:.1f} s, page and sheets {writing:.1f} s")
    print(f"page {sizes[0]:.1f} MB, {len(sizes) - 1} sheets beside it {sum(sizes[1:]):.1f} MB")
    for name, times in measure(arguments.out / "browse.html", arguments.repeats).items():
        low, high = min(times), max(times)
        print(f"{name}: median {statistics.median(times):.0f} ms, {low:.0f} to {high:.0f} ms")


if __name__ == "__main__":
    main()

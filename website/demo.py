"""Take the demo's pictures into the documents, small, with what they were made from.

    python website/demo.py results/digits docs/images

``demo.json`` beside them has the specifications that the demo's figures follow from, and the
content of the values that each shows. A test compares the former with the configuration: where the
demo changed, the pictures have to be made again.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from PIL import Image

from bat.config import read_config
from bat.files.digests import json_digest
from bat.plan.specifications import all_specifications

REPOSITORY = Path(__file__).parents[1]
PICTURES = ("fig5", "fig6", "fig7")
WIDTH, COLOURS = 900, 128


def specifications() -> dict[str, str]:
    """What the demo's scores are made from, as the configuration has it now."""
    config = read_config(REPOSITORY / "config" / "config.yaml")
    (name,) = config.datasets
    stages = ("trials-small_cnn", "scores")
    found = all_specifications(config)
    return {stage: json_digest(found[name, stage]) for stage in stages}


def take(results: Path, into: Path) -> None:
    """Write the pictures and ``demo.json``."""
    about = {"specifications": specifications(), "values": {}}
    for name in PICTURES:
        values = results / "figures" / f"{name}.csv"
        about["values"][name] = hashlib.sha256(values.read_bytes()).hexdigest()
        picture = Image.open(values.with_suffix(".png")).convert("RGB")
        picture.thumbnail((WIDTH, WIDTH))
        picture.quantize(COLOURS).save(into / f"{name}.png", optimize=True)
    text = json.dumps(about, indent=1) + "\n"
    (into / "demo.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    take(Path(sys.argv[1]), Path(sys.argv[2]))

"""Draw the house: which room of ``bat/`` imports from which, as an SVG.

    python website/house.py > docs/images/house.svg

A row is a room, a mark says that it imports from the room of that column. All marks lie below
the diagonal: rooms import from those above them alone.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from html import escape
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
ROW, LEFT, TOP, CELL, NOTE = 24, 110, 96, 24, 20


def rooms(repository: Path = REPOSITORY) -> dict[str, str]:
    """What lives in each room, from the ground up, as CONTRIBUTING.md has it."""
    text = (repository / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text[text.index("| room | what lives there |") :].split("\n\n")[0]
    found = {}
    for line in table.splitlines()[2:]:
        names, what = (cell.strip() for cell in line.strip("|").split("|"))
        for name in names.split(","):
            found[name.strip(" `()")] = re.sub(r"`([^`]*)`", r"\1", what)
    return found


def imports(names: list[str], repository: Path = REPOSITORY) -> Counter[tuple[str, str]]:
    """In how many files a room imports from another, by the pair of their names."""
    found: Counter[tuple[str, str]] = Counter()
    for path in sorted((repository / "bat").rglob("*.py")):
        parts = path.relative_to(repository / "bat").parts
        if parts in (("__init__.py",), ("__main__.py",)):
            continue  # the public names and the command line look into every room
        here = parts[0] if len(parts) > 1 else "ground"
        used = {room for name in _imported(path) if (room := _room(name, names))}
        found.update((here, room) for room in used - {here})
    return found


def _imported(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def _room(name: str, names: list[str]) -> str | None:
    first, _, rest = name.partition(".")
    if first != "bat" or not rest:
        return None
    part = rest.split(".")[0]
    return part if part in names else "ground"


def draw(repository: Path = REPOSITORY) -> str:
    """Return the SVG."""
    texts = rooms(repository)
    names = list(texts)
    edges = imports(names, repository)
    most = max(edges.values())
    right = LEFT + CELL * len(names) + NOTE
    width, height = right + 660, TOP + ROW * len(names) + 12
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="13" role="img">',
        "<title>The rooms of bat, and which of them import from which</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for at, name in enumerate(names):
        y, x = TOP + ROW * at, LEFT + CELL * at
        if at % 2 == 0:
            parts.append(f'<rect y="{y}" width="{width}" height="{ROW}" fill="#f3f4f6"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 17}" text-anchor="end">{name}</text>')
        parts.append(f'<text x="{right}" y="{y + 17}" fill="#444">{escape(texts[name])}</text>')
        middle = x + CELL / 2 + 4
        turned = f"rotate(-60 {middle} {TOP - 6})"
        parts.append(f'<text x="{middle}" y="{TOP - 6}" transform="{turned}">{name}</text>')
    for (room, other), files in sorted(edges.items()):
        x = LEFT + CELL * names.index(other) + CELL / 2
        y = TOP + ROW * names.index(room) + ROW / 2
        radius = 3 + 6 * (files / most) ** 0.5
        words = f"{room} imports from {other}, in {files} of its files"
        parts.append(
            f'<circle cx="{x:g}" cy="{y:g}" r="{radius:.1f}" fill="#4353b3">'
            f"<title>{words}</title></circle>"
        )
    start, end = LEFT + CELL / 2, LEFT + CELL * (len(names) - 0.5)
    parts.append(
        f'<line x1="{start:g}" y1="{TOP + ROW / 2:g}" x2="{end:g}" '
        f'y2="{TOP + ROW * (len(names) - 0.5):g}" stroke="#bbb" stroke-dasharray="3 4"/>'
    )
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    sys.stdout.write(draw())

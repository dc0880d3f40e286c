"""Draw the workflow's rules, as an SVG, from what Snakemake says of them.

    snakemake --rulegraph dot all | python website/rules.py > docs/images/rules.svg

Time goes from left to right. A line is left out where others lead there anyway, and so are ``all``,
which needs everything, and the specifications, which everything needs.
"""

from __future__ import annotations

import re
import sys
from graphlib import TopologicalSorter
from html import escape

HIDDEN = {"all", "write_specification"}
COLUMN, ROW, WIDTH, HEIGHT, EDGE = 190, 32, 152, 24, 12

Graph = dict[str, set[str]]
"""The rules that each rule needs."""


def read(dot: str) -> Graph:
    """The graph that ``snakemake --rulegraph dot`` wrote."""
    names = dict(re.findall(r'^\s*(\d+)\[label = "(\w+)"', dot, re.M))
    if not names:
        raise SystemExit("no graph of rules was read; expected snakemake --rulegraph dot | ...")
    needs: Graph = {name: set() for name in names.values() if name not in HIDDEN}
    for one, other in re.findall(r"^\s*(\d+) -> (\d+)", dot, re.M):
        if {names[one], names[other]}.isdisjoint(HIDDEN):
            needs[names[other]].add(names[one])
    return needs


def reduced(needs: Graph) -> Graph:
    """Without the needs that follow from others."""
    behind: Graph = {}
    for rule in TopologicalSorter(needs).static_order():
        behind[rule] = set().union(needs[rule], *(behind[need] for need in needs[rule]))
    return {
        rule: {n for n in own if not any(n in behind[other] for other in own)}
        for rule, own in needs.items()
    }


def layers(needs: Graph) -> list[list[str]]:
    """Rules by column: behind all that they need, what nothing needs in the last one."""
    depth: dict[str, int] = {}
    for rule in TopologicalSorter(needs).static_order():
        depth[rule] = max((depth[need] + 1 for need in needs[rule]), default=0)
    needed = set().union(*needs.values())
    last = max(depth.values())
    columns: list[list[str]] = [[] for _ in range(last + 1)]
    for rule in sorted(depth):
        columns[depth[rule] if rule in needed else last].append(rule)
    return _ordered([column for column in columns if column], needs)


def _ordered(columns: list[list[str]], needs: Graph) -> list[list[str]]:
    """Each column in the order of the middle of what its rules need, the last one first."""
    place: dict[str, float] = {}
    for column in columns:
        height = {
            rule: sum(place[n] for n in needs[rule]) / len(needs[rule]) if needs[rule] else 0.5
            for rule in column
        }
        column.sort(key=lambda rule: (height[rule], rule))
        place |= {rule: (at + 0.5) / len(column) for at, rule in enumerate(column)}
    return columns


def draw(dot: str) -> str:
    """Return the SVG of a graph in Graphviz's language."""
    needs = reduced(read(dot))
    columns = layers(needs)
    width = COLUMN * (len(columns) - 1) + WIDTH + 2 * EDGE
    height = ROW * max(map(len, columns)) + 2 * EDGE
    at = {
        rule: (EDGE + COLUMN * x, EDGE + (y + 0.5) * (height - 2 * EDGE) / len(column))
        for x, column in enumerate(columns)
        for y, rule in enumerate(column)
    }
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12" role="img">',
        "<title>The rules of the workflow, and what each of them needs</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for rule in sorted(needs):
        x, y = at[rule]
        for need in sorted(needs[rule]):
            left, start = at[need][0] + WIDTH, at[need][1]
            bend = min(60, (x - left) / 2)
            path = f"M{left:g} {start:.1f}C{left + bend:g} {start:.1f} {x - bend:g} {y:.1f}"
            path += f" {x:g} {y:.1f}"
            parts.append(f'<path d="{path}" fill="none" stroke="#9aa1c9"/>')
    drawn = set(needs) - set().union(*needs.values())
    for rule in sorted(needs):
        x, y = at[rule]
        fill = "#fdf3dc" if rule in drawn else "#e4e8fb"
        parts.append(
            f'<rect x="{x:g}" y="{y - HEIGHT / 2:.1f}" width="{WIDTH}" height="{HEIGHT}" '
            f'rx="5" fill="{fill}" stroke="#888"/>'
        )
        parts.append(
            f'<text x="{x + WIDTH / 2:g}" y="{y + 4:.1f}" text-anchor="middle">'
            f"{escape(rule.replace('_', ' '))}</text>"
        )
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    sys.stdout.write(draw(sys.stdin.read()))

"""Fonts of figures: Matplotlib's own, those of this machine for other scripts, else numbers."""

from __future__ import annotations

import functools

from matplotlib import font_manager

from bat.escaping import for_figure
from bat.progress import log

OWN = "DejaVu Sans"
"""Comes with Matplotlib, so it is the same everywhere."""

OTHERS = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC", "Noto Sans KR"),
    *("Source Han Sans", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback"),
    *("PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo", "Arial Unicode MS"),
    *("Microsoft YaHei", "Yu Gothic", "Malgun Gothic"),
    *("Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Tamil", "Noto Sans Thai"),
    *("Noto Emoji", "Symbola", "Segoe UI Symbol", "Noto Sans Symbols2"),
)
"""Asked in this order for what the own font lacks; fonts of coloured pictures cannot be drawn."""


@functools.cache
def families() -> list[str]:
    """The own font, and those of the others that this machine has."""
    here = set(font_manager.get_font_names())
    return [OWN, *(name for name in OTHERS if name in here)]


def is_own(text: str) -> bool:
    """Whether the font that comes with Matplotlib has all signs of a text."""
    return text.isascii() or _signs(OWN).issuperset(map(ord, text.replace("\n", "")))


def drawable(text: str) -> str:
    r"""Text for Matplotlib, by `for_figure`, with the numbers of signs that no font here has.

    >>> drawable("π for $1, \U0010fffd")
    'π for \\$1, \\U0010fffd'
    """
    text = for_figure(text)
    if is_own(text):
        return text
    missing = {c for c in text if c != "\n" and not any(ord(c) in _signs(f) for f in families())}
    if missing:
        _say_missing()
    return "".join(f"U+{ord(c):04X}" if c in missing else c for c in text)


@functools.cache
def _signs(family: str) -> frozenset[int]:
    path = font_manager.findfont(family, fallback_to_default=False)
    return frozenset(font_manager.get_font(path).get_charmap())


@functools.cache
def _say_missing() -> None:
    """Once in a process."""
    log.warning(
        "figures: no font here has all letters of the names, so their numbers stand for them "
        "(as U+732B); install one that has, as %s or %s",
        OTHERS[0],
        "Noto Emoji",
    )

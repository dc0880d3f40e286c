"""Text of others for each place that it is shown in, so that it is read and never interpreted.

Class names, file names, metadata and paths come from other people. Each target
has one function here; `plain`, which all of them use, makes what cannot be seen
visible.
"""

from __future__ import annotations

import html
import re
import unicodedata

_JOINERS = "\u200c\u200d"  # between the letters of some scripts, and the parts of some emoji


def plain(text: str) -> str:
    r"""Text in one line, in which what no reader can see is written as an escape.

    Control characters, line breaks, marks that change the direction of writing,
    and bytes that were no UTF-8 (as `os.fsdecode` keeps them).

    >>> plain("a\x1b[31m\n\u202eb\udcff")
    'a\\x1b[31m\\n\\u202eb\\xff'
    """
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character.isprintable() or character in _JOINERS:
        return character
    if unicodedata.category(character) == "Zs":
        return character
    if "\udc80" <= character <= "\udcff":  # one byte of a name that is no UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def for_terminal(text: str) -> str:
    r"""Text of several lines for a terminal or a log: line breaks stay, and nothing else acts.

    >>> for_terminal("one\x1b]0;title\x07\n two")
    'one\\x1b]0;title\\x07\n two'
    """
    return "\n".join(map(plain, text.split("\n")))


_MARKDOWN = re.compile(
    r"""
    [\\`*|~$]           # escapes, code, emphasis, cells, strike-through, mathematics
    | (?<![^\W_])_      # emphasis, which begins and ends where a word does;
    | _(?![^\W_])       # within one, an underscore means nothing
    | \](?=[(\[:])      # the end of a link's text, of a link's name, of its definition
    """,
    re.VERBOSE,
)
_ADDRESS = re.compile(r"(?<=:)//|(?<=www)\.", re.IGNORECASE)


def for_markdown(text: str) -> str:
    r"""Text in a cell of Markdown or within a line: no HTML, link, emphasis, code, mathematics.

    >>> for_markdown("<b>|[x](http://a) small_cnn * [1, 2]")
    '&lt;b>\\|[x\\](http:\\//a) small_cnn \\* [1, 2]'
    """
    text = _MARKDOWN.sub(lambda found: f"\\{found[0]}", plain(text))
    text = re.sub(r"&(?=#?\w+;)", "&amp;", text).replace("<", "&lt;")
    return _ADDRESS.sub(lambda found: f"\\{found[0]}", text)


def for_html(text: str) -> str:
    """Text in the content of an HTML element, or in a quoted attribute.

    >>> for_html('<img src="x">')
    '&lt;img src=&quot;x&quot;&gt;'
    """
    return html.escape(plain(text))


_LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "±": r"$\pm$",
        "−": "$-$",
        "→": r"$\rightarrow$",
        "–": "--",
        "\u00a0": "~",
        "√": r"$\surd$",
        "α": r"$\alpha$",
        "β": r"$\beta$",
    }
)


def for_latex(text: str) -> str:
    r"""Text in a cell or a sentence of LaTeX, also where ``\\`` stands before it.

    >>> for_latex("100 % of a_b"), for_latex("[1] <b>")
    ('100 \\% of a\\_b', '{}[1] \\textless{}b\\textgreater{}')
    """
    text = plain(text).translate(_LATEX)
    return f"{{}}{text}" if text.lstrip()[:1] in ("[", "*") else text


_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]")  # wide forms begin one too


def for_csv(text: str) -> str:
    """Text in a cell of CSV, which a spreadsheet would take for a formula, marked as text.

    Numbers that are written as text stay numbers.

    >>> for_csv("=1+1"), for_csv("-0.5"), for_csv("cat")
    ("'=1+1", '-0.5', 'cat')
    """
    text = plain(text)
    return f"'{text}" if _FORMULA.match(text) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def for_figure(text: str) -> str:
    r"""Text that Matplotlib draws as it is; line breaks stay, and no dollar begins mathematics.

    >>> for_figure(r"$\frac$")
    '\\$\\frac\\$'
    """
    return for_terminal(text).replace("$", r"\$")


def shown(path: object) -> str:
    r"""A path as messages and records name it: bytes and characters that do not print escaped.

    >>> print(shown("caf\udce9\n.png"))
    caf\xe9\n.png
    """
    return plain(str(path))

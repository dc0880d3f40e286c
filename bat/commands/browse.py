"""``browse``: the page of all images, opened here or served to one's own machine by a tunnel."""

from __future__ import annotations

import argparse
from pathlib import Path

from bat.commands.options import add_verb, say
from bat.errors import BatError
from bat.escaping import shown

PAGE = "browse.html"


def add_parser(subparsers) -> None:
    """Add ``browse`` and its options."""
    parser = add_verb(subparsers, "browse", run, "look at the images and their scores")
    text = "results folder, that of a data set or its name in results/, or the page itself"
    parser.add_argument("results", type=Path, help=text)
    text = "serve the page on this machine alone, to be reached from another by a tunnel"
    parser.add_argument("--serve", action="store_true", help=text)
    parser.add_argument("--port", type=int, default=0, help="where to serve it; a free one")


def run(arguments: argparse.Namespace) -> None:
    """Do it, for what was parsed: open the page, or serve it until stopped."""
    page = whole(find_page(arguments.results).resolve())
    if arguments.serve:
        from bat.report.serving import serve

        serve(page, arguments.port, say)
        return
    import webbrowser

    say(f"{shown(page)}")
    if not webbrowser.open(page.as_uri()):
        say("no browser was found here: copy the file to where there is one, or add --serve")


def whole(page: Path) -> Path:
    """The page, refused where its end is missing: a browser would show nothing, and not say why.

    Raises
    ------
    BatError
        If it is empty or cut off, as by a copy that was stopped.
    """
    with page.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 64))
        end = file.read()
    if not end.rstrip().endswith(b"</html>"):
        raise BatError(
            f"{shown(page)}: {size:,} bytes that do not end as a page does (</html>), so it is "
            "damaged or cut off; copy it again, or remove it and make it again"
        )
    return page


def find_page(results: Path) -> Path:
    """The page that a path stands for.

    Parameters
    ----------
    results : path
        The page, a folder that holds it, a name in ``results``, or a folder of
        data sets of which one has a page.

    Raises
    ------
    BatError
        If there is none, or several; it says which.
    """
    named = Path("results") / results
    place = results if results.exists() or not named.exists() else named
    if place.is_file():
        if place.suffix != ".html":
            raise BatError(f"{shown(place)} is no page; expected {PAGE} or a folder that holds it")
        return place
    if not place.is_dir():
        raise BatError(f"{shown(results)} does not exist, and neither does {shown(named)}")
    found = [place / PAGE] if (place / PAGE).is_file() else sorted(place.glob(f"*/{PAGE}"))
    if len(found) > 1:
        names = ", ".join(shown(page) for page in found)
        raise BatError(f"{shown(place)} has several pages: name one of {names}")
    if not found:
        of_methods = (place.parent / "data" / "dataset.json").is_file()
        target = "browse_methods" if of_methods else "browse"
        raise BatError(
            f"{shown(place)} has no {PAGE}; `snakemake {target} --cores 1` makes it, with the "
            "--configfile that its results were made with, if there was one"
        )
    return found[0]

"""Addresses on the web: which are taken, and what messages and files may show of them."""

from __future__ import annotations

import re
import string
import urllib.parse
from typing import Any


def is_address(source: str) -> bool:
    """Whether a source is to be downloaded."""
    return "://" in source


def address_problem(url: str) -> str | None:
    """Why nothing is downloaded from an address, as the end of a sentence; None where it may be."""
    scheme, user, rest = _parts(url)
    if scheme.lower() not in ("http", "https") or not rest or rest[0] in "/?#":
        return "is no http:// or https:// address"
    if user:
        return (
            "holds a user name or password, which would stay in files, messages and lists of "
            "processes; download the file yourself, and name it in place of the address"
        )
    if not (url.isascii() and url.isprintable()) or " " in url:
        return "holds a sign that no address can; write it as %XX"
    try:
        host = urllib.parse.urlsplit(url)
        known = host.hostname and host.hostname.encode("idna") and host.port != 0
    except ValueError:
        known = False
    return None if known else "names no valid host and port"


def shown_address(url: str) -> str:
    """An address without what may be secret: user name, password, query and fragment.

    >>> shown_address("https://me:secret@example.org/a/b.zip?token=abc#x")
    'https://example.org/a/b.zip?...'
    """
    scheme, _, rest = _parts(url)
    path, *more = re.split("[?#]", rest, maxsplit=1)
    text = f"{scheme}://{path}{'?...' if more else ''}"
    return urllib.parse.quote(text, safe=_SHOWN, errors="replace")


def shown_source(source: str) -> str:
    """A path as it is, and an address by `shown_address`."""
    return shown_address(source) if is_address(source) else source


UNKEPT = "?..."
"""What the files of a results folder hold in place of an address's query."""


def kept_address(url: str) -> str:
    """An address as files hold it: its query, which may be a token, is in none of them.

    >>> kept_address("https://example.org/b.zip?token=abc"), kept_address("https://example.org/b")
    ('https://example.org/b.zip?...', 'https://example.org/b')
    """
    place, *more = re.split("[?#]", url, maxsplit=1)
    return f"{place}{UNKEPT}" if more else url


def kept_addresses(value: Any) -> Any:
    """A nested value as of a configuration, with every address in it by `kept_address`."""
    if isinstance(value, dict):
        return {key: kept_addresses(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [kept_addresses(inner) for inner in value]
    return kept_address(value) if isinstance(value, str) and is_address(value) else value


def address_variable(sha256: str) -> str:
    """The environment variable by which a job is told the whole address of a file."""
    return f"BAT_ADDRESS_{sha256[:16]}"


_SHOWN = string.punctuation.translate(str.maketrans("", "", '`|<>"\\^{}'))


def _parts(url: str) -> tuple[str, str, str]:
    """Scheme, what stands before the @ of the host, and the rest from the host on."""
    scheme, _, rest = url.partition("://")
    host = re.split("[/?#]", rest, maxsplit=1)[0]
    if "@" in host:
        user, _, name = host.rpartition("@")
        return scheme, user or "@", name + rest[len(host) :]
    if "@" in rest and not re.fullmatch(r"([^:\[\]]*|\[[^\]]*\])(:\d*)?", host):
        user, _, rest = rest.rpartition("@")  # a password may hold a slash
        return scheme, user, rest
    return scheme, "", rest

"""Code of somebody's own that a configuration names: found, hashed and checked without running it.

It is written ``path/to/file.py:attribute``, the path relative to the working directory
as other paths of a configuration are, or ``module:attribute``. `record` reads what is
named and says which bytes they are; a job compares them and only then runs them with
`load`. So an edit makes another specification, and what was made of two versions of a
file never meets.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.metadata
import inspect
import json
import sys
import traceback
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from bat.code_files import LIBRARIES, Source, find, identity, visible_signature
from bat.errors import BatError
from bat.stopping import Stopped

NETWORK_NEEDED = ("n_classes", "num_classes")
NETWORK_GIVEN = (*NETWORK_NEEDED, "channels", "image_size")
"""Arguments that a network is called with, where its signature has them; one of the first two
must be there. What takes any argument gets the second, as torchvision's do."""

TRAINER_NEEDED = ("index",)
TRAINER_GIVEN = (
    *TRAINER_NEEDED,
    *("trial", "seed", "data", "train_images", "train_labels", "test_images", "test_labels"),
    *("n_classes", "device"),
)
"""Arguments of a training of one's own, where its signature has them."""

OBJECTIVE_GIVEN = ("eps", "step", "steps")
"""Arguments of a method of one's own, where its signature has them: the adversary's."""

ATTACK_NEEDED = ("x",)
ATTACK_GIVEN = (*ATTACK_NEEDED, "model", "y", "eps", "seed")
"""Arguments of an attack of one's own, where its signature has them."""

_PACKAGE = str(Path(__file__).parent)


def record(
    text: str,
    settings: Mapping[str, Any],
    given: tuple[str, ...],
    needed: tuple[str, ...] = (),
) -> dict:
    """Which code a text names, by the bytes of its files; nothing of it is run or imported.

    Parameters
    ----------
    text : str
        ``path/to/file.py:attribute`` or ``module:attribute``.
    settings : mapping
        Arguments that the configuration adds.
    given, needed : tuple of str
        Arguments that the package passes where the signature has them, and those of which it
        must have one.

    Returns
    -------
    dict
        ``code``; ``sha256`` of the file; ``imports``, the sha256 of each file beside it that it
        imports, where there are any; ``package``, name and version, where it is installed;
        ``settings``.

    Raises
    ------
    BatError
        If a file or attribute is missing, the file is no Python, or its signature, where it can
        be seen without running it, does not take the arguments.
    """
    source = find(text)
    signature = visible_signature(source)
    if signature is not None:
        check_arguments(text, signature, settings, given, needed)
    return {"code": text, **identity(source), "settings": dict(settings)}


def load(recorded: Mapping[str, Any]) -> Callable:
    """Run the code that was recorded and give the attribute; for jobs alone.

    Raises
    ------
    BatError
        If the files are no more what was recorded, cannot be imported, or the attribute is
        missing or cannot be called.
    """
    text, source = recorded["code"], verify(recorded)
    with heard(f"{text}: {source.path} cannot be imported"):
        module = importlib.import_module(source.module) if source.module else _run(source)
    attribute = getattr(module, source.attribute, None)
    if not callable(attribute):
        what = "has no" if attribute is None else "holds no function or class under the name"
        raise BatError(f"{text}: {source.path} {what} {source.attribute!r}")
    return attribute


def verify(recorded: Mapping[str, Any]) -> Source:
    """The files that were recorded, as they lie there; refused where they changed."""
    source = find(recorded["code"])
    found = identity(source)
    changed = [k for k in ("sha256", "imports", "package") if found.get(k) != recorded.get(k)]
    if changed:
        raise BatError(
            f"{source.path} changed since the workflow was read (its {' and '.join(changed)} is "
            f"not that of the specification, {recorded['sha256'][:12]}); start the workflow "
            "again, which makes anew what depends on it"
        )
    return source


def call(
    text: str,
    function: Callable,
    settings: Mapping[str, Any],
    given: Mapping[str, Any],
    needed: tuple[str, ...] = (),
) -> Any:
    """Call what `load` gave with the settings, and with those arguments that its signature has.

    Raises
    ------
    BatError
        If the signature does not take the arguments, or the call raises anything.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        raise BatError(f"{text}: its signature cannot be read; write it in Python") from None
    check_arguments(text, signature, settings, tuple(given), needed)
    passed = {name: value for name, value in given.items() if name in signature.parameters}
    if needed and not any(name in passed for name in needed):  # it takes any, as torchvision's
        passed[needed[-1]] = given[needed[-1]]
    with heard(f"{text}: calling it failed"):
        return function(**passed, **settings)


def check_arguments(
    text: str,
    signature: inspect.Signature,
    settings: Mapping[str, Any],
    given: tuple[str, ...],
    needed: tuple[str, ...] = (),
) -> None:
    """Refuse settings that a signature does not take, and a signature that asks for more.

    Raises
    ------
    BatError
        Naming what it takes.
    """
    kinds = inspect.Parameter
    parameters = signature.parameters.values()
    takes = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    takes_any = any(p.kind is kinds.VAR_KEYWORD for p in parameters)
    listed = f"it takes ({', '.join(takes + ['...'] * takes_any)})"
    for name in settings:
        if name in given:
            raise BatError(f"{text}: settings.{name} is passed by the package; leave it out")
        if name not in takes and not takes_any:
            near = difflib.get_close_matches(name, takes, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise BatError(f"{text}: settings.{name} is no argument of it; {hint}{listed}")
    if needed and not takes_any and not any(name in takes for name in needed):
        raise BatError(f"{text}: must take {' or '.join(needed)}; {listed}")
    missing = [
        p.name
        for p in parameters
        if p.default is p.empty
        and p.kind not in (kinds.VAR_KEYWORD, kinds.VAR_POSITIONAL)
        and (p.kind is kinds.POSITIONAL_ONLY or p.name not in (*given, *settings))
    ]
    if missing:
        raise BatError(
            f"{text}: needs {', '.join(missing)}, which is not among what the package passes "
            f"({', '.join(given)}); give it under settings, or a default"
        )


# -- running --------------------------------------------------------------------------------


def _run(source: Source) -> types.ModuleType:
    """A module made of exactly the bytes that were hashed; files beside it can be imported."""
    name = f"{source.path.stem}_{hashlib.sha256(source.content).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    folder = str(source.path.parent.absolute())
    if folder not in sys.path:
        sys.path.append(folder)  # last, so that it takes nothing's place
    module = types.ModuleType(name)
    module.__file__ = str(source.path.absolute())
    sys.modules[name] = module  # as dataclasses need it
    try:
        exec(compile(source.content, module.__file__, "exec"), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextmanager
def heard(what: str) -> Iterator[None]:
    """Say of whatever somebody's code raises in the block what failed, and where in it.

    Code that ends the process ends no job unheard; a signal does.

    Parameters
    ----------
    what : str
        What failed, as ``nets.py:Tiny: calling it failed``.

    Raises
    ------
    BatError
        In the place of anything but a `BatError` and `Stopped`.
    """
    try:
        yield
    except (BatError, Stopped):
        raise
    except (Exception, SystemExit) as error:
        raise BatError(f"{what} ({said(error)})") from error


def heard_in(doing: str, *recorded: Mapping[str, Any] | None) -> AbstractContextManager[None]:
    """`heard`, of recorded code that takes part in the block; None where there is none of it.

    Parameters
    ----------
    doing : str
        What is done with it, as ``training``.
    *recorded : mapping or None
    """
    texts = [code["code"] for code in recorded if code is not None]
    return heard(f"{', '.join(texts)}: {doing} failed") if texts else nullcontext()


def said(error: BaseException) -> str:
    """What went wrong in somebody's code, and where in it."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [f for f in frames if not f.filename.startswith((*LIBRARIES, _PACKAGE, "<"))]
    place = f", {theirs[-1].filename}, line {theirs[-1].lineno}" if theirs else ""
    return f"{type(error).__name__}: {error}{place}"


def digest(recorded: Mapping[str, Any]) -> str:
    """What stands for recorded code in the inputs of what is made with it."""
    return hashlib.sha256(json.dumps(recorded, sort_keys=True).encode()).hexdigest()


def described(recorded: Mapping[str, Any]) -> str:
    """A line that says which code will run, for people.

    >>> described({"code": "nets.py:Tiny", "sha256": "abab", "settings": {"width": 12}})
    'nets.py:Tiny (sha256 abab) with {"width": 12}'
    """
    parts = [f"sha256 {recorded['sha256']}"]
    parts += [recorded["package"]] if "package" in recorded else []
    parts += [f"{name} {digest}" for name, digest in recorded.get("imports", {}).items()]
    text = f"{recorded['code']} ({', '.join(parts)})"
    return f"{text} with {json.dumps(recorded['settings'])}" if recorded["settings"] else text

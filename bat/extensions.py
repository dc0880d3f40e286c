"""Code of somebody's own that a configuration names: found, hashed and checked without running it.

It is written ``path/to/file.py:attribute``, the path relative to the working directory
as other paths of a configuration are, or ``module:attribute``. `record` reads what is
named and says which bytes they are; a job compares them and only then runs them with
`load`. So an edit makes another specification, and what was made of two versions of a
file never meets.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import importlib
import importlib.metadata
import inspect
import json
import re
import sys
import sysconfig
import traceback
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

from bat.errors import BatError

FORM = re.compile(r"(.+\.py|[A-Za-z_][\w.]*):([A-Za-z_]\w*)")
HINT = "write path/to/file.py:attribute or module:attribute"

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

_PACKAGE = str(Path(__file__).parent)
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")})


@dataclass(frozen=True)
class Source:
    """The file behind a name, as bytes that nobody ran.

    Attributes
    ----------
    text : str
        As written in the configuration.
    module : str
        Empty where a file is named.
    attribute : str
    path : path
    content : bytes
    """

    text: str
    module: str
    attribute: str
    path: Path
    content: bytes


def split(text: str) -> tuple[str, str]:
    """The file or module, and the attribute, that a text names.

    >>> split("nets.py:Tiny"), split("torchvision.models:resnet18")
    (('nets.py', 'Tiny'), ('torchvision.models', 'resnet18'))
    """
    match = FORM.fullmatch(text)
    if match is None:
        raise BatError(f"{text!r} names no code; {HINT}")
    return match[1], match[2]


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
    signature = _visible_signature(source)
    if signature is not None:
        check_arguments(text, signature, settings, given, needed)
    return {"code": text, **_identity(source), "settings": dict(settings)}


def load(recorded: Mapping[str, Any]) -> Callable:
    """Run the code that was recorded and give the attribute; for jobs alone.

    Raises
    ------
    BatError
        If the files are no more what was recorded, cannot be imported, or the attribute is
        missing or cannot be called.
    """
    text, source = recorded["code"], verify(recorded)
    try:
        module = importlib.import_module(source.module) if source.module else _run(source)
    except Exception as error:
        if isinstance(error, BatError):
            raise
        raise BatError(f"{text}: {source.path} cannot be imported ({said(error)})") from error
    attribute = getattr(module, source.attribute, None)
    if not callable(attribute):
        what = "has no" if attribute is None else "holds no function or class under the name"
        raise BatError(f"{text}: {source.path} {what} {source.attribute!r}")
    return attribute


def verify(recorded: Mapping[str, Any]) -> Source:
    """The files that were recorded, as they lie there; refused where they changed."""
    source = find(recorded["code"])
    found = _identity(source)
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
    try:
        return function(**passed, **settings)
    except BatError:
        raise
    except Exception as error:
        raise BatError(f"{text}: calling it failed ({said(error)})") from error


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


# -- finding --------------------------------------------------------------------------------


def find(text: str) -> Source:
    """The file that a text names, read; modules are looked up without importing their parents.

    Raises
    ------
    BatError
        If there is none.
    """
    place, attribute = split(text)
    is_file = place.endswith(".py")
    path = Path(place) if is_file else _module_file(text, place)
    try:
        content = path.read_bytes()
    except OSError as error:
        where = "" if path.is_absolute() else f" in the working directory {Path.cwd()}"
        raise BatError(f"{text}: {path} cannot be read{where} ({error.strerror})") from None
    return Source(text, "" if is_file else place, attribute, path, content)


def _module_file(text: str, module: str) -> Path:
    path, spec = None, None
    parts = module.split(".")
    for number in range(1, len(parts) + 1):
        name = ".".join(parts[:number])
        found = (finder.find_spec(name, path) for finder in sys.meta_path)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is None:
            break
        path = spec.submodule_search_locations
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise BatError(
            f"{text}: there is no module {module} written in Python; install it, put its folder "
            "on PYTHONPATH, or name its file as path/to/file.py:attribute"
        )
    return Path(spec.origin)


def _identity(source: Source) -> dict:
    found: dict[str, Any] = {"sha256": hashlib.sha256(source.content).hexdigest()}
    if source.module and str(source.path).startswith(_LIBRARIES):
        return found | {"package": _package(source.module.partition(".")[0])}
    imports = _imported_files(source)
    return found | ({"imports": imports} if imports else {})


def _package(name: str) -> str:
    """Name and version of what is installed; its files are not hashed one by one."""
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        names = importlib.metadata.packages_distributions().get(name, [])
        versions = [f"{n} {importlib.metadata.version(n)}" for n in sorted(set(names))]
        return ", ".join(versions) or f"Python {sys.version.partition(' ')[0]}"


def _imported_files(source: Source) -> dict[str, str]:
    """The sha256 of each file beside the source that it imports, directly or not.

    Found in the compiled code, which is not run. What is imported under a name that is
    put together at run time is not seen.
    """
    root = source.path.parent
    for _ in range(source.module.count(".") + (source.path.name == "__init__.py")):
        root = root.parent
    excluded = [*sys.stdlib_module_names, "bat"]  # these are found before what lies beside
    finder = ModuleFinder(path=[str(root)], excludes=excluded)
    try:
        if source.module:
            finder.import_hook(source.module)
        else:
            finder.run_script(str(source.path))  # which loads it, and runs nothing
    except SyntaxError as error:
        raise BatError(f"{source.text}: {error.filename} is no Python ({error})") from None
    except ImportError as error:
        raise BatError(f"{source.text}: {error}") from None
    files = {Path(m.__file__).absolute() for m in finder.modules.values() if m.__file__}
    return {
        path.relative_to(root.absolute()).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files - {source.path.absolute()})
    }


# -- looking, without running ---------------------------------------------------------------


def _visible_signature(source: Source) -> inspect.Signature | None:
    """The signature of a function or class as it is written; None where running alone would tell.

    Raises
    ------
    BatError
        If the file is no Python, or defines no such attribute.
    """
    try:
        tree = ast.parse(source.content, filename=str(source.path))
    except (SyntaxError, ValueError) as error:
        raise BatError(f"{source.text}: {source.path} is no Python ({error})") from None
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    hidden = False  # behind a name that is bound otherwise
    for node in reversed(tree.body):
        if getattr(node, "name", None) == source.attribute:
            if node.decorator_list:
                return None
            if isinstance(node, functions):
                return _signature(node.args)
            own = [n for n in node.body if isinstance(n, functions) and n.name == "__init__"]
            return _signature(own[-1].args, skip=1) if own else None
        names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        aliases = {
            a.asname or a.name
            for n in ast.walk(node)
            for a in getattr(n, "names", [])
            if isinstance(a, ast.alias)
        }
        inner = {n.name for n in ast.walk(node) if isinstance(n, (*functions, ast.ClassDef))}
        if source.attribute in names or {source.attribute, "*"} & aliases:
            hidden = True
        if not isinstance(node, (*functions, ast.ClassDef)) and source.attribute in inner:
            hidden = True
        hidden |= getattr(node, "name", None) == "__getattr__"
    if hidden:
        return None
    defined = [n.name for n in tree.body if isinstance(n, (*functions, ast.ClassDef))]
    near = difflib.get_close_matches(source.attribute, defined, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it defines {', '.join(defined) or 'nothing'}"
    raise BatError(f"{source.text}: {source.path} has no {source.attribute!r}; {hint}")


def _signature(arguments: ast.arguments, skip: int = 0) -> inspect.Signature:
    """A signature whose defaults are marks that there is one."""
    kinds, parameters = inspect.Parameter, []
    positional = [*((a, kinds.POSITIONAL_ONLY) for a in arguments.posonlyargs)]
    positional += [(a, kinds.POSITIONAL_OR_KEYWORD) for a in arguments.args]
    n_bare = len(positional) - len(arguments.defaults)
    for number, (argument, kind) in enumerate(positional):
        default = kinds.empty if number < n_bare else None
        parameters.append(kinds(argument.arg, kind, default=default))
    if arguments.vararg:
        parameters.append(kinds(arguments.vararg.arg, kinds.VAR_POSITIONAL))
    for argument, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        default = kinds.empty if value is None else None
        parameters.append(kinds(argument.arg, kinds.KEYWORD_ONLY, default=default))
    if arguments.kwarg:
        parameters.append(kinds(arguments.kwarg.arg, kinds.VAR_KEYWORD))
    return inspect.Signature(parameters[skip:])


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


def said(error: BaseException) -> str:
    """What went wrong in somebody's code, and where in it."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [f for f in frames if not f.filename.startswith((*_LIBRARIES, _PACKAGE, "<"))]
    place = f", {theirs[-1].filename}, line {theirs[-1].lineno}" if theirs else ""
    return f"{type(error).__name__}: {error}{place}"


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

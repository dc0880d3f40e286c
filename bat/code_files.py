"""Files of code that somebody names: found, hashed and looked at, never run."""

from __future__ import annotations

import ast
import difflib
import hashlib
import importlib.metadata
import inspect
import re
import sys
import sysconfig
from dataclasses import dataclass
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

from bat.errors import BatError

FORM = re.compile(r"(.+\.py|[A-Za-z_][\w.]*):([A-Za-z_]\w*)")
HINT = "write path/to/file.py:attribute or module:attribute"

LIBRARIES = tuple({sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")})


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


def identity(source: Source) -> dict:
    """The bytes of a source: ``sha256``, and ``imports`` or ``package``, where there are any."""
    found: dict[str, Any] = {"sha256": hashlib.sha256(source.content).hexdigest()}
    if source.module and str(source.path).startswith(LIBRARIES):
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


def visible_signature(source: Source) -> inspect.Signature | None:
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

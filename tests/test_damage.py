"""Every kind of file put wrong in every way, generated: refused by its name, or made again.

What is left without effect is not used: the outputs of every stage that reads the file are those
of the folder as it was. Nothing ends in a traceback.
"""

from __future__ import annotations

import io
import itertools
import json
import logging
import os
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import small_results
import torch
from small_results import Again, Stage, matches, nothing_drawn, nothing_trained, stages

from bat import files
from bat.errors import BatError

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("damage")]

KINDS = {
    "data": "data/*",
    "trials": "trials/*.parquet",
    "interrupted trials": "trials/.partial/*/*",
    "scores": "scores/*",
    "watched trainings": "proxies/*",
    "groups": "groups/*",
    "models": "*/runs/*/*/[bl]*.pt",
    "states": "*/runs/*/*/resume.pt",
    "histories": "*/runs/*/*/history.parquet",
    "evaluations": "*/evaluations/*/*",
    "checks of masking": "*/masking/*/*",
    "poisoning scores": "*/poisoning/*/*",
    "representations": "*/representation/*/*",
    "specifications": "specs/*",
}
AT_MOST = int(os.environ.get("BAT_DAMAGE_STAGES", 1))  # stages that are run after each damage
OF_A_FILE = int(os.environ.get("BAT_DAMAGE_OF_A_FILE", 10))  # damages of each, by seed
OF_DATA = ("scores", "ensembles", "groups", "train bat-1-0.2/seed0", "evaluate pgd-at/seed0")
OF_DATA += ("figure fig5", "figure fig7", "sheet", "table history", "trials", "interrupted")

Damage = Mapping[str, bytes | Path | None]
"""Content of files by path; a path where a link to it lies there, None where one is gone."""


class Folder:
    """A finished results folder, another data set's beside it, and what every stage writes."""

    def __init__(self, path: Path, other: Path):
        self.path = path
        self.content = dict(self._files(path))
        self.other = dict(self._files(other))
        self.states = {name: self._state(name) for name in self.content}
        self.stages = stages()
        self.written = {}
        for stage in self.stages:
            error, _ = self._run(stage)
            assert error is None, (stage.name, error)
            self.written[stage.name] = self._outputs(stage)
            self.put({})

    @staticmethod
    def _files(path: Path) -> Iterator[tuple[str, bytes]]:
        for file in sorted(path.rglob("*")):
            if file.is_file():
                yield file.relative_to(path).as_posix(), file.read_bytes()

    def _state(self, name: str) -> tuple[int, int] | None:
        try:
            found = (self.path / name).stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_size

    def put(self, damage: Damage) -> None:
        """The folder as it was, with some files damaged."""
        for file in list(self.path.rglob("*")):
            name = file.relative_to(self.path).as_posix()
            if file.is_symlink() or (file.is_file() and name not in self.content):
                file.unlink()
        for name, content in self.content.items():
            if self.states[name] is None or self._state(name) != self.states[name]:
                (self.path / name).write_bytes(content)
                self.states[name] = self._state(name)
        for name, content in damage.items():
            self.states.pop(name, None)
            if name in self.content:
                self.states[name] = None
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            if content is None or isinstance(content, Path):
                (self.path / name).unlink()
            if isinstance(content, Path):
                (self.path / name).symlink_to(content)
            elif content is not None:
                (self.path / name).write_bytes(content)

    def _run(self, stage: Stage) -> tuple[BaseException | None, str]:
        """How a stage ends, and what it logs."""
        said = io.StringIO()
        handler, log = logging.StreamHandler(said), logging.getLogger("bat")
        level = log.level
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        try:
            with nothing_drawn(), nothing_trained():
                stage.run(self.path)
        except Exception as error:
            return error, said.getvalue()
        finally:
            log.removeHandler(handler)
            log.setLevel(level)
        return None, said.getvalue()

    def _outputs(self, stage: Stage) -> dict[str, bytes]:
        return {
            name: content
            for name, content in self._files(self.path)
            if any(matches(name, pattern) for pattern in stage.writes)
        }

    def concerned(self, damage: Damage, rng: random.Random) -> list[Stage]:
        found = [s for s in self.stages if any(s.concerns(name) for name in damage)]
        if any(name.startswith("data/") for name in damage):
            found = [stage for stage in found if stage.name in OF_DATA]
        return rng.sample(found, min(AT_MOST, len(found)))

    def judge(self, stage: Stage, damage: Damage) -> str:
        """Whether a stage refuses a damage, makes again, or sees none; else what is WRONG."""
        self.put(damage)
        error, said = self._run(stage)
        again = any(words in said for words in ("again", "anew", "to train"))
        if isinstance(error, Again):
            return "made again" if again else "WRONG: made again without a word"
        if isinstance(error, BatError):
            names = {part for name in damage for part in (Path(name).name, Path(name).stem)}
            named = any(name in str(error) for name in names)
            return "refused" if named else f"WRONG: refused without its name: {error}"
        if error is not None:
            at = error.__traceback__
            while at.tb_next:
                at = at.tb_next
            where = f"{Path(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno}"
            return f"WRONG: {type(error).__name__}: {error} ({where})"
        differ = [
            n for n, content in self.written[stage.name].items() if not self._same(n, content)
        ]
        if differ:
            return f"WRONG: used silently, {', '.join(differ)} differ"
        return "made again" if again else "no effect"

    def _same(self, name: str, content: bytes) -> bool:
        path = self.path / name
        if not path.exists():
            return False
        found = path.read_bytes()
        if found == content:
            return True
        if path.suffix == ".pt":  # between the members of a zip there are bytes that nobody reads
            values = (torch.load(io.BytesIO(c), weights_only=True) for c in (found, content))
            return len(set(map(files.values_digest, values))) == 1
        if path.suffix == ".parquet" or path.parent.parent.name == "representation":
            return _measured(path.suffix, found) == _measured(path.suffix, content)
        return False


def _measured(suffix: str, content: bytes) -> tuple[pa.Table | None, dict]:
    """What a file says, but for what it was made of: a model that says less of itself is another
    input, and the same model."""
    table, about = None, content
    if suffix == ".parquet":
        table = pq.read_table(io.BytesIO(content))
        about = table.schema.metadata[b"bat"]
        table = table.replace_schema_metadata(None)
        table = table.drop_columns([n for n in table.column_names if _is_null(table, n)])
    unread = {"kept", "checksum", "inputs", "checkpoint_sha256", "content"}
    unread |= {"normalization", "architecture", "identity", "device", "command", "package_version"}
    return table, {k: v for k, v in json.loads(about).items() if k not in unread}


def _is_null(table: pa.Table, name: str) -> bool:
    return table.column(name).null_count == table.num_rows


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    places = [tmp_path_factory.mktemp("results") / "digits" for _ in range(2)]
    with nothing_drawn():
        small_results.make(places[0])
        small_results.make(places[1], seed=1)
    return Folder(*places)


NOWHERE = Path("nowhere")


COUNTS: dict[str, Counter] = {}


def check(folder: Folder, section: str, damages: Iterator[tuple[str, Damage]]) -> None:
    """Every damage is refused, mended or of no effect in the stages that read its files."""
    rng, wrong = random.Random(0), []
    counts = COUNTS.setdefault(section, Counter())
    try:
        for what, damage in damages:
            for stage in folder.concerned(damage, rng):
                verdict = folder.judge(stage, damage)
                counts[verdict.partition(":")[0]] += 1
                if verdict.startswith("WRONG"):
                    wrong.append(f"{what} -> {stage.name} -> {verdict.removeprefix('WRONG: ')}")
    finally:
        folder.put({})
    assert counts
    assert not wrong, "\n".join([f"{len(wrong)} of {counts.total()}", *wrong])


def of_kind(folder: Folder, kind: str) -> list[str]:
    return [name for name in folder.content if matches(name, KINDS[kind])]


def victims(folder: Folder, kind: str) -> list[str]:
    """The files that are put wrong: one seed's, and specifications that a stage reads."""
    found = [name for name in of_kind(folder, kind) if "seed1" not in name]
    return [n for n in found if any(stage.concerns(n) for stage in folder.stages)]


def test_every_file_has_its_kind_and_its_reader(folder):
    for name in folder.content:
        kinds = [kind for kind, pattern in KINDS.items() if matches(name, pattern)]
        assert len(kinds) == 1, name
        read = any(stage.concerns(name) for stage in folder.stages)
        assert read or name.startswith("specs/"), name


# -- another file in the right place --------------------------------------------------------


def misplaced(folder: Folder, kind: str) -> Iterator[tuple[str, Damage]]:
    rng = random.Random(1)
    for name in victims(folder, kind):
        found = [*other_files(folder, kind, name, rng)]
        yield from rng.sample(found, min(OF_A_FILE, len(found)))


def other_files(
    folder: Folder, kind: str, name: str, rng: random.Random
) -> Iterator[tuple[str, Damage]]:
    suffix, here = Path(name).suffix, folder.content
    same = [other for other in of_kind(folder, kind) if Path(other).suffix == suffix]
    same = [other for other in same if other != name and here[other] != here[name]]
    for other in rng.sample(same, min(5, len(same))):
        yield f"{other} copied to {name}", {name: here[other]}
        yield f"{other} and {name} swapped", {name: here[other], other: here[name]}
    for another in KINDS:
        found = [o for o in of_kind(folder, another) if Path(o).suffix == suffix]
        if another != kind and found:
            other = rng.choice(found)
            yield f"{other} copied to {name}", {name: here[other]}
    if folder.other.get(name, here[name]) != here[name]:
        yield f"another data set's copied to {name}", {name: folder.other[name]}
    for odd in ("{}-copy", "{} (1)", "Copy of {}", "{}.orig", ".{}"):
        copy = str(Path(name).with_name(odd.format(Path(name).stem) + suffix))
        yield f"{copy} beside {name}", {copy: here[name], name: here[name]}


@pytest.mark.parametrize("kind", KINDS)
def test_another_file_in_its_place(folder, kind):
    check(folder, "another file", misplaced(folder, kind))


# -- a link that leads nowhere --------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_link_that_leads_nowhere(folder, kind):
    links = ((f"{name} leads nowhere", {name: NOWHERE}) for name in victims(folder, kind))
    check(folder, "links", links)


# -- content that changed -------------------------------------------------------------------


def _bytes_of(write: Any, *arguments: Any, **named: Any) -> bytes:
    buffer = io.BytesIO()
    write(*arguments, buffer, **named)
    return buffer.getvalue()


def changed_value(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, bytes):
        return bytes([value[0] ^ 1]) + value[1:] if value else b"\0"
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, list):
        return [*value[1:], "x"] if not value or isinstance(value[0], str) else [*value[::-1], 1]
    if isinstance(value, dict):
        return value | {"x": 1}
    return 1


def edits(value: Any, change: Any, depth: int = 3) -> Iterator[tuple[str, Any]]:
    """JSON content with one value at a time changed, by its key."""
    if not isinstance(value, dict) or depth == 0:
        return
    for key, inner in value.items():
        for other in change(inner):
            yield str(key), {**value, key: other}
        for name, other in edits(inner, change, depth - 1):
            yield f"{key}.{name}", {**value, key: other}


def with_column(table: pa.Table, name: str, values: Any, kind: Any = None) -> pa.Table:
    at = table.schema.get_field_index(name)
    kind = kind or table.schema.field(at).type
    return table.set_column(at, pa.field(name, kind), pa.array(values, kind, from_pandas=False))


def changed_tables(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Tables with their metadata as they were."""
    table = pq.read_table(io.BytesIO(content))
    found = {"reversed": table.take(list(range(table.num_rows))[::-1]), "dropped": table.slice(1)}
    found["twice"] = pa.concat_tables([table, table.slice(0, 1)])
    for name in table.column_names:
        values = table.column(name).to_pylist()
        if values and values[0] is not None:
            other = [changed_value(values[0]), *values[1:]]
            found[f"changed {name}"] = with_column(table, name, other)
    for what, other in found.items():
        if not other.equals(table):
            yield what, _bytes_of(pq.write_table, other)


def changed(content: bytes, suffix: str, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    for offset in rng.sample(range(len(content)), min(8, len(content))):
        flipped = bytearray(content)
        flipped[offset] ^= 1 << rng.randrange(8)
        yield f"bit flipped in byte {offset}", bytes(flipped)
    for kept in (0, len(content) // 2, len(content) - 1):
        yield f"truncated to {kept}", content[:kept]
    if suffix == ".parquet":
        yield from changed_tables(content)
    elif suffix == ".json":
        for key, value in edits(json.loads(content), lambda v: [changed_value(v)]):
            yield f"{key} changed", json.dumps(value, indent=2).encode()
    elif suffix == ".csv":
        rows = content.decode().splitlines()
        yield "rows reversed", "\n".join([rows[0], *rows[:0:-1]]).encode()
        for at in range(len(rows[1].split(","))):
            cells = rows[1].split(",")
            cells[at] = "0.123"
            yield f"cell {at}", "\n".join([rows[0], ",".join(cells), *rows[2:]]).encode()
    elif suffix == ".npy":
        array = np.load(io.BytesIO(content))
        for index in rng.sample(range(array.size), 3):
            other = array.copy()
            other.flat[index] = (int(other.flat[index]) + 1) % 10
            if (other != array).any():
                yield f"value {index}", _npy(other)
        yield "reversed", _npy(array[::-1])
        yield "shorter", _npy(array[:-1])
    elif suffix == ".pt":
        value = torch.load(io.BytesIO(content), weights_only=True)
        for key, other in edits(value, lambda v: [changed_tensor(v)], depth=2):
            yield f"{key} changed", _bytes_of(lambda v, to: torch.save(v, to), other)


def changed_tensor(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        other = value.clone()
        other.view(-1)[0] += 1
        return other
    return changed_value(value)


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def changes(folder: Folder, kind: str) -> Iterator[tuple[str, Damage]]:
    rng = random.Random(2)
    for name in victims(folder, kind):
        found = [*changed(folder.content[name], Path(name).suffix, rng)]
        for what, content in rng.sample(found, min(OF_A_FILE, len(found))):
            yield f"{name}: {what}", {name: content}


@pytest.mark.parametrize("kind", KINDS)
def test_content_that_changed(folder, kind):
    check(folder, "changed", changes(folder, kind))


# -- content that cannot be -----------------------------------------------------------------


def signed_table(table: pa.Table, about: dict) -> bytes:
    """A table as our own writer writes it, whatever it holds."""
    about = {key: value for key, value in about.items() if key != "checksum"}
    if isinstance(about.get("content"), dict):
        columns = zip(table.column_names, table.columns, strict=True)
        about["content"] = {name: files.column_digest(column) for name, column in columns}
    about["checksum"] = files.json_digest(about)
    return _bytes_of(pq.write_table, table.replace_schema_metadata({"bat": json.dumps(about)}))


OF_ANOTHER_TYPE = (None, [], {}, "text", -1, 0.5, True, [[1]], {"a": []}, {"x": "text"})


def other_types(value: Any) -> list[Any]:
    """JSON values of other types than a value's."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return [
        other
        for other in OF_ANOTHER_TYPE
        if type(other) is not type(value)
        and not (number and isinstance(other, int | float) and not isinstance(other, bool))
    ]


def without_each(value: Any, depth: int = 2) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and depth:
        for key, inner in value.items():
            yield str(key), {k: v for k, v in value.items() if k != key}
            for name, other in without_each(inner, depth - 1):
                yield f"{key}.{name}", {**value, key: other}


UNBOUNDED = {"seconds", "loss", *files.STATISTICS}


def impossible_columns(table: pa.Table, optional: set[str]) -> Iterator[tuple[str, pa.Table]]:
    for field in table.schema:
        name, kind, values = field.name, field.type, table.column(field.name).to_pylist()
        if not values:
            continue
        if pa.types.is_binary(kind):
            wrong = [b"", (values[0] or b"ab")[:-1], (values[0] or b"") + b"\xff"]
        elif pa.types.is_floating(kind):
            wrong = [float("nan"), float("inf")]
            wrong += [] if name in UNBOUNDED else [5.0, -5.0]
        elif pa.types.is_integer(kind):
            wrong = [-1, 10**6]
        else:
            wrong = []
        null = [] if name in optional else [None]
        for value in [*wrong, *null]:
            if value != values[0]:
                yield f"{name} {value!r:.20}", with_column(table, name, [value, *values[1:]])
        nulls = [None] * len(values)
        if null:
            yield f"{name} all null", with_column(table, name, nulls)
            yield f"without {name}", table.drop_columns([name])
        for other in [o for o in (pa.float64(), pa.int64(), pa.string()) if o != kind]:
            yield f"{name} as {other}", with_column(table, name, nulls, other)
        doubled = table.append_column(field, table.column(name))
        yield f"{name} twice", doubled
    names = table.column_names
    for one, two in itertools.combinations(names, 2):
        if {table.schema.field(n).type for n in (one, two)} != {pa.bool_()}:
            continue
        right, wrong = [True] * table.num_rows, [False] * table.num_rows
        if {one, two} == {"typical", "atypical"}:
            yield "both", with_column(with_column(table, one, right), two, right)
        elif "clean" in (one, two) and table.column(two).null_count == 0:
            yield f"{two} without {one}", with_column(with_column(table, one, wrong), two, right)


def impossible_tables(content: bytes, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    table = pq.read_table(io.BytesIO(content))
    about = json.loads(table.schema.metadata[b"bat"])
    table = table.replace_schema_metadata(None)
    for what, other in impossible_columns(table, files.NULLABLE.get(about["kind"], set())):
        yield what, signed_table(other, about)
    yield "a row less", signed_table(table.slice(1), about)
    yield "a row twice", signed_table(pa.concat_tables([table, table.slice(0, 1)]), about)
    yield "no rows", signed_table(table.slice(0, 0), about)
    for key, other in edits(about, lambda value: rng.sample(other_types(value), 2), depth=2):
        if key == "chance.expected" and _at(other, key) is None:
            continue  # not known, which captions say
        yield f"metadata {key} {_at(other, key)!r:.40}", signed_table(table, other)
    for raw in (b"[1, 2]", b"3", b"null", b"[" * 100_000, b'{"a":' * 100_000, b'"x', b"{}"):
        other = table.replace_schema_metadata({"bat": raw})
        yield f"metadata {raw[:20]!r}", _bytes_of(pq.write_table, other)
    yield "no metadata", _bytes_of(pq.write_table, table.replace_schema_metadata(None))


def _at(value: Any, key: str) -> Any:
    for part in key.split("."):
        value = value[part] if isinstance(value, dict) and part in value else "..."
    return value


def impossible_tensors(value: Any) -> list[Any]:
    if not isinstance(value, torch.Tensor):
        return [[], "text", {1: 2}, None] if isinstance(value, dict) else [{"a": 1}]
    if not value.is_floating_point():
        return [value[None], value.float() / 0]
    return [value * float("nan"), value * 0 + float("inf"), value.int(), value[None], [1.0], "text"]


def impossible(content: bytes, suffix: str, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    deep = (b"[" * 100_000, b'{"a":' * 100_000, b"[]", b"3", b"null", b'{"a": 1}', b"\xff\xfe")
    if suffix == ".parquet":
        yield from impossible_tables(content, rng)
    elif suffix == ".json":
        value = json.loads(content)
        signed = "checksum" in value
        value.pop("checksum", None)
        found = [*edits(value, lambda v: rng.sample(other_types(v), 2), depth=2)]
        found += [(f"without {key}", other) for key, other in without_each(value)]
        for key, other in found:
            if signed:
                other = other | {"checksum": files.json_digest(other)}
            yield f"{key} {_at(other, key)!r:.40}", json.dumps(other).encode()
        for raw in (
            *deep,
            content.replace(b"0.", b"NaN", 1),
            content.replace(b"{", b'{"a":1e999,', 1),
        ):
            if raw != content:
                yield f"{raw[:20]!r}", raw
    elif suffix == ".csv":
        rows = content.decode().splitlines()
        for cell in ("nan", "inf", "text", "-1", "", "1e999", '"'):
            for at in range(len(rows[0].split(","))):
                cells = rows[-1].split(",")
                cells[at] = cell
                yield f"cell {at} {cell}", "\n".join([*rows[:-1], ",".join(cells)]).encode()
        yield "a line more", content + b"1,2\n"
        yield "binary", bytes(range(256))
    elif suffix == ".npy":
        array = np.load(io.BytesIO(content))
        for kind in (np.float32, np.int32, np.uint8, np.int64, ">i8", bool, "S3"):
            yield f"as {kind}", _npy(array.astype(kind))
        yield "a dimension more", _npy(array[None])
        yield "negative", _npy(array * -1 if array.dtype != np.uint8 else array[:, :0])
        yield "objects", _npy(np.array([{}, []], object))
        yield "no dimension", _npy(np.array(3))
        buffer = io.BytesIO()
        np.savez(buffer, a=array)
        yield "an archive", buffer.getvalue()
    elif suffix == ".pt":
        value = torch.load(io.BytesIO(content), weights_only=True)
        value.pop("digest")
        found = [*edits(value, lambda v: rng.sample(impossible_tensors(v), 1), depth=2)]
        found += [(f"without {key}", other) for key, other in without_each(value)]
        inner = next(key for key in ("state_dict", "training") if key in value)
        found.append(("integer names", value | {inner: dict(enumerate(value[inner].values()))}))
        found += [("a list", [1, 2]), ("a tensor", torch.zeros(3)), ("text", "text")]
        for key, other in found:
            if isinstance(other, dict):
                other = other | {"digest": files.values_digest(other)}
            yield (
                f"{key} {_at(other, key)!r:.40}",
                _bytes_of(lambda v, to: torch.save(v, to), other),
            )


def impossibles(folder: Folder, kind: str) -> Iterator[tuple[str, Damage]]:
    rng = random.Random(3)
    for name in victims(folder, kind):
        found = [*impossible(folder.content[name], Path(name).suffix, rng)]
        for what, content in rng.sample(found, min(OF_A_FILE, len(found))):
            if content != folder.content[name]:
                yield f"{name}: {what}", {name: content}


@pytest.mark.parametrize("kind", KINDS)
def test_content_that_cannot_be(folder, kind):
    check(folder, "cannot be", impossibles(folder, kind))

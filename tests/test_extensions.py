"""Code of somebody's own: found and hashed without running it, run as it was hashed."""

import hashlib
import importlib.metadata
import subprocess
import sys

import pytest

from bat import extensions
from bat.errors import BatError
from bat.stopping import Stopped

GIVEN, NEEDED = ("n_classes", "num_classes", "channels"), ("n_classes", "num_classes")
NET = """
import layers
raise SystemExit("this file was run")

def net(n_classes, width=8, *, channels=1):
    return layers.made(n_classes, width, channels)
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


def record(text, settings=None):
    return extensions.record(text, settings or {}, GIVEN, NEEDED)


def test_a_file_is_hashed_with_those_that_it_imports_and_not_run(here):
    (here / "nets.py").write_text(NET)
    (here / "layers.py").write_text("import json\nimport deeper")
    (here / "deeper.py").write_text("raise SystemExit('run')")
    (here / "unrelated.py").write_text("")
    found = record("nets.py:net", {"width": 12})

    def sha256(name):
        return hashlib.sha256((here / name).read_bytes()).hexdigest()

    assert found == {
        "code": "nets.py:net",
        "sha256": sha256("nets.py"),
        "imports": {name: sha256(name) for name in ("deeper.py", "layers.py")},
        "settings": {"width": 12},
    }
    (here / "deeper.py").write_text("# edited")
    assert record("nets.py:net") != found
    assert extensions.digest(record("nets.py:net", {"width": 12})) != extensions.digest(found)


def test_an_installed_module_is_named_with_its_version_and_not_imported(here):
    code = (
        "import sys; from bat import extensions\n"
        "found = extensions.record('torchvision.models:resnet18', {}, ('num_classes',))\n"
        "print(found['package'], 'torchvision' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    name, version, *imported = done.stdout.split()
    assert (name, imported) == ("torchvision", ["False", "False"])
    assert version == importlib.metadata.version("torchvision")
    assert record("torchvision.models:resnet18")["package"] == f"torchvision {version}"
    assert record("sklearn.svm:SVC", {"C": 1})["package"].startswith("scikit-learn ")


def test_a_module_of_ones_own_is_hashed_with_the_rest_of_its_package(here, monkeypatch):
    (here / "mine").mkdir()
    (here / "mine" / "__init__.py").write_text("raise SystemExit('run')")
    (here / "mine" / "nets.py").write_text("from . import layers\ndef net(n_classes): ...")
    (here / "mine" / "layers.py").write_text("")
    monkeypatch.syspath_prepend(here)
    found = record("mine.nets:net")
    assert sorted(found["imports"]) == ["mine/__init__.py", "mine/layers.py"]
    assert "mine" not in sys.modules


@pytest.mark.parametrize(
    ("text", "settings", "words"),
    [
        ("gone.py:net", {}, ["gone.py cannot be read", "No such file"]),
        ("no.such.module:net", {}, ["no module no.such.module", "PYTHONPATH"]),
        ("nets.py:nett", {}, ["has no 'nett'", "did you mean 'net'?"]),
        ("nets.py:net", {"widht": 1}, ["settings.widht", "mean 'width'?", "(n_classes, width"]),
        ("nets.py:net", {"channels": 3}, ["settings.channels is passed by the package"]),
        ("nets.py:other", {}, ["must take n_classes or num_classes; it takes (classes)"]),
        ("nets.py:Asks", {}, ["needs depth", "give it under settings"]),
        ("broken.py:net", {}, ["broken.py is no Python"]),
    ],
)
def test_what_can_be_seen_is_refused_by_name(here, text, settings, words):
    more = "\ndef other(classes): ...\nclass Asks:\n  def __init__(self, n_classes, depth): ..."
    (here / "nets.py").write_text(NET + more)
    (here / "layers.py").write_text("")
    (here / "broken.py").write_text("def net(:")
    with pytest.raises(BatError) as caught:
        record(text, settings)
    for word in (text, *words):
        assert word in str(caught.value)


def test_what_cannot_be_seen_is_left_to_the_job(here):
    (here / "nets.py").write_text(
        "from elsewhere import *\n"
        "import functools\n"
        "made = functools.partial(max, 1)\n"
        "@functools.cache\n"
        "def wrapped(x): ...\n"
    )
    for name in ("made", "wrapped", "starred"):
        record(f"nets.py:{name}", {"anything": 1})


def test_exactly_what_was_hashed_is_run(here):
    path = here / "nets.py"
    path.write_text("import beside\ndef net(n_classes, width=1): return n_classes, width, beside.X")
    (here / "beside.py").write_text("X = 1")
    found = record("nets.py:net", {"width": 3})
    net = extensions.load(found)
    assert extensions.call("nets.py:net", net, {"width": 3}, dict.fromkeys(GIVEN, 7), NEEDED) == (
        *(7, 3, 1),
    )
    path.write_text(path.read_text().replace("width, ", "width + 1, "))
    with pytest.raises(BatError, match=r"nets.py changed since the workflow was read"):
        extensions.load(found)
    # of the same size and within a second, so that a cache of bytecode would be taken for it
    changed = extensions.load(record("nets.py:net", {"width": 3}))
    assert changed(7, width=3) == (7, 4, 1)
    assert not (here / "__pycache__" / "nets.cpython-311.pyc").exists()


def test_a_stop_is_no_failure_of_the_code(here):
    def net(n_classes):
        raise Stopped(15)

    with pytest.raises(Stopped):
        extensions.call("nets.py:net", net, {}, dict.fromkeys(GIVEN, 5), NEEDED)


def test_failures_say_where_in_the_file(here):
    (here / "nets.py").write_text("def net(**rest):\n    raise KeyError(str(rest))")
    (here / "fails.py").write_text("\n\n1 / 0\ndef net(n_classes): ...")
    net = extensions.load(record("nets.py:net"))
    with pytest.raises(BatError, match=r"KeyError.*num_classes': 5.*nets.py, line 2"):
        extensions.call("nets.py:net", net, {}, dict.fromkeys(GIVEN, 5), NEEDED)
    with pytest.raises(BatError, match=r"ZeroDivisionError.*fails.py, line 3"):
        extensions.load(record("fails.py:net"))
    (here / "ends.py").write_text("import sys\ndef net(n_classes): sys.exit(0)")
    (here / "starts.py").write_text("raise SystemExit('usage: ...')\ndef net(n_classes): ...")
    net = extensions.load(record("ends.py:net"))
    with pytest.raises(BatError, match=r"calling it failed .SystemExit: 0, .*ends.py, line 2"):
        extensions.call("ends.py:net", net, {}, dict.fromkeys(GIVEN, 5), NEEDED)
    with pytest.raises(BatError, match=r"cannot be imported .SystemExit: usage: .*, line 1"):
        extensions.load(record("starts.py:net"))
    (here / "nets.py").write_text("net = 3")
    with pytest.raises(BatError, match="holds no function or class under the name 'net'"):
        extensions.load(record("nets.py:net"))

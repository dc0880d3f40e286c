"""What the tests share: one thread for each process, prepared digits, real commands."""

from __future__ import annotations

import functools
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# before numpy and torch are imported, which start their pools then, here and in child processes
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ["MPLBACKEND"] = "Agg"

REPOSITORY = Path(__file__).resolve().parents[1]
STATES = {}


@pytest.fixture(autouse=True)
def same_in_any_order(request):
    """Every test computes what it computes alone, whatever ran before it in its process.

    The generators of the process and the ``RNG`` of a test's module draw the same, and torch has
    one thread; after a test too, for what is made for several of them.
    """
    import numpy as np
    import torch

    def begin():
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002 (the global generator is what is meant)
        torch.manual_seed(0)
        torch.set_num_threads(1)

    generator = getattr(getattr(request, "module", None), "RNG", None)
    if generator is not None:
        bits = generator.bit_generator
        bits.state = STATES.setdefault(request.module.__name__, bits.state)
    begin()
    yield
    begin()


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository, wherever pytest was started."""
    return REPOSITORY


@pytest.fixture(scope="session")
def node_tools(tmp_path_factory) -> Path:
    """A folder with what `tests/javascript` locks by hash, in its ``node_modules``."""
    folder = tmp_path_factory.mktemp("node") / "tools"
    shutil.copytree(REPOSITORY / "tests" / "javascript", folder)
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"npm installs nothing here: {done.stderr.strip().splitlines()[-1]}")
    return folder


@pytest.fixture(scope="session")
def run_bat():
    """Run ``python -m bat`` with arguments in a process of its own."""

    def run(*arguments, cwd=None, check=True) -> subprocess.CompletedProcess:
        done = subprocess.run(
            [sys.executable, "-m", "bat", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=cwd,
        )
        if check and done.returncode:
            pytest.fail(f"{arguments[0]} ended with {done.returncode}:\n{done.stderr}")
        return done

    return run


@pytest.fixture(scope="session")
def prepare(tmp_path_factory):
    """Prepare a part of the digits; keys are those of the ``data`` section."""
    from bat import config, data

    def prepare(**settings) -> data.PreparedData:
        folder = tmp_path_factory.mktemp("digits") / "data"
        data.prepare(config.DigitsData(**settings), folder, workers=1)
        return data.load(folder)

    return prepare


@pytest.fixture(scope="session")
def few_digits(prepare):
    """200 training and 100 test digits."""
    return prepare(subsample={"train": 200, "test": 100})


@pytest.fixture(scope="session")
def inputs(few_digits, tmp_path_factory):
    """Made-up scores and groups of the few digits: every fifth sample is atypical."""
    import numpy as np

    from bat import files
    from bat.training import Inputs

    folder = tmp_path_factory.mktemp("tables")
    n = few_digits.info["n_train"]
    index, atypical = np.arange(n), np.arange(n) % 5 == 0
    provenance = {"fingerprint": few_digits.fingerprint, "recipe": {}, "command": "test"}
    columns = {name: [None] * n for name in files.SCHEMAS["memorization"].names}
    columns |= {"index": index, "label": few_digits.train_labels}
    columns |= {"memorization": np.where(atypical, 0.5, 0.0)}
    files.write_table(
        folder / "scores" / "memorization.parquet", "memorization", columns, **provenance
    )
    columns = {"index": index, "typical": ~atypical, "atypical": atypical}
    files.write_table(folder / "groups" / "train.parquet", "groups", columns, **provenance)
    return Inputs(groups=folder / "groups", scores=folder / "scores")


@pytest.fixture(scope="session")
def driver():
    """The address of a chromedriver."""
    from chromium import chromedriver

    with chromedriver() as address:
        yield address


@pytest.fixture
def gpu():
    """A GPU as jobs take it, compiling; where there is none the test is skipped."""
    import torch

    from bat.devices import runtime

    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    with runtime("cuda") as device:
        yield device


@pytest.fixture
def compiled(monkeypatch):
    """A CPU on which models are compiled, without the last step that needs a C++ compiler."""
    import torch

    from bat.devices import Runtime

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    yield Runtime(torch.device("cpu"), compile=True)
    torch.compiler.reset()

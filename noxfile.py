"""The tests on every Python that the package supports, with the oldest and the newest torch.

`make matrix` runs it. Each combination gets an environment of its own in .nox (about 6 GB, kept
for the next time); a Python that this machine does not have is named and skipped. One of them:
`make matrix SESSION="tests-3.12(torch='oldest')"`; words for pytest go into ARGS.
"""

import re
import shutil

import nox

PROJECT = nox.project.load_toml("pyproject.toml")["project"]
PYTHONS = ["3.11", "3.12", "3.13"]

nox.options.error_on_missing_interpreters = False
nox.options.reuse_venv = "yes"

if not any(shutil.which(f"python{version}") for version in PYTHONS):
    raise SystemExit(f"no Python of {', '.join(PYTHONS)} is on the PATH, so nothing can be tested")


def lower_bounds() -> list[str]:
    """Of torch and torchvision, as pins: ``torch>=2.11`` gives ``torch==2.11.*``."""
    bounds = (re.fullmatch(r"(torch\w*)>=([\d.]+)", wanted) for wanted in PROJECT["dependencies"])
    return [f"{bound[1]}=={bound[2]}.*" for bound in bounds if bound]


@nox.session(python=PYTHONS)
@nox.parametrize("torch", ["oldest", "newest"])
def tests(session: nox.Session, torch: str) -> None:
    """Everything that pytest collects."""
    pins = lower_bounds() if torch == "oldest" else ["--upgrade", "torch", "torchvision"]
    session.install("-e", ".[dev]", *pins)
    session.run("python", "-c", "import torch; print('torch', torch.__version__)")
    session.run("python", "-m", "pytest", *(session.posargs or ["-n", "auto"]))

"""The page's scripts, by eslint."""

import shutil
import subprocess

import pytest


def test_the_scripts_of_the_page_are_clean(repository, tmp_path):
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("needs npm")
    folder = shutil.copytree(repository / "tests" / "javascript", tmp_path / "lint")
    shutil.copytree(repository / "bat" / "report" / "browse", folder / "browse")
    install = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"eslint cannot be had here: {done.stderr.strip().splitlines()[-1]}")
    lint = [npm, "exec", "--offline", "--", "eslint", "browse"]
    done = subprocess.run(lint, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr

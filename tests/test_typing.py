"""Types of a user's code, by two checkers."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tests.support import ROOT

API = "tests/typing/api.py"


def checked(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False, cwd=ROOT)


def test_mypy_agrees():
    """Strictly; an expected error that does not come is one as well."""
    run = checked("mypy", "--config-file", "pyproject.toml", API)
    assert run.returncode == 0, run.stdout


@pytest.mark.skipif(shutil.which("node") is None, reason="pyright would download node")
def test_pyright_agrees():
    """On the same lines."""
    run = checked("pyright", "--pythonpath", sys.executable, API)
    assert run.returncode == 0, run.stdout

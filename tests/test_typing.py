"""What the types of a user's code become, by two checkers."""

from __future__ import annotations

import subprocess
import sys

from tests.support import ROOT


def test_mypy_agrees():
    """Strictly; an expected error that does not come is one as well."""
    command = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", "tests/typing/api.py"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert run.returncode == 0, run.stdout

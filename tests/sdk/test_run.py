"""A run that does not come to its end is no good run, whatever its results."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.sdk.__main__ import ENDED, run
from tests.sdk.verdict import Table

TABLE = Table(files=(), slow=("test_a", "test_b"), cannot={})
SCRIPT = "import os, sys; print(os.environ['PEEKLOCK_SDK_SLOW']); sys.exit(int(sys.argv[1]))"


def test_the_exit_code(tmp_path: Path) -> None:
    for code in (0, 1, 2, 5):
        log = tmp_path / "first"
        assert run([sys.executable, "-c", SCRIPT, str(code)], tmp_path, TABLE, log) == code
        assert log.with_suffix(".log").read_text() == "test_a test_b\n"
    assert ENDED == (0, 1)  # pytest: 2 is interrupted, 5 is no test at all

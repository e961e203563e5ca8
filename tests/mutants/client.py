"""The other end of the server's pipe."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from tests.mutants.planting import Fault
from tests.support import ROOT


class Server:
    """A server that answers one request after the other."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def run(self, fault: Fault | None, tests: Sequence[str], seconds: float) -> dict[str, Any]:
        """Return what `server.in_a_fork` says of these tests."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        request = {"fault": None if fault is None else asdict(fault), "tests": list(tests), "seconds": seconds}
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())  # type: ignore[no-any-return] # as the server wrote it


@contextmanager
def server() -> Iterator[Server]:
    """A server of one's own, without what an outer pytest says in the environment."""
    # CI: hypothesis tries the same examples each time, so a fault is found each time or never.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | {"CI": "1"}
    command = [sys.executable, "-m", "tests.mutants.server"]
    with subprocess.Popen(
        command, cwd=ROOT, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Server(process)

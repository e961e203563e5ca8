"""A process that runs tests in forks of itself, each with one fault planted: the SDKs are loaded once, peeklock never here.

One request a line on the input, one answer a line on the output. Start it with `python -m tests.mutants.server`.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import sys
import tempfile
import time
import traceback
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from typing import Any

from tests.mutants.planting import Fault, plant

LOADED = (
    "pytest",
    "hypothesis",
    "hypothesis.stateful",
    "pydantic",
    "boto3",
    "moto",
    "botocore.stub",
    "azure.functions",
    "azure.servicebus",
    "cryptography.x509",
    "requests",
)
"""Loaded before the first fork, for speed alone. Nothing that starts threads, as grpc does: they do not survive a fork."""

OPTIONS = (
    *("-x", "-q", "--no-header", "-p", "no:xdist", "-p", "no:cacheprovider"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # of plugins that are loaded already
    *("-W", "ignore::DeprecationWarning"),
    "--timeout=0",  # the limit is this process's: that of pytest-timeout ends with the status of a failed test
)

TAIL = 3000
"""Characters of the output that an answer holds."""


class Planted(SourceFileLoader):
    """Loads a module with the fault in it, and never from a cache."""

    fault: Fault

    def get_code(self, fullname: str) -> Any:
        path = self.get_filename(fullname)
        return compile(plant(Path(path).read_text(), self.fault), path, "exec")


class Finder:
    """Finds the one module that has the fault; all others are found as always."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if name != self.fault.module:
            return None
        spec = PathFinder.find_spec(name, path, target)
        assert spec is not None
        assert spec.origin is not None
        spec.loader = Planted(name, spec.origin)
        spec.loader.fault = self.fault
        return spec


def run_tests(fault: Fault | None, tests: list[str]) -> int:
    """Run them in this process, which is a fork, and return pytest's status."""
    import pytest

    if fault is not None:
        sys.meta_path.insert(0, Finder(fault))
        importlib.import_module(fault.module)  # now: pytest's own finder, for its plugins' asserts, comes before others
    return int(pytest.main([*OPTIONS, *tests]))


def in_a_fork(fault: Fault | None, tests: list[str], seconds: float) -> dict[str, Any]:
    """Status (None: it was still running, and was killed), seconds, and the end of the output."""
    started = time.monotonic()
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            _be_child(fault, tests, output.fileno(), writing)
        os.close(writing)
        ended, _, _ = select.select([reading], [], [], seconds)
        said = os.read(reading, 16) if ended else b""
        os.close(reading)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        output.seek(0)
        text = output.read().decode(errors="replace")
    status = int(said) if said else (-1 if ended else None)
    return {"status": status, "seconds": time.monotonic() - started, "output": text[-TAIL:]}


def _be_child(fault: Fault | None, tests: list[str], output: int, writing: int) -> None:
    status = 70
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        status = run_tests(fault, tests)
    except BaseException:  # noqa: BLE001 - a fork must not go on as its parent
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os.write(writing, str(status).encode())
        os._exit(0)


def main() -> None:
    for name in LOADED:
        importlib.import_module(name)
    assert "peeklock" not in sys.modules, "the fault is planted when its module is loaded"
    for line in sys.stdin:
        request = json.loads(line)
        planted = request["fault"]
        fault = None if planted is None else Fault(**planted)
        print(json.dumps(in_a_fork(fault, request["tests"], request["seconds"])), flush=True)


if __name__ == "__main__":
    main()

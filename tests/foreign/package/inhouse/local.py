"""Runs bound functions under `peeklock dev`: each consumed queue is a named pipe, which a process reads line by line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from peeklock.dev.discovery import Discovery
from peeklock.dev.functions import RunningFunctions
from peeklock.dev.runner import RunContext, queues_of
from peeklock.platform_registry import load_target


class PipeRunner:
    """Starts one process for each bound function. A queue that none consumes is a file."""

    platform = "spool"

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._addresses: dict[str, str] = {}
        self._functions = RunningFunctions()

    def open(self) -> None:
        """Start nothing: pipes need no emulator."""

    def make(self, discovery: Discovery) -> None:
        for queue, entry in queues_of(discovery, discovery.entries(self.platform)):
            path = self._path(queue.name)
            if entry is not None and not path.exists():
                os.mkfifo(path)
            self._addresses[queue.variable("URL")] = f"spool://{path}"
            self._addresses[queue.variable("DEAD_LETTER")] = f"spool://{path}-dead"

    def serve(self, discovery: Discovery, variables_across: Mapping[str, str]) -> None:
        environ = {**os.environ, **self._context.variables(self.platform), **self._addresses, **variables_across}
        self._functions.replace(
            [
                Function([f"{entry.module}:{entry.name}", entry.queue, str(self._path(entry.queue))], environ)
                for entry in discovery.entries(self.platform)
            ],
            stop_first=True,
        )

    def variables(self) -> Mapping[str, str]:
        return self._addresses

    def close(self) -> None:
        self._functions.stop()

    def _path(self, queue: str) -> Path:
        return self._context.state / f"spool-{queue}"


class Function:
    """A bound function in a process of its own."""

    def __init__(self, arguments: Sequence[str], environ: Mapping[str, str]) -> None:
        self._command = [sys.executable, "-m", "inhouse.local", *arguments]
        self._environ = environ

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, env=self._environ)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


def work(target: str, queue: str, path: str) -> None:
    """Call a bound function with each line of a pipe, until the process ends."""
    entry = load_target(target)
    with os.fdopen(os.open(path, os.O_RDWR), "rb") as pipe:
        for line in pipe:
            entry({"spool": queue, "lines": [line.decode().rstrip("\n")]})


if __name__ == "__main__":
    work(*sys.argv[1:])

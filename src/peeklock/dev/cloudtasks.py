"""Cloud Tasks and functions-framework."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cloudqueues.cloudtasks import CloudTasksEmulator
from cloudqueues.errors import CloudqueuesError
from peeklock.dev import framework
from peeklock.dev.runner import Discovery, Entry, RunContext, queues_of
from peeklock.errors import PeeklockError
from peeklock.queue import Queue

PLACE = "projects/dev/locations/local"

CALLER = "tasks@dev.iam.gserviceaccount.com"
"""The service account in whose name the emulator calls each function."""

START_SECONDS, STOP_SECONDS = 30, 5


class CloudTasks:
    """One functions-framework for each bound handler. Dead letters go to a file, as there is no dead-letter queue."""

    platform = "cloudtasks"

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._emulator = CloudTasksEmulator()
        self._client: Any = None
        self._ports: dict[str, int] = {}
        self._made: set[str] = set()
        self._addresses: dict[str, str] = {}
        self._admitted: dict[str, str] = {}
        """Whom each function admits, by variable."""
        self._targets: list[Target] = []

    def open(self) -> None:
        self._client = self._emulator.start().client()

    def make(self, found: Discovery) -> None:
        for queue, entry in queues_of(found, found.cloudtasks):
            self._make(queue, entry)

    def serve(self, found: Discovery, variables_across: Mapping[str, str]) -> None:
        self._stop_targets()
        environ = {**os.environ, **self._context.variables(self.platform), **self.variables(), **variables_across}
        environ |= {**self._admitted, "PEEKLOCK_CERTS_URL": self._emulator.certs_url, "WORKERS": "1", "THREADS": "8"}
        for entry in found.cloudtasks:
            target = Target(
                entry.file,
                entry.name,
                self._ports[entry.queue],
                environ,
                cwd=self._context.project.root,
                on_line=lambda line: self._context.on_line(self.platform, line),
            )
            self._targets.append(target)
        for target in self._targets:
            target.wait()

    def _make(self, queue: Queue, entry: Entry | None) -> None:
        """A queue that nobody here consumes is a file: a task needs a target."""
        dead_letters = f"file://{self._context.state}/{self.platform}-{queue.name}-dead.jsonl"
        self._addresses[queue.variable("DEAD_LETTER")] = dead_letters
        if entry is None:
            address = f"file://{self._context.state}/{self.platform}-{queue.name}.jsonl"
        else:
            port = self._ports.setdefault(queue.name, free_port())
            target = f"http://127.0.0.1:{port}/"
            address = f"cloudtasks://{PLACE}/queues/{queue.name}?target={target}&service_account={CALLER}"
            self._admitted |= {queue.variable("AUDIENCE"): target, queue.variable("SERVICE_ACCOUNT"): CALLER}
            self._create(queue.name)
        self._addresses[queue.variable("URL")] = address

    def _create(self, name: str) -> None:
        if name in self._made:
            return
        self._client.create_queue(parent=PLACE, queue={"name": f"{PLACE}/queues/{name}"})
        self._made.add(name)

    def variables(self) -> Mapping[str, str]:
        return {"CLOUD_TASKS_EMULATOR_HOST": self._emulator.address, **self._addresses}

    def _stop_targets(self) -> None:
        for target in self._targets:
            target.stop()
        self._targets.clear()

    def close(self) -> None:
        self._stop_targets()
        self._emulator.stop()


class Target:
    """One function under functions-framework, in a process of its own that serves with `WORKERS` processes of `THREADS`
    threads, both of its environment; those that die are replaced."""

    def __init__(
        self,
        file: str,
        name: str,
        port: int,
        environ: Mapping[str, str],
        *,
        cwd: Path,
        on_line: Callable[[str], None],
    ) -> None:
        """`file` has the function `name`. `on_line` hears, in a thread, each line that is printed."""
        self._function = f"{file}:{name}"
        self._port = port
        self._on_line = on_line
        self._command = [sys.executable, "-P", framework.__file__, "--source", file, "--target", name]
        self._command += ["--host", "127.0.0.1", "--port", str(port)]
        self._cwd, self._environ = cwd, environ
        self._lock = threading.Lock()
        self._stopped = False
        self._serves = False
        self._begin()

    def _begin(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            self._command,
            cwd=self._cwd,
            env=self._environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a Ctrl-C is for `peeklock dev`, which then ends it
        )
        self._lines = threading.Thread(target=self._read, args=(self._process,), name="peeklock-dev-lines", daemon=True)
        self._lines.start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        """Each line until it ends; one that served and ends by itself, as a server does that cannot replace its worker, is
        started again, as the cloud would."""
        for line in process.stdout or ():
            self._on_line(line.rstrip("\n"))
        status = process.wait()
        _close(process)
        with self._lock:
            if self._stopped or not self._serves:
                return
            self._serves = False
            self._on_line(f"{self._function}: its process ended, with exit status {status}; it starts again")
            self._begin()
        try:
            self.wait()
        except (PeeklockError, CloudqueuesError) as exc:
            if not self._stopped:
                self._on_line(str(exc))

    def wait(self) -> None:
        """Until it takes connections. Raises PeeklockError when it ends instead."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
                self._serves = True
                return
            time.sleep(0.02)  # no event tells of another process's socket
        raise PeeklockError(f"{self._function} did not start; its own words are above")

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, 9)
            self._process.wait()
        self._lines.join(STOP_SECONDS)
        _close(self._process)


def _close(process: subprocess.Popen[str]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])

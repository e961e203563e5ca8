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
from functools import partial
from pathlib import Path
from typing import Any

from cloudqueues.cloudtasks import CloudTasksEmulator
from cloudqueues.errors import CloudqueuesError
from peeklock.dev import framework
from peeklock.dev.discovery import Discovery, Entry
from peeklock.dev.functions import RunningFunctions
from peeklock.dev.runner import RunContext, queues_of
from peeklock.errors import PeeklockError
from peeklock.queue import Queue

PLATFORM = "cloudtasks"

PARENT = "projects/dev/locations/local"

CALLER = "tasks@dev.iam.gserviceaccount.com"
"""Service account in whose name the emulator calls each function."""

START_SECONDS, STOP_SECONDS = 30, 5


class CloudTasks:
    """One functions-framework for each bound handler. Dead letters go to a file, as there is no dead-letter queue."""

    platform = PLATFORM

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._emulator = CloudTasksEmulator()
        self._client: Any = None
        self._ports: dict[str, int] = {}
        """Port of each queue's function, which is part of the queue's address."""
        self._created: set[str] = set()
        self._addresses: dict[str, str] = {}
        self._audiences: dict[str, str] = {}
        """Audience and service account that each function admits, by variable."""
        self._functions = RunningFunctions()

    def open(self) -> None:
        self._client = self._emulator.start().client()

    def make(self, discovery: Discovery) -> None:
        for queue, entry in queues_of(discovery, discovery.entries(self.platform)):
            self._make(queue, entry)

    def serve(self, discovery: Discovery, variables_across: Mapping[str, str]) -> None:
        environ = {**os.environ, **self._context.variables(self.platform), **self.variables(), **variables_across}
        environ |= {**self._audiences, "PEEKLOCK_CERTS_URL": self._emulator.certs_url, "WORKERS": "1", "THREADS": "8"}
        targets = [
            Target(
                entry.file,
                entry.name,
                self._ports[entry.queue],
                environ,
                cwd=self._context.project.root,
                on_line=partial(self._context.on_line, self.platform),
            )
            for entry in discovery.entries(self.platform)
        ]
        self._functions.replace(targets, stop_first=True)

    def _make(self, queue: Queue, entry: Entry | None) -> None:
        """Create the queue. A queue that this platform does not consume is a file, since a task needs a target."""
        dead_letters = f"file://{self._context.state}/{self.platform}-{queue.name}-dead-letters.jsonl"
        self._addresses[queue.variable("DEAD_LETTER")] = dead_letters
        if entry is None:
            address = f"file://{self._context.state}/{self.platform}-{queue.name}.jsonl"
        else:
            port = self._ports.setdefault(queue.name, free_port())
            target = f"http://127.0.0.1:{port}/"
            address = f"cloudtasks://{PARENT}/queues/{queue.name}?target={target}&service_account={CALLER}"
            self._audiences |= {queue.variable("AUDIENCE"): target, queue.variable("SERVICE_ACCOUNT"): CALLER}
            self._create(queue.name)
        self._addresses[queue.variable("URL")] = address

    def _create(self, name: str) -> None:
        if name in self._created:
            return
        self._client.create_queue(parent=PARENT, queue={"name": f"{PARENT}/queues/{name}"})
        self._created.add(name)

    def variables(self) -> Mapping[str, str]:
        return {"CLOUD_TASKS_EMULATOR_HOST": self._emulator.address, **self._addresses}

    def close(self) -> None:
        self._functions.stop()
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
        """`file` has the function `name`. `on_line` is called, in a thread, with each line that is printed."""
        self._function = f"{file}:{name}"
        self._port = port
        self._on_line = on_line
        self._command = [sys.executable, "-P", framework.__file__, "--source", file, "--target", name]
        self._command += ["--host", "127.0.0.1", "--port", str(port)]
        self._cwd, self._environ = cwd, environ
        self._lock = threading.Lock()
        self._stopped = False
        self._serves = False
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the process, and wait until it takes connections. Raises PeeklockError when it ends instead."""
        with self._lock:
            process = self._begin()
        self._wait(process)

    def _begin(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(  # noqa: S603 - our own module
            self._command,
            cwd=self._cwd,
            env=self._environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a Ctrl-C is for `peeklock dev`, which then ends it
        )
        self._process = process
        self._lines = threading.Thread(target=self._read, args=(process,), name="peeklock-dev-lines", daemon=True)
        self._lines.start()
        return process

    def _read(self, process: subprocess.Popen[str]) -> None:
        """Read each line until the process ends. One that served and ends by itself, as a server does that cannot replace
        its worker, is started again, as the cloud would."""
        for line in process.stdout or ():
            self._on_line(line.rstrip("\n"))
        status = process.wait()
        _close(process)
        with self._lock:
            if self._stopped or not self._serves:
                return
            self._serves = False
            self._on_line(f"{self._function}: its process ended, with exit status {status}; it starts again")
            process = self._begin()
        try:
            self._wait(process)
        except (PeeklockError, CloudqueuesError) as exc:
            if not self._stopped:
                self._on_line(str(exc))

    def _wait(self, process: subprocess.Popen[str]) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
                self._serves = True
                return
            time.sleep(0.02)  # another process's socket gives no notification
        raise PeeklockError(f"{self._function} did not start; what it printed is above")

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
        self._lines.join(STOP_SECONDS)
        _close(process)


def _close(process: subprocess.Popen[str]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def free_port() -> int:
    """Return a port on loopback that nothing listens to."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])

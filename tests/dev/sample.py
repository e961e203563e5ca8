"""A small project, and `peeklock dev` running in it."""

from __future__ import annotations

import json
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cloudqueues.shutdown import Wakeup
from peeklock.dev.discovery import Discovery, discover
from peeklock.dev.project import Project

FILES = {
    "pyproject.toml": """
[tool.peeklock.dev]
sqs = ["app.aws:handler"]
servicebus = "azure"
cloudtasks = ["app.gcp:handle_http"]
""",
    "app/__init__.py": "",
    "app/orders.py": """
from peeklock import Queue, consumer

ORDERS = Queue("orders", max_attempts=2, timeout=5, first_delay=1, max_delay=1)
AUDIT = Queue("audit")

@consumer(ORDERS, key="id")
def handle(order: dict) -> None:
    print("handling", order["id"])
    if order["id"] == "bad":
        raise ValueError("no")
""",
    "app/aws.py": "from app.orders import handle\nfrom peeklock import sqs\n\nhandler = sqs.bind(handle)\n",
    "app/gcp.py": "from app.orders import handle\nfrom peeklock import cloudtasks\n\nhandle_http = cloudtasks.bind(handle)\n",
    "azure/host.json": (
        '{"version": "2.0",'
        ' "extensionBundle": {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"}}'
    ),
    "azure/function_app.py": """
import azure.functions as func

from app.orders import handle
from peeklock import servicebus

app = func.FunctionApp()
servicebus.bind(handle, app=app)
""",
}

SECONDS = 60


def write(root: Path, **changed: str) -> Path:
    """The project in a folder; `changed`: texts by file names with `__` for `/` and without `.py`."""
    for name, text in FILES.items():
        file = root / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(changed.get(name.removesuffix(".py").replace("/", "__"), text))
    return root


def command(root: Path, *words: str, stdin: bytes = b"", **variables: str) -> subprocess.CompletedProcess[bytes]:
    """`peeklock WORDS` in a folder. `variables` are added to the environment."""
    return subprocess.run(
        [sys.executable, "-m", "peeklock.cli", *words],
        cwd=root,
        env={**os.environ, **variables},
        input=stdin,
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )


class Running:
    """`peeklock dev --json` and what it says."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.said: list[dict[str, Any]] = []
        self._lines: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self._lines.put(json.loads(line))
        self._lines.put(None)

    def until(self, kind: str, **fields: Any) -> Any:
        """The first that was not read yet, of a kind, with these fields; a `say` or a `line` by a part of its text."""
        until = time.monotonic() + SECONDS
        while (entry := self._next(until)) is not None:
            self.said.append(entry)
            if _fits(entry, kind, fields):
                return entry[kind]
        raise AssertionError(f"it ended without {kind} {fields}: {self.said[-20:]}")

    def until_all(self, *wanted: tuple[str, dict[str, Any]]) -> None:
        """Until each of these kinds, with its fields, was seen, in any order; what is wanted twice was seen twice."""
        missing = list(wanted)
        until = time.monotonic() + SECONDS
        while missing and (entry := self._next(until)) is not None:
            self.said.append(entry)
            seen = [each for each in missing if _fits(entry, *each)][:1]
            missing = [each for n, each in enumerate(missing) if not seen or n != missing.index(seen[0])]
        assert missing == [], f"it ended without {missing}: {self.said[-20:]}"

    def _next(self, until: float) -> dict[str, Any] | None:
        try:
            return self._lines.get(timeout=max(until - time.monotonic(), 0))
        except queue.Empty:
            raise AssertionError(f"nothing came after {self.said[-20:]}") from None

    def end(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        code = self.process.wait(SECONDS)
        self._thread.join(SECONDS)
        return code


def _fits(entry: dict[str, Any], kind: str, fields: dict[str, Any]) -> bool:
    shown = entry.get(kind)
    if shown is None or isinstance(shown, str):
        return shown is not None and fields["text"] in shown
    return all(str(value) in str(shown.get(name)) for name, value in fields.items())


@contextmanager
def dev(root: Path, *words: str, **variables: str) -> Iterator[Running]:
    """Killed at the end, where a test did not end it. `variables` are added to the environment."""
    process = subprocess.Popen(
        [sys.executable, "-m", "peeklock.cli", "dev", "--json", *words],
        cwd=root,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": "", **variables},
    )
    running = Running(process)
    try:
        running.until("ready", next_step="")
        yield running
    finally:
        if process.poll() is None:
            running.end(signal.SIGTERM)
        assert process.stdout is not None
        process.stdout.close()


def datagram(host: str, port: int, data: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(data, (host, port))


def discovered(project: Project) -> Discovery:
    return discover(project)


def readable(wakeup: Wakeup, seconds: float) -> bool:
    """Return whether something came within a time."""
    return bool(select.select([wakeup._out], [], [], seconds)[0])


def processes(root: Path) -> Sequence[int]:
    """Those that run in the project's folder, by what the system says of them."""
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                inside = (entry / "cwd").readlink().is_relative_to(root)
            except OSError:
                continue
            if inside and (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                pids.append(int(entry.name))
    return pids

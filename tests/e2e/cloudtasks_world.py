"""Cloud Tasks with peeklock's handler under functions-framework behind it, each in its place."""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from cloudqueues.cloudtasks import CloudTasksEmulator, Dispatch
from cloudqueues.faults import NO_FAULTS, Faults
from peeklock.dev.cloudtasks import Target, free_port
from peeklock.outgoing import OutgoingMessage
from peeklock.platforms.cloudtasks.sender import headers_of
from peeklock.sending import file
from tests.support import ROOT

APP = Path(__file__).parent / "cloudtasks_app"
PLACE = "projects/p/locations/l"
QUEUE = f"{PLACE}/queues/orders"
TOKEN = {"service_account_email": "invoker@p.iam.gserviceaccount.com", "audience": "https://orders.example.com"}
SECONDS = 30
"""Longest wait in real time, for what takes milliseconds on an idle machine."""


class World:
    """One worker with one store: a SQLite file. It ends with the stack."""

    def __init__(self, folder: Path, stack: ExitStack, *, threads: int = 4) -> None:
        self._folder = folder
        self._gate = folder / "gate"
        os.mkfifo(self._gate)
        self._ahead(0)
        self.emulator = stack.enter_context(CloudTasksEmulator())
        self.client = self.emulator.client()
        retry = {"max_attempts": -1, "min_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=0.5)}
        self.client.create_queue(parent=PLACE, queue={"name": QUEUE, "retry_config": retry})
        port = free_port()
        self.target = f"http://127.0.0.1:{port}/"
        self.lines: list[str] = []
        """Lines that the function printed."""
        environ = {**os.environ, **self._variables(), "WORKERS": "1", "THREADS": str(threads)}
        main = str(APP / "main.py")
        function = Target(main, "handle_http", port, environ, cwd=folder, on_line=self.lines.append)
        stack.callback(function.stop)
        function.start()

    @property
    def url(self) -> str:
        account, audience = TOKEN["service_account_email"], TOKEN["audience"]
        return f"cloudtasks://{QUEUE}?target={self.target}&service_account={account}&audience={audience}"

    def _variables(self) -> Mapping[str, str]:
        return {
            "CLOUD_TASKS_EMULATOR_HOST": self.emulator.address,
            "E2E_CERTS_URL": self.emulator.certs_url,
            "E2E_FOLDER": str(self._folder),
            "PEEKLOCK_STORE": f"sqlite://{self._folder}/keys.db",
            "PEEKLOCK_ORDERS_URL": self.url,
            "PEEKLOCK_ORDERS_DEAD_LETTER": f"file://{self._folder}/dead-letters.jsonl",
            "PEEKLOCK_ORDERS_AUDIENCE": TOKEN["audience"],
            "PEEKLOCK_ORDERS_SERVICE_ACCOUNT": TOKEN["service_account_email"],
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
        }

    def send(self, name: str, do: str = "") -> str:
        """Send an order and return the name of its task."""
        return self.create(body(name, do), {"content-type": "application/json"})

    def create(self, text: bytes, headers: Mapping[str, str], **more: Any) -> str:
        http = {"url": self.target, "body": text, "headers": dict(headers), "oidc_token": TOKEN, **more}
        return str(self.client.create_task(parent=QUEUE, task={"http_request": http}).name)

    def redrive(self, dead_letter: OutgoingMessage) -> str:
        """Send a dead letter again as it is, body and headers, and return the name of the task."""
        return self.create(dead_letter.body, headers_of(dead_letter))

    def idle(self) -> None:
        """Wait until all that was sent is handled."""
        self.emulator.wait_idle(SECONDS)

    def dispatches(self, task: str) -> Sequence[Dispatch]:
        return [dispatch for dispatch in self.emulator.dispatches if dispatch.task == task]

    def statuses(self, task: str) -> Sequence[int]:
        """Return the statuses of the task's dispatches, in order."""
        return [dispatch.status for dispatch in self.dispatches(task)]

    def wait_for(self, task: str, *statuses: int) -> None:
        """Until it was answered with each of them."""
        wanted = set(statuses)
        self.emulator.wait_for(
            lambda ended: wanted <= {dispatch.status for dispatch in ended if dispatch.task == task}, SECONDS
        )

    @contextmanager
    def inside(self) -> Generator[None, None, None]:
        """While a handler waits at the gate."""
        with self._gate.open("wb"):  # which waits for it
            yield

    @contextmanager
    def faults(self, faults: Faults) -> Generator[None, None, None]:
        self.emulator.faults = faults
        try:
            yield
        finally:
            self.emulator.faults = NO_FAULTS

    @contextmanager
    def hasty(self) -> Generator[None, None, None]:
        """While the function is told of a dispatch deadline in which no message can be handled."""
        mark = self._folder / "hasty"
        mark.touch()
        try:
            yield
        finally:
            mark.unlink()

    def outlive_claims(self) -> None:
        """Move the function's clock on: what its processes have claimed so far is over."""
        self._ahead(float((self._folder / "ahead").read_text()) + 3600)

    def _ahead(self, seconds: float) -> None:
        new = self._folder / "ahead.new"
        new.write_text(str(seconds))
        new.replace(self._folder / "ahead")  # never read half written

    def runs(self, name: str, what: str = "begin") -> Sequence[Mapping[str, Any]]:
        """Return what the handler noted, in order."""
        path = self._folder / "runs"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in map(json.loads, lines) if line["order"] == name and line["what"] == what]

    def attempts(self, name: str) -> Sequence[int]:
        return [run["attempt"] for run in self.runs(name)]

    def dead_letters(self, text: bytes) -> Sequence[OutgoingMessage]:
        path = self._folder / "dead-letters.jsonl"
        return [message for message in file.read(str(path)) if message.body == text] if path.exists() else []


def body(name: str, do: str) -> bytes:
    return json.dumps({"order_id": name, "do": do}).encode()

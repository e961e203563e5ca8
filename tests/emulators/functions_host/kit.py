"""Test kit of the Functions host: a Service Bus, an app that takes notes, and a host between them."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from azure.servicebus import ServiceBusClient, ServiceBusMessage

from cloudqueues.functions_host import FunctionsHost
from cloudqueues.servicebus import ServiceBusEmulator

BUNDLE = {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"}
APPS = Path(__file__).with_name("apps")
DEAD_LETTERS = "/$DeadLetterQueue"


def hosts_threads() -> set[threading.Thread]:
    """Return the threads of all hosts, including those of other tests that are still closing."""
    return {
        thread
        for thread in threading.enumerate()
        if thread.name.startswith(("cloudqueues-functions", "cloudqueues-settlement"))
    }


def host_json(**more: Any) -> str:
    """Return a minimal `host.json` with `more`."""
    return json.dumps({"version": "2.0", "extensionBundle": BUNDLE, **more})


class Stage:
    """Starts hosts for a test, and stops everything at its end."""

    def __init__(self, folder: Path) -> None:
        self.notes = folder / "notes.jsonl"
        self.app = folder / "app"
        self._stack = ExitStack()
        self.bus: ServiceBusEmulator
        self.host: FunctionsHost

    def open(self) -> Self:
        self.bus = self._stack.enter_context(ServiceBusEmulator())
        for name in ("orders", "texts", "batches"):
            self.bus.add_queue(name, max_delivery_count=3)
        self.bus.add_queue("sessions", requires_session=True, max_delivery_count=3)
        self.bus.add_topic("news")
        self.bus.add_subscription("news", "all")
        return self

    def close(self) -> None:
        self._stack.close()

    def place(self, name: str = "plain", **files: str) -> Path:
        """Copy an app, which the test may then change."""
        shutil.copytree(APPS / name, self.app, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        for file, text in {"host__json": host_json(), **files}.items():
            (self.app / file.replace("__", ".")).write_text(text)
        return self.app

    def make(self, *only: str, app: str = "plain", bus: dict[str, Any] | None = None, **more: Any) -> FunctionsHost:
        """Return a host that is not started. `only`: its functions. `bus`: the extension's part of `host.json`."""
        if not self.app.exists():
            self.place(app)
        if bus is not None:
            (self.app / "host.json").write_text(host_json(extensions={"serviceBus": bus}))
        environ = {"ONLY": ",".join(only), "QUEUE": "orders", "NOTES": str(self.notes), **more.pop("environ", {})}
        more.setdefault("servicebus", self.bus.connection_string)
        self.host = FunctionsHost(self.app, environ=environ, **more)
        return self.host

    def run(self, *only: str, **more: Any) -> FunctionsHost:
        return self._stack.enter_context(self.make(*only, **more))

    def send(self, queue: str, *bodies: str | bytes | ServiceBusMessage, topic: bool = False) -> None:
        """Send messages with the real client, in one batch."""
        messages = [body if isinstance(body, ServiceBusMessage) else ServiceBusMessage(body) for body in bodies]
        client = ServiceBusClient.from_connection_string(self.bus.connection_string, retry_total=0)
        self._stack.callback(client.close)
        sender = client.get_topic_sender(queue) if topic else client.get_queue_sender(queue)
        self._stack.callback(sender.close)  # the client only knows those that are still referred to
        sender.send_messages(messages)

    def noted(self, what: str) -> Sequence[Any]:
        """Return the notes of the functions, one entry a call."""
        if not self.notes.exists():
            return []
        lines = [json.loads(line) for line in self.notes.read_text().splitlines()]
        return [line for line in lines if line["what"] == what]

    def until_noted(self, what: str) -> None:
        """Wait for a function's note. It runs in another process, so this polls."""
        while not self.noted(what):
            time.sleep(0.01)

    def until_empty(self, queue: str) -> None:
        """Wait until a queue is empty, for a minute at most."""
        end = time.monotonic() + 60
        while self.left(queue):
            assert time.monotonic() < end, self.bus.messages(queue)
            time.sleep(0.05)

    def left(self, path: str) -> list[bytes]:
        return [message.body for message in self.bus.messages(path)]

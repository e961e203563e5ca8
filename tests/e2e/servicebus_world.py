"""A Service Bus and peeklock's handlers in the real Functions worker, for the tests that send to them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusReceivedMessage

from cloudqueues.functions_host import FunctionsHost, Invocation
from cloudqueues.servicebus import ServiceBusEmulator
from tests.support import ROOT

APP = Path(__file__).with_name("servicebus_app")
QUEUES = ("orders", "parts", "lines")
LOCK = 3
"""Seconds that a message is locked, as the functions know it: half a second to run, a second to record, and time for a
slow machine."""

PATIENCE = 60


class World:
    """Queues, their dead letters, and peeklock's handlers between them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.bus = stack.enter_context(ServiceBusEmulator())
        self.evidence = folder / "evidence.jsonl"
        environ = {
            "PEEKLOCK_STORE": f"sqlite://{folder}/keys.db",
            "EVIDENCE": str(self.evidence),
            "PYTHONPATH": str(ROOT / "src"),
        }
        for name in QUEUES:
            self.bus.add_queue(name, requires_session=name == "lines", max_delivery_count=100)
            self.bus.add_queue(f"{name}-dead")
            environ |= {
                f"PEEKLOCK_{name.upper()}_URL": f"sb://127.0.0.1/{name}",
                f"PEEKLOCK_{name.upper()}_DEAD_LETTER": f"sb://127.0.0.1/{name}-dead",
                f"PEEKLOCK_{name.upper()}_LOCK": str(LOCK),
            }
        self.client = stack.enter_context(ServiceBusClient.from_connection_string(self.bus.connection_string))
        self._senders = {name: stack.enter_context(self.client.get_queue_sender(name)) for name in QUEUES}
        self.host = stack.enter_context(
            FunctionsHost(APP, servicebus=self.bus.connection_string, environ=environ),
        )

    def send(self, queue: str, *messages: ServiceBusMessage) -> None:
        """In one batch."""
        self._senders[queue].send_messages(list(messages))

    def wait_done(self, *names: str) -> None:
        """Until invocations for these message ids have gone well."""
        self.host.wait_for(
            lambda ended: (
                {message_id for done in ended if done.outcome == "ok" for message_id in done.message_ids} >= {*names}
            ),
            PATIENCE,
        )

    def wait_failed(self, name: str) -> None:
        """Until it was begun, and came back."""

        def holds(ended: Sequence[Invocation]) -> bool:
            return bool(self.runs(name)) and any(
                invocation.outcome == "failed" and name in invocation.message_ids for invocation in ended
            )

        self.host.wait_for(holds, PATIENCE)

    def dead_letters(self, queue: str, count: int) -> dict[str, ServiceBusReceivedMessage]:
        """Receive and complete dead letters, and return them by body."""
        with self.client.get_queue_receiver(f"{queue}-dead") as receiver:
            messages: dict[str, ServiceBusReceivedMessage] = {}
            while len(messages) < count:
                for received in receiver.receive_messages(max_message_count=count, max_wait_time=PATIENCE):
                    messages[str(received)] = received
                    receiver.complete_message(received)
        return messages

    def scheduled(self) -> dict[str, datetime]:
        """When copies are to appear, by body."""
        return {str(copy): copy.scheduled_enqueue_time_utc for copy in self._copies()}

    def scheduled_ids(self) -> list[str]:
        return [str(copy.message_id) for copy in self._copies()]

    def _copies(self) -> list[ServiceBusReceivedMessage]:
        with self.client.get_queue_receiver("orders") as receiver:
            peeked = receiver.peek_messages(max_message_count=100)
        return [message for message in peeked if message.scheduled_enqueue_time_utc]

    def runs(self, name: str, what: str = "begin") -> Sequence[Mapping[str, Any]]:
        return [line for line in self.noted() if line["order"] == name and line["what"] == what]

    def noted(self) -> Sequence[Mapping[str, Any]]:
        return [json.loads(line) for line in self.evidence.read_text().splitlines()]

    def invocations(self, name: str) -> Sequence[Invocation]:
        return [invocation for invocation in self.host.invocations if name in invocation.message_ids]


def body(name: str, do: str | None = None) -> str:
    return json.dumps({"order_id": name, "do": do})


def message(name: str, do: str | None = None, session: str | None = None) -> ServiceBusMessage:
    return ServiceBusMessage(body(name, do), message_id=name, session_id=session)


def told(dead_letter: ServiceBusReceivedMessage, name: str) -> str:
    value = (dead_letter.application_properties or {})[f"peeklock-{name}".encode()]
    assert isinstance(value, bytes), value
    return value.decode()

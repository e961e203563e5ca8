"""The soak on Service Bus and the Functions host."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from itertools import groupby
from pathlib import Path

from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusReceivedMessage, ServiceBusReceiver
from azure.servicebus.exceptions import ServiceBusError

from cloudqueues.faults import NO_FAULTS, Faults
from cloudqueues.functions_host import FunctionsHost
from cloudqueues.servicebus import ServiceBusEmulator
from tests.soak.plan import Planned
from tests.soak.run import APP, StoredDeadLetter, opened

LOCK_SECONDS = 5
INSTANCES = 3
"""Instances of the function app, as when it is scaled out: a process that dies takes some seconds to come again, and so
the others go on meanwhile, and meet its messages."""

MANY = 2000
"""Deliveries until Service Bus itself moves a message away: peeklock counts attempts, and a busy message is none."""

ADDRESSES = {
    "PEEKLOCK_ORDERS_URL": "sb://127.0.0.1/orders",
    "PEEKLOCK_ORDERS_DEAD_LETTER": "sb://127.0.0.1/orders-dead",
    "PEEKLOCK_ORDERS_LOCK": str(LOCK_SECONDS),
    "SOAK_LIMIT": str(LOCK_SECONDS),
}
"""The host is the connection string's."""

FEW, MOST = 50, 0.2
"""Dead letters that are read at once, and the seconds that may take."""

PATIENCE = 60
"""Seconds in which what the faults refuse is tried again."""


class Azure:
    """A queue, its dead letters, and the function app, each instance of which may be killed."""

    groups = True

    def __init__(self, folder: Path, environ: Mapping[str, str], seed: int, *, fifo: bool) -> None:
        self._stack = ExitStack()
        self.bus = ServiceBusEmulator(
            faults=Faults(seed=seed, duplicate=0.02, reorder=0.02, delay=0.02, drop=0.01, refuse=0.01, lose_lock=0.01)
        )
        self.bus.add_queue("orders", lock_duration=LOCK_SECONDS, max_delivery_count=MANY, requires_session=fifo)
        self.bus.add_queue("orders-dead", lock_duration=LOCK_SECONDS, max_delivery_count=MANY)
        self._stack.enter_context(self.bus)
        self.hosts = [self._host(environ, seed) for _ in range(INSTANCES)]
        self._client = ServiceBusClient.from_connection_string(self.bus.connection_string, retry_backoff_factor=0.05)
        self._stack.enter_context(self._client)
        self._orders = self._stack.enter_context(self._client.get_queue_sender("orders"))
        self._dead_letters = self._listen()

    def _host(self, environ: Mapping[str, str], seed: int) -> FunctionsHost:
        host = FunctionsHost(
            APP,
            servicebus=self.bus.connection_string,
            environ={**environ, **ADDRESSES},
            faults=Faults(seed=seed, duplicate=0.02, delay=0.02, drop=0.01, kill=0.01, lose_lock=0.01),
        )
        return self._stack.enter_context(host)

    def send(self, planned: Sequence[Planned]) -> None:
        """A batch for each group, whose messages keep their order; what was sent in vain is sent again."""
        for group, members in groupby(
            sorted(planned, key=lambda message: message.group or ""), lambda message: message.group
        ):
            batch = [ServiceBusMessage(message.body, message_id=message.key, session_id=group) for message in members]
            self._insist(partial(self._orders.send_messages, batch))

    def _insist(self, act: Callable[[], object]) -> None:
        """The client tries again by itself; with so many faults that is sometimes not enough."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                act()
                return
            except ServiceBusError:
                if time.monotonic() > end:
                    raise

    def dead_letters(self) -> Sequence[StoredDeadLetter]:
        """One whose completion fails comes again, and is told twice."""
        taken: list[StoredDeadLetter] = []
        while batch := self._receive():
            for received in batch:
                taken.append(opened(b"".join(received.body), texts(received), received))
                with suppress(ServiceBusError):
                    self._dead_letters.complete_message(received)
        return taken

    def _receive(self) -> Sequence[ServiceBusReceivedMessage]:
        try:
            return self._dead_letters.receive_messages(max_message_count=FEW, max_wait_time=MOST)
        except ServiceBusError:
            self._dead_letters.close()
            self._dead_letters = self._listen()
            return []

    def _listen(self) -> ServiceBusReceiver:
        """Connected: the receiver itself would connect within the time of one read, which is too short for that."""
        receiver = self._client.get_queue_receiver("orders-dead")
        self._insist(receiver.__enter__)
        return receiver

    def redrive(self, dead_letter: StoredDeadLetter) -> None:
        """Without its id, for which the queue gives it another: one that detects duplicates may know the old one."""
        again = ServiceBusMessage(
            dead_letter.body,
            application_properties=dead_letter.raw.application_properties,
            session_id=dead_letter.raw.session_id,
            content_type=dead_letter.raw.content_type,
        )
        self._insist(partial(self._orders.send_messages, again))

    def calm(self) -> None:
        self.bus.faults = NO_FAULTS
        for host in self.hosts:
            host.faults = NO_FAULTS

    def killed(self) -> int:
        """The host kills nothing: a lock that is over is one whose message is delivered again."""
        return 0

    def close(self) -> None:
        """The client leaves broken lines to the garbage collector: it finds them now, while that is expected."""
        self._stack.close()
        gc.collect()


def texts(dead_letter: ServiceBusReceivedMessage) -> dict[str, str]:
    """The properties that are texts. The client gives them as bytes, and sends such bytes as texts again."""
    properties = dead_letter.application_properties or {}
    return {_text(name): _text(value) for name, value in properties.items() if isinstance(value, bytes | str)}


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value

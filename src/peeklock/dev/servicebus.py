"""Service Bus and the Functions host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cloudqueues.functions_host import FunctionsHost, Invocation
from cloudqueues.servicebus import ServiceBusEmulator
from peeklock.dev.azure_worker import check_installed
from peeklock.dev.runner import Discovery, RunContext, Trigger
from peeklock.queue import Queue
from peeklock.quotas.azure import DELIVERIES, LOCK_SECONDS

MIN_LOCK = 60.0
# Seconds: the service's default.
# https://learn.microsoft.com/azure/service-bus-messaging/message-transfers-locks-settlement

SPARE_SECONDS = 30

HOST = "127.0.0.1"
"""Of the addresses; the connection string says where the emulator really is."""


class ServiceBus:
    """One host for the project's function app."""

    platform = "servicebus"

    def __init__(self, context: RunContext) -> None:
        """Raises ConfigError where Azure's worker is not installed."""
        check_installed()
        self._context = context
        self._emulator = ServiceBusEmulator()
        self._host: FunctionsHost | None = None
        self._made: set[str] = set()
        self._addresses: dict[str, str] = {}

    def open(self) -> None:
        self._emulator.start()

    def make(self, found: Discovery) -> None:
        for queue in found.queues.values():
            self._make(queue, [one for one in found.servicebus if one.queue == queue.name])

    def serve(self, found: Discovery, variables_across: Mapping[str, str]) -> None:
        del found
        self._stop_host()
        folder = self._context.project.servicebus
        assert folder is not None, "a project without a function app has no such stand"
        environ = {**self._context.variables(self.platform), **self._addresses, **variables_across}
        host = FunctionsHost(folder, servicebus=self._emulator.connection_string, environ=environ)
        host.on_line(self._line)
        host.on_invocation(self._ended)
        self._host = host.start()

    def _make(self, queue: Queue, triggers: Sequence[Trigger]) -> None:
        """The queue, where its dead letters go, and the topics that its triggers listen to."""
        lock = min(max(queue.timeout.total_seconds() + SPARE_SECONDS, MIN_LOCK), LOCK_SECONDS)
        names = {one.queue_name or queue.name for one in triggers if one.topic_name is None} or {queue.name}
        for name in names:
            self._queue(name, lock, sessions=queue.fifo or any(one.sessions for one in triggers))
        self._queue(f"{queue.name}-dead", lock, sessions=False)
        for one in triggers:
            if one.topic_name is not None and one.subscription_name is not None:
                self._subscription(one.topic_name, one.subscription_name, lock, sessions=one.sessions)
        self._addresses |= {
            queue.variable("URL"): f"sb://{HOST}/{min(names)}",
            queue.variable("DEAD_LETTER"): f"sb://{HOST}/{queue.name}-dead",
            queue.variable("LOCK"): f"{lock:g}",
        }

    def _queue(self, name: str, lock: float, *, sessions: bool) -> None:
        if name not in self._made:
            self._emulator.add_queue(name, lock_duration=lock, max_delivery_count=DELIVERIES, requires_session=sessions)
            self._made.add(name)

    def _subscription(self, topic: str, name: str, lock: float, *, sessions: bool) -> None:
        if topic not in self._made:
            self._emulator.add_topic(topic)
            self._made.add(topic)
        if f"{topic}/{name}" not in self._made:
            self._emulator.add_subscription(
                topic, name, lock_duration=lock, max_delivery_count=DELIVERIES, requires_session=sessions
            )
            self._made.add(f"{topic}/{name}")

    def _ended(self, invocation: Invocation) -> None:
        """Say what no handler can say of itself: that its process ended."""
        if invocation.outcome == "killed":
            text = f"{invocation.function}: {invocation.error or 'its process ended'}; its messages come back"
            self._context.on_line(self.platform, text)

    def _line(self, _stream: str, line: str) -> None:
        self._context.on_line(self.platform, line)

    def variables(self) -> Mapping[str, str]:
        return {
            "PEEKLOCK_SERVICEBUS": self._emulator.connection_string,
            "PEEKLOCK_SERVICEBUS_ADMIN": self._emulator.admin_connection_string,
            "PEEKLOCK_SERVICEBUS_CERTIFICATE": str(self._emulator.certificate),
            **self._addresses,
        }

    def _stop_host(self) -> None:
        host, self._host = self._host, None
        if host is not None:
            host.stop()

    def close(self) -> None:
        self._stop_host()
        self._emulator.stop()

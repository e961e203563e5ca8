"""Service Bus and the Functions host."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cloudqueues.functions_host import FunctionsHost, Invocation
from cloudqueues.servicebus import ServiceBusEmulator
from peeklock.dev.azure_worker import check_installed
from peeklock.dev.discovery import Discovery
from peeklock.dev.functions import RunningFunctions
from peeklock.dev.runner import RunContext
from peeklock.platforms.servicebus.client import CONNECTION
from peeklock.queue import Queue
from peeklock.quotas.azure import DELIVERIES, LOCK_SECONDS

PLATFORM = "servicebus"

MIN_LOCK = 60.0
# Seconds: the service's default.
# https://learn.microsoft.com/azure/service-bus-messaging/message-transfers-locks-settlement

SPARE_SECONDS = 30

HOST = "127.0.0.1"
"""Host in the queues' addresses; the connection string says where the emulator really is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """A Service Bus trigger of the function app."""

    function: str
    queue: str
    queue_name: str | None
    topic_name: str | None
    subscription_name: str | None
    sessions: bool


class ServiceBus:
    """One host for the project's function app."""

    platform = PLATFORM

    def __init__(self, context: RunContext) -> None:
        """Raises ConfigError where Azure's worker is not installed."""
        check_installed()
        self._context = context
        self._emulator = ServiceBusEmulator()
        self._functions = RunningFunctions()
        self._created: set[str] = set()
        self._addresses: dict[str, str] = {}

    def open(self) -> None:
        self._emulator.start()

    def make(self, discovery: Discovery) -> None:
        triggers = [Trigger(**handler) for handler in discovery.described.get(self.platform, ())]
        for queue in discovery.queues.values():
            self._make(queue, [trigger for trigger in triggers if trigger.queue == queue.name])

    def serve(self, discovery: Discovery, variables_across: Mapping[str, str]) -> None:
        del discovery
        (folder,) = self._context.project.entries[self.platform]
        environ = {**self._context.variables(self.platform), **self._addresses, **variables_across}
        host = functions_host(Path(folder), self._emulator, environ, self._context.on_line)
        self._functions.replace([host])

    def _make(self, queue: Queue, triggers: Sequence[Trigger]) -> None:
        """Create the queue, its dead-letter queue, and the topics of its triggers."""
        lock = min(max(queue.timeout.total_seconds() + SPARE_SECONDS, MIN_LOCK), LOCK_SECONDS)
        names = {trigger.queue_name or queue.name for trigger in triggers if trigger.topic_name is None} or {queue.name}
        for name in names:
            self._queue(name, lock, sessions=queue.fifo or any(trigger.sessions for trigger in triggers))
        self._queue(f"{queue.name}-dead-letters", lock, sessions=False)
        for trigger in triggers:
            if trigger.topic_name is not None and trigger.subscription_name is not None:
                self._subscription(trigger.topic_name, trigger.subscription_name, lock, sessions=trigger.sessions)
        self._addresses |= {
            queue.variable("URL"): f"sb://{HOST}/{min(names)}",
            queue.variable("DEAD_LETTER"): f"sb://{HOST}/{queue.name}-dead-letters",
            queue.variable("LOCK"): f"{lock:g}",
        }

    def _queue(self, name: str, lock: float, *, sessions: bool) -> None:
        if name not in self._created:
            self._emulator.add_queue(name, lock_duration=lock, max_delivery_count=DELIVERIES, requires_session=sessions)
            self._created.add(name)

    def _subscription(self, topic: str, name: str, lock: float, *, sessions: bool) -> None:
        if topic not in self._created:
            self._emulator.add_topic(topic)
            self._created.add(topic)
        if f"{topic}/{name}" not in self._created:
            self._emulator.add_subscription(
                topic, name, lock_duration=lock, max_delivery_count=DELIVERIES, requires_session=sessions
            )
            self._created.add(f"{topic}/{name}")

    def variables(self) -> Mapping[str, str]:
        return {**client_variables(self._emulator), **self._addresses}

    def close(self) -> None:
        self._functions.stop()
        self._emulator.stop()


def client_variables(emulator: ServiceBusEmulator) -> dict[str, str]:
    """Return the variables with which clients, also of the management API, reach an emulator."""
    return {
        CONNECTION: emulator.connection_string,
        "PEEKLOCK_SERVICEBUS_ADMIN": emulator.admin_connection_string,
        "PEEKLOCK_SERVICEBUS_CERTIFICATE": str(emulator.certificate),
    }


def functions_host(
    folder: Path,
    emulator: ServiceBusEmulator,
    environ: Mapping[str, str],
    on_line: Callable[[str, str], None],
    *,
    inherit: bool = True,
) -> FunctionsHost:
    """Return a host that is not started yet. `on_line` is called with the platform and each line that the app prints, and
    with a text where a function's process ends."""
    host = FunctionsHost(folder, servicebus=emulator.connection_string, environ=environ, inherit=inherit)

    def report_killed(invocation: Invocation) -> None:
        if invocation.outcome == "killed":
            reason = invocation.error or "its process ended"
            on_line(PLATFORM, f"{invocation.function}: {reason}; its messages come back")

    host.on_line(lambda _, line: on_line(PLATFORM, line))
    host.on_invocation(report_killed)
    return host

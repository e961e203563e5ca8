"""Service Bus and Functions (Flex Consumption): each number from the queue and the capacity.

A capacity of one message a batch means a trigger of single messages, whose locks the host renews while the function runs; a
larger one a trigger of batches, whose locks nobody renews.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from peeklock.errors import ConfigError
from peeklock.infra.options import Capacity, seconds_of
from peeklock.queue import Queue
from peeklock.quotas.azure import DELIVERIES as MOST_DELIVERIES
from peeklock.quotas.azure import FLEX_INSTANCES as MOST_INSTANCES
from peeklock.quotas.azure import FLEX_MEGABYTES as MEMORIES
from peeklock.quotas.azure import LOCK_SECONDS as LONGEST_LOCK
from peeklock.retry_span import SERVICEBUS_HOLD, Span

SHORTEST_LOCK = 60
"""Seconds: the platform's own default, so that a host that starts slowly does not lose what it has received."""

HOLD = seconds_of(SERVICEBUS_HOLD)
"""Seconds that `servicebus.bind` holds a message that must come back, within the lock (its `hold=`)."""

MARGIN = 5
"""Seconds for claiming, recording and settling around the runs of an event."""

MOST_ATTEMPTS = MOST_DELIVERIES // 2
"""The other half of the deliveries is left to those that are no attempts: polls with `Retry(counts=False)` within a session,
busy or halted ones, a store that is down."""

LIFE = 14 * 86_400
"""Seconds that a message may stay in its queue; then it goes to the dead letters, as expired."""

FLEX = "https://learn.microsoft.com/azure/azure-functions/flex-consumption-plan"

HOST = "https://learn.microsoft.com/azure/azure-functions/functions-bindings-service-bus#hostjson-settings"
QUEUES = "https://learn.microsoft.com/azure/service-bus-messaging/message-transfers-locks-settlement"
DEAD_LETTERS = "https://learn.microsoft.com/azure/service-bus-messaging/service-bus-dead-letter-queues"

SESSION_IDLE = 10
"""Seconds that an instance stays with a session that has no more messages. The default is a minute (the SDK's try
time-out), during which the session's slot serves nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a queue and its function app are given. Seconds are whole; counts are counts."""

    batch: int
    """Messages in one event; 1 is a trigger of single messages."""
    parallel: int
    """Handlers at once in an instance: calls where messages come singly, threads of one call where they come in batches."""
    lock: int
    """Seconds that the queue lends a message for at a time."""
    limit: int
    """Seconds that the host gives an event: its functionTimeout, and how long its locks are held."""
    deliveries: int
    life: int
    sessions: bool
    instances: int
    memory: int
    span: Span
    """How long the attempts of a failing message last."""

    @property
    def calls(self) -> int:
        """Events at once in an instance. Batches run one after the other."""
        return 1 if self.batch > 1 else self.parallel


def of(queue: Queue, capacity: Capacity) -> Settings:
    """The settings. Raises ConfigError, with the number to change, for what Service Bus or Flex Consumption cannot do."""
    _check(queue, capacity)
    limit = _limit(queue, capacity)
    lock = limit if capacity.batch > 1 else min(max(limit, SHORTEST_LOCK), LONGEST_LOCK)
    return Settings(
        batch=capacity.batch,
        parallel=capacity.parallel,
        lock=lock,
        limit=limit,
        deliveries=MOST_DELIVERIES,
        life=LIFE,
        sessions=queue.fifo,
        instances=capacity.instances,
        memory=capacity.memory,
        span=queue.span("servicebus"),
    )


def _limit(queue: Queue, capacity: Capacity) -> int:
    """Seconds for one event: its runs, one after the other as far as they are not parallel, a margin, and the hold."""
    timeout = seconds_of(queue.timeout)
    if capacity.batch == 1:
        return timeout + MARGIN + HOLD
    runs = -(-capacity.batch // capacity.parallel) * timeout + MARGIN
    if runs > LONGEST_LOCK:
        raise ConfigError(_too_long(queue.name, timeout, capacity, runs))
    return min(max(runs + HOLD, SHORTEST_LOCK), LONGEST_LOCK)


def _too_long(name: str, timeout: int, capacity: Capacity, runs: int) -> str:
    waves = (LONGEST_LOCK - MARGIN) // timeout
    least = -(-capacity.batch // waves) if waves else 0
    fix = (
        f"lower batch to {waves * capacity.parallel}, raise parallel to {least}, or use batch=1"
        if waves
        else "use batch=1"
    )
    return (
        f"queue {name!r}: {capacity.batch} messages, {capacity.parallel} at once, of {timeout} s each take {runs} s, and the"
        f" locks of a batch end after {LONGEST_LOCK} s, as nobody renews them; {fix} (single messages' locks are renewed)"
    )


def _check(queue: Queue, capacity: Capacity) -> None:
    if not re.fullmatch(r".*[A-Za-z0-9]", queue.name):
        raise ConfigError(f"queue name {queue.name!r}: on Service Bus it ends with a letter or digit; rename the queue")
    if capacity.memory not in MEMORIES:
        raise ConfigError(
            f"capacity: memory={capacity.memory}, but an instance has 512, 2048 or 4096 MB; use one of these"
        )
    if capacity.instances > MOST_INSTANCES:
        raise ConfigError(
            f"capacity: instances={capacity.instances}, but an app has at most {MOST_INSTANCES}; lower it"
        )
    if queue.max_attempts > MOST_ATTEMPTS:
        raise ConfigError(
            f"queue {queue.name!r}: max_attempts={queue.max_attempts}, but Service Bus delivers a message at most"
            f" {MOST_DELIVERIES} times, and half of them are for deliveries that are no attempts; use at most"
            f" max_attempts={MOST_ATTEMPTS}"
        )


def iso(seconds: int) -> str:
    """As Azure Resource Manager writes a duration: the largest unit that fits evenly."""
    for unit, size in (("P{}D", 86_400), ("PT{}H", 3600), ("PT{}M", 60)):
        if seconds % size == 0 and seconds >= size:
            return unit.format(seconds // size)
    return f"PT{seconds}S"


def clock(seconds: int) -> str:
    """As host.json writes a duration of less than a day."""
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def host_json(settings: Settings) -> dict[str, Any]:
    """host.json of the consumer's app, since Service Bus's concurrency is set there and nowhere else: one app a consumer.

    Traces are sampled, and the queries of the alarms weigh them by ItemCount; requests are not, as they are few and
    utilisation is measured by them.
    """
    bus: dict[str, Any] = {
        "prefetchCount": 0,
        "autoCompleteMessages": True,
        "maxAutoLockRenewalDuration": clock(settings.limit),
        "maxConcurrentCalls": settings.calls,
        "maxMessageBatchSize": settings.batch,
    }
    if settings.sessions:
        bus |= {
            "maxConcurrentSessions": settings.calls,
            "maxConcurrentCallsPerSession": 1,
            "sessionIdleTimeout": clock(SESSION_IDLE),
        }
    return {
        "version": "2.0",
        "functionTimeout": clock(settings.limit),
        "extensionBundle": {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"},
        "extensions": {"serviceBus": bus},
        "logging": {
            "logLevel": {"default": "Warning", "Host.Results": "Information", "Function": "Information"},
            "applicationInsights": {"samplingSettings": {"isEnabled": True, "excludedTypes": "Request;Exception"}},
        },
    }

"""Computation of the settings of Service Bus and Functions (Flex Consumption) from the queue and the capacity.

A capacity of one message per batch means a trigger of single messages, whose locks the host renews while the function runs; a
larger one a trigger of batches, whose locks are not renewed.
"""

from __future__ import annotations

import re
from typing import Any

from peeklock.errors import ConfigError
from peeklock.infra.options import Capacity, whole_seconds
from peeklock.infra.settings.azure.table import Settings, clock
from peeklock.platforms.servicebus import retry_span
from peeklock.queue import Queue
from peeklock.quotas.azure import DELIVERIES as MOST_DELIVERIES
from peeklock.quotas.azure import FLEX_INSTANCES as MOST_INSTANCES
from peeklock.quotas.azure import FLEX_MEGABYTES as MEMORIES
from peeklock.quotas.azure import LOCK_SECONDS as LONGEST_LOCK

SHORTEST_LOCK = 60
"""Seconds: the platform's own default, so that a host that starts slowly does not lose the messages that it has received."""

HOLD = whole_seconds(retry_span.HOLD)
"""Seconds that `servicebus.bind` holds a message that must come back, within the lock (its `hold=`)."""

MARGIN = 5
"""Seconds for claiming, recording and settling around the runs of an event."""

MOST_ATTEMPTS = MOST_DELIVERIES // 2
"""Half of the deliveries. The other half is left to those that are not attempts: polls with `Retry(counts=False)` within a
session, busy or halted messages, a store that is down."""

LIFE = 14 * 86_400
"""Seconds that a message may stay in its queue; then it is dead-lettered as expired."""

SESSION_IDLE = 10
"""Seconds that an instance stays with a session that has no more messages. The default is a minute (the SDK's try
time-out), during which the session's slot serves no other session."""


def compute(queue: Queue, capacity: Capacity) -> Settings:
    """Return the settings. Raises ConfigError, with the number to change, for settings that Service Bus or Flex Consumption does
    not accept."""
    _check(queue, capacity)
    batch = capacity.messages(whole_seconds(queue.timeout), LONGEST_LOCK - MARGIN)
    limit = _limit(queue, capacity, batch)
    calls = 1 if batch > 1 else capacity.parallel
    lock = limit if batch > 1 else min(max(limit, SHORTEST_LOCK), LONGEST_LOCK)
    return Settings(
        batch=batch,
        parallel=capacity.parallel,
        lock=lock,
        limit=limit,
        deliveries=MOST_DELIVERIES,
        life=LIFE,
        sessions=queue.fifo,
        duplicate_detection=False,
        prefetch=0,
        calls=calls,
        concurrent_sessions=calls if queue.fifo else None,
        session_idle=SESSION_IDLE if queue.fifo else None,
        instances=capacity.instances,
        ready=capacity.ready,
        memory=capacity.memory,
        span=queue.span("servicebus"),
    )


def _limit(queue: Queue, capacity: Capacity, batch: int) -> int:
    """Return the seconds of one event: its waves of parallel runs, a margin, and the hold."""
    timeout = whole_seconds(queue.timeout)
    if batch == 1:
        return timeout + MARGIN + HOLD
    runs = -(-batch // capacity.parallel) * timeout + MARGIN
    if runs > LONGEST_LOCK:
        raise ConfigError(_too_long(queue.name, timeout, capacity, batch, runs))
    return min(max(runs + HOLD, SHORTEST_LOCK), LONGEST_LOCK)


def _too_long(name: str, timeout: int, capacity: Capacity, batch: int, runs: int) -> str:
    waves = (LONGEST_LOCK - MARGIN) // timeout
    least = -(-batch // waves) if waves else 0
    fix = (
        f"lower batch to {waves * capacity.parallel}, raise parallel to {least}, or use batch=1"
        if waves
        else "use batch=1"
    )
    return (
        f"queue {name!r}: {batch} messages, {capacity.parallel} at once, of {timeout} s each take {runs} s, and the"
        f" locks of a batch end after {LONGEST_LOCK} s, as they are not renewed; {fix} (single messages' locks are renewed)"
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


def host_json(settings: Settings) -> dict[str, Any]:
    """Return host.json of the consumer's app. Service Bus's concurrency is set there and nowhere else, so each consumer has its
    own app.

    Traces and requests are sampled, and the queries of the alarms weigh them by ItemCount.
    https://learn.microsoft.com/azure/azure-functions/configure-monitoring#configure-sampling
    """
    bus: dict[str, Any] = {
        "prefetchCount": settings.prefetch,
        "autoCompleteMessages": True,
        "maxAutoLockRenewalDuration": clock(settings.limit),
        "maxConcurrentCalls": settings.calls,
        "maxMessageBatchSize": settings.batch,
    }
    if settings.session_idle is not None:
        bus |= {
            "maxConcurrentSessions": settings.concurrent_sessions,
            "maxConcurrentCallsPerSession": 1,
            "sessionIdleTimeout": clock(settings.session_idle),
        }
    return {
        "version": "2.0",
        "functionTimeout": clock(settings.limit),
        "extensionBundle": {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"},
        "extensions": {"serviceBus": bus},
        "logging": {
            "logLevel": {"default": "Warning", "Host.Results": "Information", "Function": "Information"},
            "applicationInsights": {"samplingSettings": {"isEnabled": True, "excludedTypes": "Exception"}},
        },
    }

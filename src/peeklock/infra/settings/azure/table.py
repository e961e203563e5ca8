"""Table of the settings of Service Bus and Functions (Flex Consumption)."""

from __future__ import annotations

from dataclasses import dataclass

from peeklock.infra.settings.table import SPAN, Documented, documented, setting
from peeklock.quotas.azure import DELIVERIES
from peeklock.retry_span import Span

FLEX = "https://learn.microsoft.com/azure/azure-functions/flex-consumption-plan"
HOST = "https://learn.microsoft.com/azure/azure-functions/functions-bindings-service-bus#hostjson-settings"
QUEUES = "https://learn.microsoft.com/azure/service-bus-messaging/message-transfers-locks-settlement"
DEAD_LETTERS = "https://learn.microsoft.com/azure/service-bus-messaging/service-bus-dead-letter-queues"
SESSIONS = "https://learn.microsoft.com/azure/service-bus-messaging/message-sessions"
DUPLICATES = "https://learn.microsoft.com/azure/service-bus-messaging/duplicate-detection"
SCALING = "https://learn.microsoft.com/azure/azure-functions/python-scale-performance-reference"


def iso(seconds: int) -> str:
    """Return a duration as Azure Resource Manager writes it: in the largest unit that fits evenly."""
    for unit, size in (("P{}D", 86_400), ("PT{}H", 3600), ("PT{}M", 60)):
        if seconds % size == 0 and seconds >= size:
            return unit.format(seconds // size)
    return f"PT{seconds}S"


def clock(seconds: int) -> str:
    """Return a duration of less than a day as host.json writes it."""
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of a queue and its function app. Durations are whole seconds."""

    lock: int = setting(
        "lockDuration",
        "batch=1: limit, 60 to 300 s; else the limit",
        "a batch's locks are not renewed, so one has to last for all of it",
        QUEUES,
        iso,
    )
    deliveries: int = setting(
        "maxDeliveryCount",
        f"{DELIVERIES}, Service Bus's most; max_attempts at most half of it",
        "the backstop: max_attempts is counted by peeklock, and a poll (Retry with counts=False) or a delivery without a run is"
        " not an attempt",
        DEAD_LETTERS,
    )
    span: Span = documented(SPAN)  # noqa: RUF009 - returns a field
    life: int = setting(
        "defaultMessageTimeToLive",
        "14 days",
        "a consumer that is stopped for a week loses nothing; a message that expires becomes a dead letter",
        DEAD_LETTERS,
        iso,
    )
    sessions: bool = setting(
        "requiresSession", "fifo", "only sessions keep an order; cannot be changed later", SESSIONS
    )
    duplicate_detection: bool = setting(
        "requiresDuplicateDetection",
        "never",
        "the store recognises duplicates for longer, and a dead letter that is redriven within the window would be dropped",
        DUPLICATES,
    )
    limit: int = documented(
        Documented(
            "functionTimeout",
            "batch=1: timeout + 5 + 20 s; else waves * timeout + 5 + 20 s, 60 to 300 s (waves = batch / parallel, rounded up)",
            "an event's runs, a margin, and the hold before it abandons",
            FLEX,
            clock,
        ),
        Documented("maxAutoLockRenewalDuration", "functionTimeout", "as long as it may run", HOST, clock),
        Documented(
            "PEEKLOCK_<QUEUE>_LOCK", "functionTimeout", "no run starts that cannot end before it", "docs/contract.md"
        ),
    )
    """Time that the host gives an event, for which its locks are held."""
    prefetch: int = setting("prefetchCount", "0", "a lock runs from receipt, and messages in memory waste it", HOST)
    calls: int = documented(
        Documented("maxConcurrentCalls", "batch=1: parallel; else 1", "the default is 16 per core", HOST),
        Documented(
            "PYTHON_THREADPOOL_THREAD_COUNT",
            "maxConcurrentCalls",
            "else a call may wait for a thread while its lock runs",
            SCALING,
        ),
    )
    """Events at once in an instance. Batches run one after the other."""
    batch: int = setting("maxMessageBatchSize", "batch", "the default is 1000", HOST)
    """Messages in one event; 1 means a trigger of single messages."""
    concurrent_sessions: int | None = setting("maxConcurrentSessions", "maxConcurrentCalls", "the default is 8", HOST)
    session_idle: int | None = setting(
        "sessionIdleTimeout",
        "10 s",
        "the slot of an empty session serves no other session",
        HOST,
        lambda seconds: None if seconds is None else clock(seconds),
    )
    parallel: int
    """Handlers at once in an instance: calls for single messages, threads of one call for batches."""
    instances: int = setting(
        "maximumInstanceCount", "instances", "the cap on scaling; below 40 not in every region", FLEX
    )
    ready: int = setting(
        "alwaysReady",
        "ready; none where it is 0",
        "instances that wait for messages, and are charged by the second",
        FLEX,
        lambda ready: ready or "",
    )
    memory: int = setting("instanceMemoryMB", "memory", "512, 2048 or 4096", FLEX)

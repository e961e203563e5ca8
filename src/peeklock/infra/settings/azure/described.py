"""The settings on Azure for people: where each number comes from and why."""

from __future__ import annotations

from typing import Any

from peeklock.infra.options import Setting, row_of_span
from peeklock.infra.settings.azure.numbers import DEAD_LETTERS, FLEX, HOST, QUEUES, Settings, host_json, iso
from peeklock.quotas.azure import DELIVERIES


def described(settings: Settings) -> list[Setting]:
    """Each setting that a queue or a capacity decides, in the order of the page: queue, host.json, function app."""
    return [*_of_queue(settings), *_of_host(settings), *_of_app(settings)]


def _of_queue(settings: Settings) -> list[Setting]:
    return [
        _row(
            "lockDuration",
            iso(settings.lock),
            "batch=1: limit, 60 to 300 s; else the limit",
            "a batch's locks are not renewed, so one has to last for all of it",
            QUEUES,
        ),
        _row(
            "maxDeliveryCount",
            settings.deliveries,
            f"{DELIVERIES}, Service Bus's most; max_attempts at most half of it",
            "the backstop: max_attempts is counted by peeklock, and a poll (Retry with counts=False) or a delivery without a"
            " run is no attempt",
            DEAD_LETTERS,
        ),
        row_of_span(settings.span),
        _row(
            "defaultMessageTimeToLive",
            iso(settings.life),
            "14 days",
            "a consumer that stands still for a week loses nothing; what expires becomes a dead letter",
            DEAD_LETTERS,
        ),
        _row(
            "requiresSession",
            settings.sessions,
            "fifo",
            "only sessions keep an order; cannot be changed later",
            "https://learn.microsoft.com/azure/service-bus-messaging/message-sessions",
        ),
        _row(
            "requiresDuplicateDetection",
            False,
            "never",
            "the store recognises duplicates for longer, and a dead letter put back within the window would be dropped",
            "https://learn.microsoft.com/azure/service-bus-messaging/duplicate-detection",
        ),
    ]


def _of_host(settings: Settings) -> list[Setting]:
    host = host_json(settings)
    bus = host["extensions"]["serviceBus"]
    limit = "batch=1: timeout + 5 + 20 s; else waves * timeout + 5 + 20 s, 60 to 300 s (waves = batch / parallel, rounded up)"
    rows = [
        _row(
            "functionTimeout",
            host["functionTimeout"],
            limit,
            "an event's runs, a margin, and the hold before it abandons",
            FLEX,
        ),
        _row(
            "maxAutoLockRenewalDuration",
            bus["maxAutoLockRenewalDuration"],
            "functionTimeout",
            "as long as it may run",
            HOST,
        ),
        _row("prefetchCount", 0, "0", "a lock runs from receipt, and what waits in memory wastes it", HOST),
        _row(
            "maxConcurrentCalls",
            bus["maxConcurrentCalls"],
            "batch=1: parallel; else 1",
            "the default is 16 a core",
            HOST,
        ),
        _row("maxMessageBatchSize", bus["maxMessageBatchSize"], "batch", "the default is 1000", HOST),
    ]
    if settings.sessions:
        rows += [
            _row("maxConcurrentSessions", bus["maxConcurrentSessions"], "maxConcurrentCalls", "the default is 8", HOST),
            _row(
                "sessionIdleTimeout", bus["sessionIdleTimeout"], "10 s", "an empty session's slot serves nobody", HOST
            ),
        ]
    return rows


def _of_app(settings: Settings) -> list[Setting]:
    return [
        _row(
            "maximumInstanceCount",
            settings.instances,
            "instances",
            "the cap on scaling; below 40 not in every region",
            FLEX,
        ),
        _row("instanceMemoryMB", settings.memory, "memory", "512, 2048 or 4096", FLEX),
        _row(
            "PYTHON_THREADPOOL_THREAD_COUNT",
            settings.calls,
            "maxConcurrentCalls",
            "else a call may wait for a thread while its lock runs",
            "https://learn.microsoft.com/azure/azure-functions/python-scale-performance-reference",
        ),
        _row(
            "PEEKLOCK_<QUEUE>_LOCK",
            settings.limit,
            "functionTimeout",
            "no run starts that cannot end before it",
            "docs/contract.md",
        ),
    ]


def _row(name: str, value: Any, formula: str, why: str, source: str) -> Setting:
    return Setting(name=name, value=value, formula=formula, why=why, source=source)

"""The settings on Google Cloud for people: where each number comes from and why."""

from __future__ import annotations

from typing import Any

from peeklock.infra.options import Setting, row_of_span
from peeklock.infra.settings.gcp.numbers import (
    CONCURRENCY,
    DEAD_LETTERS_LIFE,
    DOUBLINGS,
    FOR_EVER,
    INSTANCES,
    MEMORY,
    QUEUES,
    QUOTAS,
    TASKS,
    Settings,
    duration,
)
from peeklock.quotas.google import QUEUE_RATE

TIMEOUT = "https://cloud.google.com/run/docs/configuring/request-timeout"
RETENTION = "https://cloud.google.com/pubsub/docs/subscription-properties#message_retention"
EXPIRATION = "https://cloud.google.com/pubsub/docs/subscription-properties#expiration_period"
FRAMEWORK = "https://github.com/GoogleCloudPlatform/functions-framework-python"


def described(settings: Settings) -> list[Setting]:
    """Each setting that a queue or a capacity decides, in the order of the page: queue, function, dead letters."""
    return [*_of_queue(settings), row_of_span(settings.span), *_of_function(settings), *_of_dead_letters()]


def _of_queue(settings: Settings) -> list[Setting]:
    return [
        _row(
            "maxAttempts", FOR_EVER, "-1: unlimited", "a task out of attempts is deleted, without a dead letter", QUEUES
        ),
        _row("maxRetryDuration", "0s", "0 s: unlimited", "as maxAttempts: both limits are ours", QUEUES),
        _row(
            "minBackoff",
            duration(settings.first_backoff),
            "first_delay, 1 s to 1 h",
            "for what is busy or halted, and where there is no store: other delays are new tasks",
            QUEUES,
        ),
        _row("maxBackoff", duration(settings.longest_backoff), "max_delay, 1 s to 1 h", "as minBackoff", QUEUES),
        _row("maxDoublings", DOUBLINGS, "16", "the delay doubles up to the longest", QUEUES),
        _row(
            "maxConcurrentDispatches",
            settings.at_once,
            "instances * parallel, at most 5000",
            "what no instance takes is answered with 429, which slows the whole queue",
            QUOTAS,
        ),
        _row(
            "maxDispatchesPerSecond",
            QUEUE_RATE,
            f"{QUEUE_RATE}",
            "the most: dispatches under way are the limit",
            QUOTAS,
        ),
    ]


def _of_function(settings: Settings) -> list[Setting]:
    return [
        _row(
            "timeoutSeconds",
            settings.limit,
            "timeout + 5 s",
            "one run, and what is around it",
            TIMEOUT,
        ),
        _row(
            "PEEKLOCK_<QUEUE>_LOCK",
            settings.limit,
            "timeoutSeconds",
            "no run starts that cannot end before it; the dispatch deadline is later",
            TASKS,
        ),
        _row(
            "deadline of PEEKLOCK_<QUEUE>_URL",
            settings.deadline,
            "timeout + 10 s, 15 s to 30 min",
            "a function that runs out of time is told of by its own answer; a task without one has 10 min",
            TASKS,
        ),
        _row(
            "maxInstanceRequestConcurrency",
            settings.parallel,
            "parallel",
            "a task is a request; sessions of users are not thread-safe unless they say so",
            CONCURRENCY,
        ),
        _row("THREADS", settings.parallel, "parallel", "with one, a run that is too long is interrupted", FRAMEWORK),
        _row("maxInstanceCount", settings.instances, "instances", "the cap on scaling", INSTANCES),
        _row("availableMemory", f"{settings.memory}Mi", "memory, 128 to 32768", "of an instance", MEMORY),
        _row("availableCpu", str(settings.cpus), "1; over 4, 8, 16, 24 GB: 2, 4, 6, 8", "the least for it", MEMORY),
    ]


def _of_dead_letters() -> list[Setting]:
    return [
        _row("messageRetentionDuration", duration(DEAD_LETTERS_LIFE), "31 days", "the most there is", RETENTION),
        _row("expirationPolicy.ttl", "", "never", "the default deletes a subscription idle for 31 days", EXPIRATION),
    ]


def _row(name: str, value: Any, formula: str, why: str, source: str) -> Setting:
    return Setting(name=name, value=value, formula=formula, why=why, source=source)

"""Table of the settings of Cloud Tasks, Cloud Run functions and Pub/Sub."""

from __future__ import annotations

from dataclasses import dataclass

from peeklock.infra.settings.table import SPAN, Documented, documented, setting
from peeklock.quotas.google import QUEUE_RATE
from peeklock.retry_span import Span

QUEUES = "https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues"
TASKS = "https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues.tasks"
QUOTAS = "https://cloud.google.com/tasks/docs/quotas"
CONCURRENCY = "https://cloud.google.com/run/docs/about-concurrency"
INSTANCES = "https://cloud.google.com/run/quotas"
MEMORY = "https://cloud.google.com/run/docs/configuring/services/memory-limits"
TIMEOUT = "https://cloud.google.com/run/docs/configuring/request-timeout"
RETENTION = "https://cloud.google.com/pubsub/docs/subscription-properties#message_retention"
EXPIRATION = "https://cloud.google.com/pubsub/docs/subscription-properties#expiration_period"
FRAMEWORK = "https://github.com/GoogleCloudPlatform/functions-framework-python"


def duration(seconds: int) -> str:
    """Return a duration as Google's APIs write it."""
    return f"{seconds}s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of a queue, its function and its dead letters. Durations are whole seconds."""

    max_attempts: int = setting(
        "maxAttempts", "-1: unlimited", "a task out of attempts is deleted, without a dead letter", QUEUES
    )
    retry_duration: int = setting(
        "maxRetryDuration", "0 s: unlimited", "see maxAttempts: peeklock applies both limits", QUEUES, duration
    )
    first_backoff: int = setting(
        "minBackoff",
        "first_delay, 1 s to 1 h",
        "for tasks that are busy or halted, and without a store: other delays are new tasks",
        QUEUES,
        duration,
    )
    longest_backoff: int = setting("maxBackoff", "max_delay, 1 s to 1 h", "see minBackoff", QUEUES, duration)
    doublings: int = setting("maxDoublings", "16", "the delay doubles up to the longest", QUEUES)
    at_once: int = setting(
        "maxConcurrentDispatches",
        "instances * parallel, at most 5000",
        "a task that no instance accepts is answered with 429, which slows the whole queue",
        QUOTAS,
    )
    rate: int = setting(
        "maxDispatchesPerSecond", f"{QUEUE_RATE}", "the highest rate: the dispatches under way are the limit", QUOTAS
    )
    span: Span = documented(SPAN)  # noqa: RUF009 - returns a field
    limit: int = documented(
        Documented("timeoutSeconds", "timeout + 5 s", "one run, and the work around it", TIMEOUT),
        Documented(
            "PEEKLOCK_<QUEUE>_LOCK",
            "timeoutSeconds",
            "no run starts that cannot end before it; the dispatch deadline is later",
            TASKS,
        ),
    )
    """Time that the function has for a request."""
    deadline: int = setting(
        "deadline of PEEKLOCK_<QUEUE>_URL",
        "timeout + 10 s, 15 s to 30 min",
        "a function that runs out of time still answers before it; a task without a deadline has 10 min",
        TASKS,
    )
    """Time that Cloud Tasks waits for an answer."""
    parallel: int = documented(
        Documented(
            "maxInstanceRequestConcurrency",
            "parallel",
            "a task is a request; users' sessions are not thread-safe unless they say so",
            CONCURRENCY,
        ),
        Documented("THREADS", "parallel", "with one, a run that takes too long is interrupted", FRAMEWORK),
    )
    instances: int = setting("maxInstanceCount", "instances", "the cap on scaling", INSTANCES)
    ready: int = setting(
        "minInstanceCount",
        "ready; none where it is 0",
        "instances that are kept warm, and charged while they wait",
        "https://cloud.google.com/run/docs/configuring/min-instances",
        lambda ready: ready or "",
    )
    memory: int = setting(
        "availableMemory", "memory, 128 to 32768", "memory of an instance", MEMORY, lambda megabytes: f"{megabytes}Mi"
    )
    cpus: int = setting("availableCpu", "1; over 4, 8, 16, 24 GB: 2, 4, 6, 8", "the least for the memory", MEMORY, str)
    dead_letters_life: int = setting(
        "messageRetentionDuration", "31 days", "the longest retention", RETENTION, duration
    )
    expiration: str = setting(
        "expirationPolicy.ttl", "never", "the default deletes a subscription idle for 31 days", EXPIRATION
    )

"""Cloud Tasks and Cloud Run functions: each number from the queue and the capacity.

A task is one message, so `Capacity.batch` means nothing here; `parallel` is how many requests an instance takes at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from peeklock.errors import ConfigError
from peeklock.infra.options import Capacity, seconds_of
from peeklock.queue import Queue
from peeklock.quotas.google import CPUS, DISPATCH_DEADLINES, RETENTION_DAYS, TASK_DELAY, TASK_LIFE
from peeklock.quotas.google import INSTANCES as MOST_INSTANCES
from peeklock.quotas.google import QUEUE_AT_ONCE as MOST_AT_ONCE
from peeklock.quotas.google import REQUESTS as MOST_REQUESTS
from peeklock.retry_span import LONGEST_TASK_BACKOFF, Span

QUEUES = "https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues"
TASKS = "https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues.tasks"
QUOTAS = "https://cloud.google.com/tasks/docs/quotas"
CONCURRENCY = "https://cloud.google.com/run/docs/about-concurrency"
INSTANCES = "https://cloud.google.com/run/quotas"
MEMORY = "https://cloud.google.com/run/docs/configuring/services/memory-limits"

MARGIN = 5
"""Seconds around a run for claiming, recording and settling: the function's time-out is that much longer."""

ANSWER = 5
"""Seconds more until Cloud Tasks stops waiting: a function that runs out of time is told of by its own answer.
"At most a few seconds more than the timeout": see TASKS, dispatchDeadline."""

LEAST_DEADLINE, DEADLINE = (seconds_of(one) for one in DISPATCH_DEADLINES)
"""Seconds that Cloud Tasks waits for an answer, at least and at most. It is a task's own and not its queue's: `peeklock.send`
takes it from the queue's address, and whoever creates a task otherwise says it, or has 10 minutes. See TASKS."""

FOR_EVER = -1
"""Attempts. Cloud Tasks deletes a task that has no more: `max_attempts` is counted by peeklock. See QUEUES."""

LONGEST_BACKOFF = seconds_of(LONGEST_TASK_BACKOFF)
"""Seconds: the platform's default. See QUEUES, retryConfig."""

DOUBLINGS = 16
"""The platform's default: the delay doubles until it is the longest."""

DEAD_LETTERS_LIFE = RETENTION_DAYS * 86_400
"""Seconds: as long as Pub/Sub keeps a message."""

LEAST_MEMORY = 128
"""MiB, though one vCPU takes less: with a smaller one an instance takes one request at a time. See MEMORY and CONCURRENCY."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a queue and its function are given. Seconds are whole; counts are counts."""

    limit: int
    """Seconds that the function has for a request, and so the lock."""
    parallel: int
    """Requests at once in an instance."""
    instances: int
    memory: int
    """Megabytes."""
    cpus: int
    first_backoff: int
    """Seconds until a task is dispatched again that was answered without success: busy, halted, or without a store."""
    longest_backoff: int
    deadline: int
    """Seconds that Cloud Tasks waits for an answer."""
    span: Span
    """How long the attempts of a failing task last."""

    @property
    def at_once(self) -> int:
        """Dispatches under way: what the instances can take. More would be answered with 429, which slows the queue."""
        return self.instances * self.parallel


def of(queue: Queue, capacity: Capacity) -> Settings:
    """The settings. Raises ConfigError, with the number to change, for what Cloud Tasks or Cloud Run cannot do."""
    _check_queue(queue)
    _check_capacity(capacity)
    first = max(seconds_of(queue.first_delay), 1)
    limit = seconds_of(queue.timeout) + MARGIN
    return Settings(
        limit=limit,
        parallel=capacity.parallel,
        instances=capacity.instances,
        memory=capacity.memory,
        cpus=next(cpus for most, cpus in CPUS if capacity.memory <= most),
        first_backoff=min(first, LONGEST_BACKOFF),
        longest_backoff=min(max(seconds_of(queue.max_delay), first), LONGEST_BACKOFF),
        deadline=max(limit + ANSWER, LEAST_DEADLINE),
        span=queue.span("cloudtasks"),
    )


def _check_queue(queue: Queue) -> None:
    if queue.fifo:
        raise ConfigError(
            f"queue {queue.name!r} is fifo, and Cloud Tasks keeps no order; drop fifo=True, or receive from Pub/Sub with"
            " an ordering key"
        )
    if not re.fullmatch(r".*[A-Za-z0-9]", queue.name):
        raise ConfigError(
            f"queue name {queue.name!r}: on Google Cloud it ends with a letter or digit; rename the queue"
        )
    most = DEADLINE - MARGIN - ANSWER
    if seconds_of(queue.timeout) > most:
        raise ConfigError(
            f"queue {queue.name!r}: timeout={queue.timeout.total_seconds():g} s, but Cloud Tasks waits at most {DEADLINE} s"
            f" for an answer, and {MARGIN + ANSWER} s of it are spare; use at most timeout={most}"
        )
    for name, value, longest in (("max_delay", queue.max_delay, TASK_DELAY), ("max_age", queue.max_age, TASK_LIFE)):
        if value is not None and value > longest:
            raise ConfigError(
                f"queue {queue.name!r}: {name} is {value.total_seconds() / 86_400:g} days, but a task waits at most"
                f" {TASK_DELAY.days} days and is deleted after {TASK_LIFE.days}; use at most"
                f" {name}=timedelta(days={longest.days})"
            )


def _check_capacity(capacity: Capacity) -> None:
    for name, least, most in (
        ("parallel", 1, MOST_REQUESTS),
        ("instances", 1, MOST_INSTANCES),
        ("memory", LEAST_MEMORY, CPUS[-1][0]),
    ):
        value = getattr(capacity, name)
        if not least <= value <= most:
            raise ConfigError(
                f"capacity: {name}={value}, but Cloud Run takes {least} to {most}; use {most if value > most else least}"
            )
    if capacity.instances * capacity.parallel > MOST_AT_ONCE:
        raise ConfigError(
            f"capacity: {capacity.instances} instances of {capacity.parallel} requests each, but a queue dispatches"
            f" {MOST_AT_ONCE} tasks at once; lower instances to {MOST_AT_ONCE // capacity.parallel}"
        )


def duration(seconds: int) -> str:
    """As Google's APIs write one."""
    return f"{seconds}s"

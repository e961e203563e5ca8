"""Computation of the settings of Cloud Tasks and Cloud Run functions from the queue and the capacity.

A task is one message, so `Capacity.batch` has no effect; `parallel` is how many requests an instance handles at once.
"""

from __future__ import annotations

import re

from peeklock.errors import ConfigError
from peeklock.infra.options import Capacity, whole_seconds
from peeklock.infra.settings.gcp.table import Settings
from peeklock.platforms.cloudtasks.retry_span import LONGEST_BACKOFF as LONGEST_TASK_BACKOFF
from peeklock.queue import Queue
from peeklock.quotas.google import CPUS, DISPATCH_DEADLINES, QUEUE_RATE, RETENTION_DAYS, TASK_DELAY, TASK_LIFE
from peeklock.quotas.google import INSTANCES as MOST_INSTANCES
from peeklock.quotas.google import QUEUE_AT_ONCE as MOST_AT_ONCE
from peeklock.quotas.google import REQUESTS as MOST_REQUESTS

MARGIN = 5
"""Seconds around a run for claiming, recording and settling: the function's time-out is that much longer."""

ANSWER = 5
"""Seconds more until Cloud Tasks stops waiting, so that a function that runs out of time still answers.
"At most a few seconds more than the timeout": see `TASKS` of the table, dispatchDeadline."""

LEAST_DEADLINE, DEADLINE = (whole_seconds(limit) for limit in DISPATCH_DEADLINES)
"""Seconds that Cloud Tasks waits for an answer, at least and at most. It belongs to the task, not to its queue: `peeklock.send`
takes it from the queue's address; a task that is created without one has 10 minutes. See `TASKS` of the table."""

FOR_EVER = -1
"""Attempts. Cloud Tasks deletes a task that has none left: `max_attempts` is counted by peeklock. See `QUEUES` of the table."""

LONGEST_BACKOFF = whole_seconds(LONGEST_TASK_BACKOFF)
"""Seconds: the platform's default. See `QUEUES` of the table, retryConfig."""

DOUBLINGS = 16
"""The platform's default: the delay doubles until it is the longest."""

DEAD_LETTERS_LIFE = RETENTION_DAYS * 86_400
"""Seconds: the longest that Pub/Sub keeps a message."""

LEAST_MEMORY = 128
"""MiB. One vCPU works with less, but then an instance handles one request at a time. See `MEMORY` and `CONCURRENCY` of the table."""


def compute(queue: Queue, capacity: Capacity) -> Settings:
    """Return the settings. Raises ConfigError, with the number to change, for settings that Cloud Tasks or Cloud Run does not
    accept."""
    _check_queue(queue)
    _check_capacity(capacity)
    first = max(whole_seconds(queue.first_delay), 1)
    limit = whole_seconds(queue.timeout) + MARGIN
    return Settings(
        max_attempts=FOR_EVER,
        retry_duration=0,
        doublings=DOUBLINGS,
        at_once=capacity.instances * capacity.parallel,
        rate=QUEUE_RATE,
        dead_letters_life=DEAD_LETTERS_LIFE,
        expiration="",
        limit=limit,
        parallel=capacity.parallel,
        instances=capacity.instances,
        ready=capacity.ready,
        memory=capacity.memory,
        cpus=next(cpus for most, cpus in CPUS if capacity.memory <= most),
        first_backoff=min(first, LONGEST_BACKOFF),
        longest_backoff=min(max(whole_seconds(queue.max_delay), first), LONGEST_BACKOFF),
        deadline=max(limit + ANSWER, LEAST_DEADLINE),
        span=queue.span("cloudtasks"),
    )


def _check_queue(queue: Queue) -> None:
    if queue.fifo:
        raise ConfigError(
            f"queue {queue.name!r} is fifo, and Cloud Tasks does not keep an order; drop fifo=True, or receive from Pub/Sub with"
            " an ordering key"
        )
    if not re.fullmatch(r".*[A-Za-z0-9]", queue.name):
        raise ConfigError(
            f"queue name {queue.name!r}: on Google Cloud it ends with a letter or digit; rename the queue"
        )
    most = DEADLINE - MARGIN - ANSWER
    if whole_seconds(queue.timeout) > most:
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

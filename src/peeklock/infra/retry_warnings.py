"""Warnings about messages that are dead-lettered too early: by attempts that end within minutes, or by the platform's own limit
on the deliveries of an existing queue."""

from __future__ import annotations

from bisect import bisect_left
from datetime import timedelta

import pulumi

from peeklock.infra.options import format_duration
from peeklock.queue import Queue
from peeklock.retry_span import Span

SHORT = timedelta(minutes=10)
"""Length of a common outage. Attempts with a shorter median turn most messages of that time into dead letters."""

ENOUGH = timedelta(minutes=30)
"""Time that the default attempts last, and those of a fix."""

ROOM = 2
"""Deliveries per attempt that a platform's own limit has to allow, as the settings of `peeklock.infra` do."""

MOST_ATTEMPTS = 200
"""Most attempts of a fix. Beyond that, longer delays are the fix."""


def warn(queue: Queue, platform: str, span: Span, resource: pulumi.Resource) -> None:
    """Log the warning, if there is one, with the queue's resource."""
    if text := warning(queue, platform, span):
        pulumi.log.warn(text, resource)


def warning(queue: Queue, platform: str, span: Span) -> str | None:
    """Return a warning about attempts that end within SHORT, with the number to change; None for longer ones."""
    if span.median >= SHORT:
        return None
    return (
        f"queue {queue.name!r}: the last attempt of a message follows the first after {format_duration(span.median)} in the median and"
        f" {format_duration(span.longest)} at most, so an outage of {format_duration(SHORT)} dead-letters most messages; {_fix(queue, platform)}"
    )


def warn_about_limit(queue: Queue, name: str, limit: float | None, most: str, resource: pulumi.Resource) -> None:
    """Log `limit_warning`, if there is one, with the queue's resource."""
    if text := limit_warning(queue, name, limit, most):
        pulumi.log.warn(text, resource)


def limit_warning(queue: Queue, name: str, limit: float | None, most: str) -> str | None:
    """Return a warning about a platform's own limit on deliveries, with the value to set; None for a limit that leaves room.

    `name`: the platform's name of the limit. `limit`: None or below zero for no limit. `most`: the best value.
    """
    if limit is None or limit < 0 or limit >= ROOM * queue.max_attempts:
        return None
    return (
        f"queue {queue.name!r}: its {name} is {limit:g}, and peeklock counts max_attempts={queue.max_attempts} itself; polls and"
        f" deliveries without a run use up the platform's limit as well, and it gives a message up without a reason; set it to {most}"
    )


def _fix(queue: Queue, platform: str) -> str:
    attempts = range(1, MOST_ATTEMPTS + 1)
    enough = bisect_left(attempts, ENOUGH, key=lambda number: _with_attempts(queue, number).span(platform).median)
    if enough < len(attempts):
        return f"use max_attempts={attempts[enough]}, which lasts {format_duration(ENOUGH)}"
    return f"leave out first_delay and max_delay, and max_attempts too: the defaults last {format_duration(ENOUGH)}"


def _with_attempts(queue: Queue, number: int) -> Queue:
    return Queue(
        queue.name, max_attempts=number, first_delay=queue.first_delay, max_delay=queue.max_delay, fifo=queue.fifo
    )

"""A warning where the attempts of a queue are over within minutes, so that a short outage dead-letters its messages."""

from __future__ import annotations

from bisect import bisect_left
from datetime import timedelta

import pulumi

from peeklock.infra.options import spelled
from peeklock.queue import Queue
from peeklock.span import Span

SHORT = timedelta(minutes=10)
"""An outage that every year brings. Attempts that last for less, in the median, turn most of its messages into dead letters."""

ENOUGH = timedelta(minutes=30)
"""How long the default attempts last, and those of a fix."""

MOST_ATTEMPTS = 200
"""A fix that needs more attempts than that is no fix: longer delays are."""


def warn(queue: Queue, platform: str, span: Span, resource: pulumi.Resource) -> None:
    """Show the warning, where there is one, with the queue's own resource."""
    if text := warning(queue, platform, span):
        pulumi.log.warn(text, resource)


def warning(queue: Queue, platform: str, span: Span) -> str | None:
    """What is wrong with attempts that are over within SHORT, and the number to change; None for others."""
    if span.median >= SHORT:
        return None
    return (
        f"queue {queue.name!r}: the last attempt of a message follows the first after {spelled(span.median)} in the median and"
        f" {spelled(span.longest)} at most, so an outage of {spelled(SHORT)} dead-letters most messages; {_fix(queue, platform)}"
    )


def _fix(queue: Queue, platform: str) -> str:
    attempts = range(1, MOST_ATTEMPTS + 1)
    enough = bisect_left(attempts, ENOUGH, key=lambda number: _with_attempts(queue, number).span(platform).median)
    if enough < len(attempts):
        return f"use max_attempts={attempts[enough]}, which lasts {spelled(ENOUGH)}"
    return f"leave out first_delay and max_delay, and max_attempts too: the defaults last {spelled(ENOUGH)}"


def _with_attempts(queue: Queue, number: int) -> Queue:
    return Queue(
        queue.name, max_attempts=number, first_delay=queue.first_delay, max_delay=queue.max_delay, fifo=queue.fifo
    )

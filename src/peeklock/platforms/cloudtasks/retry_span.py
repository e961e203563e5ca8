"""Span of a message's attempts on Cloud Tasks."""

from __future__ import annotations

from datetime import timedelta

from peeklock.quotas.google import TASK_DELAY
from peeklock.retry_span import Backoff, Span, doubling, jittered

SHORTEST_BACKOFF, LONGEST_BACKOFF = timedelta(seconds=1), timedelta(hours=1)
"""Bounds of the time between two dispatches of a task, as `peeklock.infra` configures it.
https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues#retryconfig"""


def span(backoff: Backoff, *, store: bool) -> Span:
    """Return the span. With a store, each delay is that of a new task; without one, the queue's retryConfig applies."""
    if store:
        return jittered(backoff, TASK_DELAY)
    first = min(max(backoff.first, SHORTEST_BACKOFF), LONGEST_BACKOFF)
    return doubling(backoff.delays, first, min(max(backoff.most, first), LONGEST_BACKOFF))

"""Span of a message's attempts on Service Bus."""

from __future__ import annotations

from datetime import timedelta

from peeklock.retry_span import Backoff, Span, doubling, jittered

HOLD = timedelta(seconds=20)
"""How long `servicebus.bind` holds a message before it abandons it (its `hold=`)."""

FIRST_HOLD = timedelta(seconds=1)


def span(backoff: Backoff, *, store: bool) -> Span:
    """Return the span. In a session, delays are waited out under its lock. Without a store, a message is held longer on each
    delivery."""
    if backoff.fifo:
        return jittered(backoff, HOLD)
    return jittered(backoff) if store else doubling(backoff.delays, FIRST_HOLD, HOLD)

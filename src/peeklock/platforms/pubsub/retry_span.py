"""Span of a message's attempts on Pub/Sub."""

from __future__ import annotations

from peeklock.quotas.google import SUBSCRIPTION_BACKOFF
from peeklock.retry_span import Backoff, Span, doubling


def span(backoff: Backoff, *, store: bool) -> Span:
    """Return the span with the subscription's retry policy, which no store changes."""
    del store
    return doubling(backoff.delays, min(backoff.first, SUBSCRIPTION_BACKOFF), min(backoff.most, SUBSCRIPTION_BACKOFF))

"""Span of a message's attempts on SQS."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from peeklock.quotas.aws import MANAGED_FUNCTION_SECONDS, VISIBILITY_SECONDS, WINDOW_SECONDS

if TYPE_CHECKING:
    from peeklock.retry_span import Backoff, Span

LONGEST_DELAY = timedelta(seconds=VISIBILITY_SECONDS - WINDOW_SECONDS - MANAGED_FUNCTION_SECONDS)
"""The longest visibility timeout that `sqs.bind` sets. SQS limits the total since the message was received, so the longest that
it can have been held until then is subtracted: Lambda's batching window, and the function's time.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html"""


def span(backoff: Backoff, *, store: bool) -> Span:
    """Return the span with delays by visibility timeout, which need no store."""
    from peeklock.retry_span import jittered  # here, since `sqs.bind` needs the constant alone at a cold start

    del store
    return jittered(backoff, LONGEST_DELAY)

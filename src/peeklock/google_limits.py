"""Limits of Cloud Tasks and Pub/Sub, each with its source and the month in which that was read.

Nothing else in peeklock repeats one. "Comment of ..." is a type of google-cloud-tasks 2.26.0 or google-cloud-pubsub 2.44.0, whose
comments are Google's own reference.
"""

from __future__ import annotations

from datetime import timedelta

TASK_BYTES = 1_048_569
"""Bytes of a task as it is stored, name, address, headers and token included.
1 MB by https://cloud.google.com/tasks/docs/quotas; to the byte, as the service was probed (tests/emulators/cloudtasks). Read 2026-12."""

TASK_URL = 2083
"""Characters of a task's URL, after encoding. Comment of HttpRequest.url, read 2026-12."""

TASK_DELAY = timedelta(days=30)
"""How far ahead a task may be scheduled. https://cloud.google.com/tasks/docs/quotas, read 2026-12."""

TASK_LIFE = timedelta(days=31)
"""A task is deleted then, whatever became of it. https://cloud.google.com/tasks/docs/quotas, read 2026-12."""

DISPATCH_DEADLINE = timedelta(minutes=10)
"""How long the answer of a task that does not say it is waited for. Comment of Task.dispatch_deadline, read 2026-12."""

DISPATCH_DEADLINES = (timedelta(seconds=15), timedelta(minutes=30))
"""How long an answer may be waited for, at least and at most. Comment of Task.dispatch_deadline, read 2026-12."""

QUEUE_RATE, QUEUE_AT_ONCE = 500, 5000
"""Dispatches of a queue in a second, and under way. Comments of RateLimits, read 2026-12."""

PUBLISH_BYTES = 10_000_000
"""Bytes of a request to publish, and so of a message. https://cloud.google.com/pubsub/quotas#resource_limits, read 2026-12."""

ATTRIBUTES = 100
"""Attributes of a message. https://cloud.google.com/pubsub/quotas#resource_limits, read 2026-12."""

ATTRIBUTE_NAME, ATTRIBUTE_VALUE = 256, 1024
"""Bytes of an attribute's name, which must not begin with `goog`, and of its value.
https://cloud.google.com/pubsub/quotas#resource_limits, read 2026-12."""

ORDERING_KEY = 1024
"""Bytes of an ordering key. https://cloud.google.com/pubsub/quotas#resource_limits, read 2026-12."""

ACK_DEADLINE = timedelta(seconds=600)
"""How long a subscription waits for an acknowledgement, at most; a push request, too.
Comment of Subscription.ack_deadline_seconds, read 2026-12."""

SUBSCRIPTION_BACKOFF = timedelta(seconds=600)
"""The longest delay of a subscription's retry policy. Comment of RetryPolicy, read 2026-12."""

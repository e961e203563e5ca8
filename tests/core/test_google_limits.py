"""Google's limits are the same in the stand-ins, which know nothing of peeklock."""

from __future__ import annotations

from cloudqueues.cloudtasks import dispatch_policy as emulated
from cloudqueues.cloudtasks import targets, tasks
from peeklock.quotas import google as google_limits
from tests import pubsub_limits


def test_the_stand_ins_hold_the_same() -> None:
    assert (targets.MAX_URL, tasks.MAX_BYTES) == (google_limits.TASK_URL, google_limits.TASK_BYTES)
    assert google_limits.TASK_DELAY.total_seconds() == tasks.MAX_AHEAD
    least, most = (limit.total_seconds() for limit in google_limits.DISPATCH_DEADLINES)
    assert (least, most) == (tasks.SHORTEST, tasks.LONGEST)
    assert google_limits.DISPATCH_DEADLINE.total_seconds() == tasks.DEFAULT_DEADLINE
    assert (emulated.MAX_RATE, emulated.MAX_CONCURRENT) == (google_limits.QUEUE_RATE, google_limits.QUEUE_AT_ONCE)
    assert pubsub_limits.MAX_REQUEST == google_limits.PUBLISH_BYTES
    assert pubsub_limits.MAX_ATTRIBUTES == google_limits.ATTRIBUTES
    assert (pubsub_limits.MAX_KEY, pubsub_limits.MAX_VALUE) == (
        google_limits.ATTRIBUTE_NAME,
        google_limits.ATTRIBUTE_VALUE,
    )
    assert pubsub_limits.MAX_ORDERING_KEY == google_limits.ORDERING_KEY

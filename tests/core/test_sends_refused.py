"""Sends of a handler that its queue would refuse: `deliver` refuses them, too. (trials 3.4)"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from peeklock import ConfigError, Queue, consumer, send
from peeklock.errors import SendError
from peeklock.message import Lineage
from peeklock.outgoing import OutgoingMessage
from peeklock.sending.strict_sender import StrictSender
from peeklock.testing import Outbox, deliver

ORDERS, PLAIN, FIFO = Queue("orders"), Queue("plain"), Queue("ordered", fifo=True)


def sending(queue: Queue, **options: Any) -> Any:
    @consumer(ORDERS)
    def handler(payload: dict) -> None:  # type: ignore[type-arg] # as users write it
        send(queue, {}, **options)

    return handler


@pytest.mark.parametrize(
    ("queue", "options", "platform", "refusal"),
    [
        (FIFO, {"group": "g", "delay": 1}, None, "queue 'ordered': a FIFO queue has no delay per message"),
        (FIFO, {"group": "g", "delay": 1}, "sqs", "a FIFO queue has no delay per message"),
        (FIFO, {"group": "g", "delay": 1}, "servicebus", None),
        (FIFO, {"group": "g"}, None, None),
        (FIFO, {"group": "g"}, "cloudtasks", "Cloud Tasks keeps no order within a group"),
        (PLAIN, {"delay": 900}, None, None),
        (PLAIN, {"delay": 901}, None, "queue 'plain': SQS delays a message by 900 s at most, not 901 s"),
        (PLAIN, {"delay": timedelta(days=1)}, "sqs", "SQS delays a message by 900 s at most, not 86400 s"),
        (PLAIN, {"delay": timedelta(days=1)}, "cloudtasks", None),
        (PLAIN, {"delay": timedelta(days=31)}, "cloudtasks", "Cloud Tasks delays a task by 30 days at most"),
        (PLAIN, {"delay": timedelta(days=1)}, "servicebus", None),
        (PLAIN, {"delay": 1}, "pubsub", "Pub/Sub has no delay per message"),
        (PLAIN, {"group": "g"}, None, "a standard queue keeps no order within a group"),
        (PLAIN, {"group": "g"}, "servicebus", None),
        (PLAIN, {"group": "g"}, "pubsub", None),
    ],
)
def test_sends_that_the_queue_refuses(queue, options, platform, refusal):
    """Fail the handler as they would there, and leave nothing in the outbox."""
    outbox, named = Outbox(), {} if platform is None else {"platform": platform}
    outcome = deliver(sending(queue, **options), {}, outbox=outbox, **named)
    if refusal is None:
        assert (outcome.reason, len(outbox.outgoing_messages)) == ("done", 1)
        return
    assert (outcome.reason, outbox.outgoing_messages) == ("retry", [])
    assert isinstance(outcome.error, SendError)
    assert refusal in str(outcome.error)
    assert ("deliver(..., platform=...)" in str(outcome.error)) == (platform is None)


def test_a_platform_that_is_none():
    """Is refused with the nearest name."""
    with pytest.raises(ConfigError, match="platform='sq': did you mean 'sqs'"):
        deliver(sending(PLAIN), {}, platform="sq")


def test_what_is_taken_beside_what_is_refused():
    """Each answer is at its message's place."""
    outbox = Outbox()
    outgoing_messages = [
        OutgoingMessage(body=b"", lineage=Lineage(id=str(n)), delay=timedelta(seconds=800 * n)) for n in range(3)
    ]
    answers = StrictSender(queue=PLAIN, sender=outbox, platform="sqs").send([*outgoing_messages, outgoing_messages[0]])
    assert [answer is None for answer in answers] == [True, True, False, True]
    assert [outgoing.id for outgoing in outbox.outgoing_messages] == ["0", "1", "0"]

"""Groups: order is kept, or whoever asks for it is told that it cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from peeklock import ConfigError, DeadLetter, Queue, SendError, cloudtasks, consumer, send, sqs
from peeklock.message import Lineage
from peeklock.outgoing import OutgoingMessage
from peeklock.sending.send import routed
from peeklock.stores.memory import MemoryStore
from peeklock.testing import Outbox
from tests.contracts.queues import StrictSQS

FIFO = "https://sqs.eu-west-1.amazonaws.com/1/lines-dead.fifo"


@consumer(Queue("lines", fifo=True))
def in_order(line: dict) -> None:  # type: ignore[type-arg] # as users write it
    raise DeadLetter


def record(source: str = "arn:aws:sqs:eu-west-1:1:lines.fifo", group: str = "a") -> dict[str, Any]:
    return {
        "messageId": "m-1",
        "body": "{}",
        "attributes": {"ApproximateReceiveCount": "1", "MessageGroupId": group},
        "eventSource": "aws:sqs",
        "eventSourceARN": source,
    }


def test_a_standard_queue_of_sqs_is_not_fifo():
    """Events from it are refused before a handler runs out of order."""
    entry = sqs.bind(in_order, store=MemoryStore(), dead_letter=Outbox())
    with pytest.raises(ConfigError, match=r"whose name ends in .fifo, or leave fifo=True out"):
        entry({"Records": [record("arn:aws:sqs:eu-west-1:1:lines")]}, None)
    assert entry({"Records": [record()]}, None) == {"batchItemFailures": []}


def test_cloud_tasks_is_not_fifo():
    """Cloud Tasks has no order, so `bind` refuses the declaration."""
    with pytest.raises(ConfigError, match="is fifo, and Cloud Tasks keeps no order: receive it from Pub/Sub"):
        cloudtasks.bind(in_order, unauthenticated=True)


@pytest.mark.parametrize(
    ("sender", "fix"),
    [
        (StrictSQS().sender(), "use a FIFO queue, whose name ends in .fifo, or send it without group="),
        (
            cloudtasks.from_url("cloudtasks://projects/p/locations/l/queues/q?target=https://orders.example"),
            "send it without group=",
        ),
    ],
)
def test_a_group_that_nobody_keeps(sender, fix):
    """Is refused: it would be lost without a word."""
    with routed(lambda _: sender), pytest.raises(SendError, match=fix):
        send(Queue("orders"), {}, group="customer-7")


@pytest.mark.parametrize("group", ["a", "a b", "ä"])
def test_a_dead_letter_in_a_standard_queue_keeps_its_group(group):
    """It is the group id, which means fairness there, and the group again in the FIFO queue."""
    dead, fifo = StrictSQS(), StrictSQS(url=FIFO)
    entry = sqs.bind(in_order, store=MemoryStore(), dead_letter=dead.sender())
    assert entry({"Records": [record(group=group)]}, None) == {"batchItemFailures": []}
    kept = dead.entries[0]["MessageGroupId"]
    assert kept == group or len(kept) == 64
    message = dead.receive(dead.events()[0])
    back = OutgoingMessage(body=message.body, lineage=Lineage(id="m-1"), system=message.system or {}, origin=message)
    assert fifo.sender().send([back]) == [None]
    assert fifo.entries[0]["MessageGroupId"] == kept

"""Tests for planted faults in the values passed to the platforms' APIs: groups, ids and delays."""

from __future__ import annotations

import hashlib
import json
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from peeklock import EventError, Queue, Retry, cloudtasks, consumer, pubsub, servicebus, sqs
from peeklock.message import Lineage, Message
from peeklock.outgoing import OutgoingMessage
from peeklock.platforms.cloudtasks import sender as cloudtasks_send
from peeklock.platforms.http_push import endpoint as push
from peeklock.platforms.pubsub import sender as pubsub_send
from peeklock.platforms.servicebus import message as servicebus_message
from peeklock.platforms.servicebus.sample_events import load
from peeklock.platforms.sqs import sender as sqs_send
from peeklock.platforms.sqs.sender import SQSSender
from peeklock.sending import fitting
from peeklock.stores.memory import MemoryStore
from peeklock.testing import Outbox

SQS_URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders"


class SQS:
    """Takes every call, and remembers what it was told."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.changed: list[dict[str, Any]] = []

    def send_message_batch(self, **asked: Any) -> dict[str, Any]:
        self.sent += asked["Entries"]
        return {"Successful": [{"Id": entry["Id"]} for entry in asked["Entries"]]}

    def get_queue_url(self, **asked: Any) -> dict[str, str]:
        return {"QueueUrl": SQS_URL}

    def change_message_visibility_batch(self, **asked: Any) -> dict[str, Any]:
        self.changed += asked["Entries"]
        return {}


def outgoing(**changes: Any) -> OutgoingMessage:
    return OutgoingMessage(**{"body": b"{}", "lineage": Lineage(id="m-1"), **changes})


def entry_of(url: str, outgoing_message: OutgoingMessage) -> dict[str, Any]:
    client = SQS()
    assert SQSSender(url, client).send([outgoing_message]) == [None]
    return client.sent[0]


def test_sqs_is_told_group_and_deduplication_id():
    """The group is the message's own, and what deduplicates differs between copies and lives. (trials 6)"""
    copy = entry_of(
        f"{SQS_URL}.fifo", outgoing(lineage=Lineage(id="m-1", generation=2, copy_number=3), group="customer-7")
    )
    assert (copy["MessageGroupId"], copy["MessageDeduplicationId"]) == ("customer-7", "m-1.2.3.peeklock")
    dead_letter = entry_of(
        f"{SQS_URL}.fifo", outgoing(lineage=Lineage(id="m-1", generation=1), group="g", dead_letter=True)
    )
    assert (dead_letter["MessageGroupId"], dead_letter["MessageDeduplicationId"]) == ("g", "m-1.1.0.peeklock")
    alone = entry_of(f"{SQS_URL}.fifo", outgoing(lineage=Lineage(id="m-1", generation=1), dead_letter=True))
    assert alone["MessageGroupId"] == "m-1", (
        "a dead letter without a group reaches a FIFO dead-letter queue all the same"
    )


@pytest.mark.parametrize("group", ["kundé", "a b", "x" * 129])
def test_a_group_that_sqs_refuses_stays_the_same_group(group):
    """The group is sent as a hash: the same for the same name, and different for others. (trials 6)"""
    names = [
        entry_of(f"{SQS_URL}.fifo", outgoing(group=group_id))["MessageGroupId"]
        for group_id in (group, group, f"{group}2")
    ]
    assert names[0] == names[1] == hashlib.sha256(group.encode()).hexdigest()
    assert names[2] != names[0]


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [(0.001, 1), (1, 1), (1.2, 2), (899.001, 900), (900, 900)],
)
def test_a_delay_of_sqs_is_rounded_up(delay, seconds):
    """A message never comes before its time. (trials 6)"""
    assert entry_of(SQS_URL, outgoing(delay=timedelta(seconds=delay)))["DelaySeconds"] == seconds


def test_no_delay_is_no_number():
    """The queue's own setting holds then. (trials 6)"""
    assert "DelaySeconds" not in entry_of(SQS_URL, outgoing())
    assert "MessageGroupId" not in entry_of(SQS_URL, outgoing())


@pytest.mark.parametrize(
    ("after", "seconds"),
    [(0, 0), (0.001, 1), (1.2, 2), (59, 59), (37_499.5, 37_500), (37_501, 37_500), (10**6, 37_500)],
)
def test_a_visibility_is_rounded_up_and_bounded(after, seconds):
    """The bound is twelve hours, less a minute for the time since the receipt. (trials 6)"""

    @consumer(Queue("orders", max_delay=10**7))
    def handler(payload: dict) -> None:
        raise Retry(after=after)

    client = SQS()
    record = {
        "messageId": "m-1",
        "receiptHandle": "r-1",
        "body": "{}",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:orders",
    }
    entry = sqs.bind(handler, store=MemoryStore(), dead_letter=Outbox(), client=client)
    assert entry({"Records": [record]}) == {"batchItemFailures": [{"itemIdentifier": "m-1"}]}
    assert [(change["ReceiptHandle"], change["VisibilityTimeout"]) for change in client.changed] == [("r-1", seconds)]


def test_a_service_bus_message_has_every_part():
    """Session, type, id, time and properties. (trials 6)"""
    before = datetime.now(UTC)
    late = outgoing(
        lineage=Lineage(id="m-1", copy_number=1),
        group="s-1",
        content_type="application/json",
        delay=timedelta(seconds=90),
        attributes={"tenant": "blue"},
    )
    message = servicebus_message.message_of(late)
    assert (message.session_id, message.content_type, message.message_id) == (
        "s-1",
        "application/json",
        "m-1.0.1.peeklock",
    )
    assert timedelta(seconds=90) <= message.scheduled_enqueue_time_utc - before < timedelta(seconds=100)
    assert message.application_properties["tenant"] == "blue"
    assert b"".join(message.body) == b"{}"
    assert servicebus_message.message_of(outgoing()).scheduled_enqueue_time_utc is None


def test_a_task_has_every_part():
    """Name, token, deadline, time and headers. (trials 6)"""
    sender = cloudtasks_send.CloudTasksSender(
        queue="projects/p/locations/l/queues/q",
        target="https://orders.example/run",
        service_account="caller@demo",
        audience="https://orders.example",
        deadline=timedelta(seconds=60),
    )
    before = datetime.now(UTC)
    task = sender.task(outgoing(delay=timedelta(seconds=90), content_type="text/plain"))
    assert task.name == f"projects/p/locations/l/queues/q/tasks/{hashlib.sha256(b'm-1').hexdigest()}"
    assert task.http_request.oidc_token.audience == "https://orders.example"
    assert task.http_request.oidc_token.service_account_email == "caller@demo"
    assert task.dispatch_deadline == timedelta(seconds=60)
    assert timedelta(seconds=89) <= task.schedule_time - before < timedelta(seconds=100)
    assert task.http_request.headers["content-type"] == "text/plain"
    assert task.http_request.body == b"{}"
    copies = [
        cloudtasks_send.task_id(outgoing(lineage=Lineage(id="m-1", copy_number=copy_number)).id)
        for copy_number in (0, 1, 1)
    ]
    assert copies[0] != copies[1] == copies[2]


LINEAGE = Lineage(id="order-1", generation=1, copy_number=2, attempts=2)


def sqs_copy() -> Any:
    value = {"stringValue": LINEAGE.dump(), "dataType": "String"}
    record = {
        "messageId": "m-1",
        "body": "{}",
        "eventSource": "aws:sqs",
        "attributes": {"ApproximateReceiveCount": "3"},
        "messageAttributes": {"peeklock": value, "peeklock-reason": {**value, "stringValue": "fatal"}},
    }
    return sqs.receive({"Records": [record]}, "orders")[0]


def servicebus_copy() -> Any:
    fields = {
        "MessageId": {"string": "m-1"},
        "ApplicationProperties": {"json": json.dumps({"peeklock": LINEAGE.dump(), "peeklock-reason": "fatal"})},
        "UserProperties": {"json": "{}"},
        "DeliveryCount": {"json": "3"},
        "SequenceNumber": {"json": "7"},
        "EnqueuedTimeUtc": {"json": '"2026-11-25T01:54:43.209"'},
    }
    event = {"inputData": [{"name": "messages", "data": {"bytes": "e30="}}], "triggerMetadata": fields}
    return servicebus.receive(load(event).argument, "orders")[0]


def cloudtasks_copy() -> Any:
    headers = {"X-CloudTasks-TaskName": "m-1", "X-CloudTasks-TaskRetryCount": "2", "x-peeklock": LINEAGE.dump()}
    return cloudtasks.receive(push.request_of(headers, b"{}"), "orders")


def pubsub_copy() -> Any:
    inner = {
        "messageId": "m-1",
        "data": "e30=",
        "attributes": {"peeklock": LINEAGE.dump(), "peeklock-reason": "fatal"},
    }
    body = json.dumps({"message": inner, "subscription": "s", "deliveryAttempt": 3}).encode()
    return pubsub.receive(push.request_of({}, body), "orders")


@pytest.mark.parametrize("copy", [sqs_copy, servicebus_copy, cloudtasks_copy, pubsub_copy])
def test_a_copy_remembers_its_lineage(copy):
    """The copy has the id and the attempts, to which the platform's count is added; no attribute is peeklock's. (trials 6)"""
    message = copy()
    assert (message.id, message.native_id, message.delivery, message.attempt) == ("order-1", "m-1", 3, 5)
    assert message.lineage == LINEAGE
    assert not message.attributes
    assert message.body == b"{}"


@pytest.mark.parametrize(
    "request_",
    [
        push.request_of({}, b'{"message": {"messageId": "", "message_id": "", "data": "e30="}, "subscription": "s"}'),
        push.request_of({"x-goog-pubsub-message-id": ""}, b"{}"),
    ],
    ids=["wrapped", "unwrapped"],
)
def test_a_push_without_an_id_is_no_push(request_):
    """Messages without an id could not be told apart. Found by the fuzzer."""
    with pytest.raises(EventError, match="not a push"):
        pubsub.receive(request_, "orders")


def test_a_body_that_unfolds_into_too_much_is_left_as_it_is():
    """Although it has the form of ours. (trials 6)"""
    head = {"lineage": "", "attributes": {}, "types": {}, "content_type": None}
    for size, opens in ((10, True), (fitting.MAX_UNFOLDED, False)):
        folded = zlib.compress(json.dumps(head).encode() + b"\n" + b"x" * size)
        message = Message("m-1", folded, "orders")
        fitting.unfold(message, "envelope+zlib")
        assert (message.body == b"x" * size) is opens


def test_a_folded_message_has_its_lineage_in_its_body():
    """So that it is known where the attribute is lost. (trials 6)"""
    folded = fitting.folded(outgoing(lineage=LINEAGE, attributes={"tenant": "blue"}))
    inner = fitting.contents(folded.body, "envelope")
    assert isinstance(inner, fitting.Contents)
    assert (inner.lineage, dict(inner.attributes), inner.body) == (LINEAGE, {"tenant": "blue"}, b"{}")


def test_no_header_of_a_task_is_longer_than_a_server_takes():
    """Eight kilobytes a line. (trials 6)"""
    headers = cloudtasks_send.headers_of(outgoing(attributes={f"ключ{n}": "x" * 3_000 for n in range(9)}))
    assert max(len(f"{name}: {value}") for name, value in headers.items()) < 8_190
    assert sum(map(len, headers.values())) > 27_000


@pytest.mark.parametrize(
    ("attributes", "accepted"),
    [
        ({"a": "é" * 512}, True),
        ({"a": "é" * 512 + "x"}, False),
        ({f"a{n}": "x" for n in range(99)}, True),
        ({f"a{n}": "x" for n in range(100)}, False),
    ],
    ids=["1,024 bytes", "1,025 bytes", "100 with the lineage", "101 with the lineage"],
)
def test_what_pubsub_takes(attributes, accepted):
    """Values of 1,024 bytes, and 100 attributes. (trials 6)"""
    sender = pubsub_send.PubSubSender("projects/p/topics/t")
    assert sender.accepts(outgoing(attributes=attributes)) is accepted


def test_what_sqs_takes():
    """Ten attributes with the lineage, and no control character in a body. (trials 6)"""
    sender = SQSSender(SQS_URL, SQS())
    assert sender.accepts(outgoing(attributes={f"a{n}": "x" for n in range(9)}))
    assert not sender.accepts(outgoing(attributes={f"a{n}": "x" for n in range(10)}))
    assert sqs_send.pack(outgoing(body=b"\x00"))[0] == "AA=="
    assert sqs_send.pack(outgoing(body=b"text\t\n"))[0] == "text\t\n"

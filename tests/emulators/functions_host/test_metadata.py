"""Metadata of messages in the form in which the host sends them; no worker runs."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.amqp import AmqpAnnotatedMessage

from cloudqueues.functions_host import metadata, typed_data
from cloudqueues.functions_host.locked_messages import LockedMessage, MessageReceiver
from cloudqueues.servicebus import ServiceBusEmulator

CONTEXT = metadata.InvocationContext(function="orders", namespace="127.0.0.1")
EXTENSION_OBJECTS = {
    "MessageReceiver",
    "MessageSession",
    "MessageActions",
    "SessionActions",
    "ReceiveActions",
    "Client",
    "sys",
}
EVENTS = Path(__file__).parents[3] / "events" / "servicebus"


@pytest.fixture(scope="module")
def received() -> Iterator[Sequence[Any]]:
    """Receive a message with every property, one without any, and a dead letter, with the real client."""
    full = AmqpAnnotatedMessage(
        data_body=[b'{"a":', b"1}"],
        properties={
            "message_id": "order-42",
            "content_type": "application/json",
            "subject": "order.created",
            "correlation_id": "trace-1",
            "to": "to",
            "reply_to": "answers",
            "reply_to_group_id": "session",
        },
        header={"time_to_live": 14 * 24 * 3600 * 1000},
        annotations={"x-opt-partition-key": "p"},
        application_properties={"n": 1, "text": "ü", "yes": True, "half": 0.5, "id": uuid.UUID(int=1)},
    )
    bare = AmqpAnnotatedMessage(value_body="nothing")
    with ServiceBusEmulator() as bus:
        bus.add_queue("orders")
        with ServiceBusClient.from_connection_string(bus.connection_string) as client:
            with client.get_queue_sender("orders") as sender:
                for message in (full, bare, ServiceBusMessage("dead")):
                    sender.send_messages(message)
            with client.get_queue_receiver("orders") as receiver:
                messages: list[Any] = []
                while len(messages) < 3:
                    messages += receiver.receive_messages(3 - len(messages), max_wait_time=5)
                receiver.dead_letter_message(messages.pop(), reason="why", error_description="how")
                with client.get_queue_receiver("orders", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead_letters:
                    yield [*messages, *dead_letters.receive_messages(1, max_wait_time=5)]


def values(trigger_metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the values without their kinds, and JSON as text."""
    return {
        name: next(iter(value.values())) for name, value in trigger_metadata.items() if name not in EXTENSION_OBJECTS
    }


def test_one_message(received: Sequence[Any]) -> None:
    message = received[0]
    trigger_metadata = metadata.message_metadata(message, CONTEXT)
    enqueued = message.enqueued_time_utc.strftime("%Y-%m-%dT%H:%M:%S")
    properties = '{"n":1,"text":"ü","yes":true,"half":0.5,"id":"00000000-0000-0000-0000-000000000001"}'
    fields = values(trigger_metadata)
    assert {name: fields.pop(name)[:21] for name in ("EnqueuedTimeUtc", "EnqueuedTime")} == {
        "EnqueuedTimeUtc": f'"{enqueued}.',
        "EnqueuedTime": f'"{enqueued}.',
    }
    expires = (message.enqueued_time_utc + timedelta(days=14)).strftime("%Y-%m-%dT%H:%M:%S")
    assert fields.pop("ExpiresAtUtc").startswith(f'"{expires}.')
    assert fields.pop("ExpiresAt").endswith('+00:00"')
    assert fields == {
        "DeliveryCount": "1",
        "LockToken": str(message.lock_token),
        "MessageId": "order-42",
        "ContentType": "application/json",
        "ReplyTo": "answers",
        "SequenceNumber": "1",
        "To": "to",
        "Subject": "order.created",
        "Label": "order.created",
        "CorrelationId": "trace-1",
        "ApplicationProperties": properties,
        "UserProperties": properties,
        "ReplyToSessionId": "session",
        "PartitionKey": "p",
    }
    assert {name for name, value in trigger_metadata.items() if "json" in value} == EXTENSION_OBJECTS | {
        "DeliveryCount",
        "SequenceNumber",
        "ApplicationProperties",
        "UserProperties",
        "EnqueuedTime",
        "EnqueuedTimeUtc",
        "ExpiresAt",
        "ExpiresAtUtc",
    }


def test_what_is_null_is_left_out(received: Sequence[Any]) -> None:
    trigger_metadata = metadata.message_metadata(received[1], CONTEXT)
    assert set(trigger_metadata) - EXTENSION_OBJECTS == {
        "DeliveryCount",
        "LockToken",
        "ExpiresAt",
        "ExpiresAtUtc",
        "EnqueuedTime",
        "EnqueuedTimeUtc",
        "MessageId",
        "SequenceNumber",
        "ApplicationProperties",
        "UserProperties",
    }
    assert trigger_metadata["ExpiresAtUtc"] == {"json": '"9999-12-31T23:59:59.9999999"'}
    assert trigger_metadata["ExpiresAt"] == {"json": '"9999-12-31T23:59:59.9999999+00:00"'}
    assert trigger_metadata["UserProperties"] == {"json": "{}"}


def test_a_dead_letter_has_its_reason_in_its_properties_only(received: Sequence[Any]) -> None:
    trigger_metadata = metadata.message_metadata(received[2], CONTEXT)
    assert json.loads(trigger_metadata["ApplicationProperties"]["json"]) == {
        "DeadLetterReason": "why",
        "DeadLetterErrorDescription": "how",
    }
    assert not {"DeadLetterReason", "DeadLetterErrorDescription"} & set(trigger_metadata)


def test_a_batch_has_columns_without_their_empty_entries(received: Sequence[Any]) -> None:
    trigger_metadata = metadata.batch_metadata(received[::-1], CONTEXT)
    assert trigger_metadata["CorrelationIdArray"] == {"collectionString": {"string": ["trace-1"]}}
    assert trigger_metadata["SessionIdArray"] == {"collectionString": {"string": []}}
    assert trigger_metadata["DeliveryCountArray"]["json"] in {"[1,1,1]", "[2,1,1]"}
    assert trigger_metadata["SequenceNumberArray"]["collectionSint64"]["sint64"][1:] == ["2", "1"]
    assert [len(properties) for properties in json.loads(trigger_metadata["UserPropertiesArray"]["json"])] == [2, 0, 5]
    assert (
        trigger_metadata["TransactionPartitionKeyArray"]
        == trigger_metadata["PartitionKeyArray"]
        == {"collectionString": {"string": ["p"]}}
    )
    assert {name.removesuffix("Array") for name in set(trigger_metadata) - EXTENSION_OBJECTS} == set(
        metadata.columns(received[0])
    )


@pytest.mark.parametrize("event", ["single", "batch", "session_single"])
def test_columns_have_the_kinds_of_the_sample_events(received: Sequence[Any], event: str) -> None:
    """The samples were derived from the extension's source independently."""
    sample = json.loads((EVENTS / f"{event}.json").read_text())["triggerMetadata"]
    trigger_metadata = (
        metadata.batch_metadata(received, CONTEXT)
        if event == "batch"
        else metadata.message_metadata(received[0], CONTEXT)
    )
    common = set(sample) & set(trigger_metadata)
    assert len(common) >= 10
    assert {name: set(trigger_metadata[name]) for name in common} == {name: set(sample[name]) for name in common}


def test_a_session_tells_until_when_it_is_locked(received: Sequence[Any]) -> None:
    until = datetime(2026, 11, 25, 1, 2, 3, 40000, UTC)
    invocation_context = metadata.InvocationContext(function="f", namespace="n", locked_until=until)
    trigger_metadata = metadata.message_metadata(received[0], invocation_context)
    assert trigger_metadata["SessionActions"] == {"json": '{"SessionLockedUntil":"2026-11-25T01:02:03.04+00:00"}'}
    assert json.loads(trigger_metadata["sys"]["json"])["MethodName"] == "f"
    assert json.loads(trigger_metadata["Client"]["json"])["FullyQualifiedNamespace"] == "n"


def test_a_body_in_several_parts_is_one(received: Sequence[Any]) -> None:
    receiver = MessageReceiver(None, session=False)
    assert [LockedMessage(message, receiver).body for message in received] == [b'{"a":1}', b"nothing", b"dead"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (float("nan"), '"NaN"'),
        (float("inf"), '"Infinity"'),
        (float("-inf"), '"-Infinity"'),
        (1.0, "1.0"),
        (b"text", '"text"'),
        (b"\xff", '"/w=="'),
        ({b"k": [b"v", None]}, '{"k":["v",null]}'),
        (datetime(2026, 1, 2, 3, 4, 5, 120000, UTC), '"2026-01-02T03:04:05.12+00:00"'),
        (datetime(2026, 1, 2, 3, 4, 5), '"2026-01-02T03:04:05"'),  # noqa: DTZ001 - what .NET calls unspecified
    ],
)
def test_values_that_json_does_not_have(value: object, text: str) -> None:
    assert typed_data.as_json(value) == {"json": text}

"""Messages that a queue took, as its platform would deliver them again."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from peeklock import cloudtasks, pubsub, servicebus, sqs
from peeklock.message import Message
from peeklock.platforms.http_push import endpoint as push
from tests.fuzz.mutate import encoded


def from_sqs(entry: Any) -> Message:
    attributes = {
        name: {
            "dataType": value["DataType"],
            **({"stringValue": value["StringValue"]} if "StringValue" in value else {}),
            **({"binaryValue": encoded(value["BinaryValue"])} if "BinaryValue" in value else {}),
        }
        for name, value in entry["MessageAttributes"].items()
    }
    record = {
        "messageId": "again",
        "body": entry["MessageBody"],
        "eventSource": "aws:sqs",
        "messageAttributes": attributes,
    }
    return sqs.receive({"Records": [record]}, "orders")[0]


def from_task(task: Any) -> Message:
    headers = {**task.http_request.headers, "X-CloudTasks-TaskName": "again"}
    return cloudtasks.receive(push.request_of(headers, task.http_request.body), "orders")


def from_topic(published: Any) -> Message:
    data, attributes, ordering_key = published
    inner = {"messageId": "again", "data": encoded(data), "attributes": attributes, "orderingKey": ordering_key}
    body = json.dumps({"message": inner, "subscription": "projects/p/subscriptions/s"}).encode()
    return pubsub.receive(push.request_of({}, body), "orders")


def from_bus(message: Any) -> Message:
    if isinstance(message, tuple):  # as a batch of the SDK keeps it
        message = message[0]
    raw = SimpleNamespace(
        get_body=lambda: b"".join(message.body),
        application_properties=message.application_properties,
        message_id="again",
        session_id=message.session_id,
        content_type=message.content_type,
        sequence_number=1,
        enqueued_time_utc=None,
        delivery_count=1,
        metadata={},
    )
    return servicebus.receive(raw, "orders")[0]


AGAIN: dict[str, Callable[[Any], Message]] = {
    "sqs": from_sqs,
    "cloudtasks": from_task,
    "pubsub": from_topic,
    "servicebus": from_bus,
}

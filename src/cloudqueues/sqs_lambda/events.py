"""Events of a function: an SQS message as ReceiveMessage returns it, and as a record of an event.

https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cloudqueues.quotas.aws import EVENT_BYTES as MAX_PAYLOAD

_AROUND = len('{"Records":[]}')


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedMessage:
    """Message under its lock."""

    handle: str
    """Receipt handle, valid until the message is received again."""
    record: Mapping[str, Any]
    size: int
    """Bytes that the message adds to an event."""
    again: bool = False
    """True for a duplicate that fault injection made, of which SQS has no record."""
    at: float = field(default_factory=time.monotonic)
    """Time of the receive, in monotonic seconds."""

    @property
    def id(self) -> str:
        return str(self.record["messageId"])

    @property
    def group(self) -> str | None:
        group: str | None = self.record["attributes"].get("MessageGroupId")
        return group

    @property
    def delivery(self) -> tuple[str, str]:
        """Key by which faults are drawn: body and receive count, since SQS makes new ids in each run. Messages with the same
        body are hit by the same faults."""
        return self.record["body"], str(self.record["attributes"].get("ApproximateReceiveCount"))


def received_message(message: Mapping[str, Any], arn: str, region: str) -> ReceivedMessage:
    """Return a message of boto3's as it goes to a function."""
    record = to_record(message, arn, region)
    return ReceivedMessage(handle=message["ReceiptHandle"], record=record, size=len(_dump(record)) + 1)


def delivered_again(message: ReceivedMessage) -> ReceivedMessage:
    """Return a duplicate, as at-least-once delivery makes them: the same message, counted once more."""
    attributes = dict(message.record["attributes"])
    attributes["ApproximateReceiveCount"] = str(int(attributes.get("ApproximateReceiveCount", 1)) + 1)
    record = {**message.record, "attributes": attributes}
    return ReceivedMessage(handle=message.handle, record=record, size=len(_dump(record)) + 1, again=True)


def to_record(message: Mapping[str, Any], arn: str, region: str) -> dict[str, Any]:
    carried = message.get("MessageAttributes", {})
    record = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message.get("Body", ""),
        "attributes": dict(message.get("Attributes", {})),
        "messageAttributes": {name: _attribute(value) for name, value in carried.items()},
        "md5OfMessageAttributes": message.get("MD5OfMessageAttributes"),
        "md5OfBody": message.get("MD5OfBody"),
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": region,
    }
    if record["md5OfMessageAttributes"] is None:
        del record["md5OfMessageAttributes"]
    return record


def _attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return an attribute as a record has it. Its lists are always empty: SQS reserves them and does not use them."""
    shape: dict[str, Any] = {}
    if "StringValue" in value:
        shape["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        shape["binaryValue"] = base64.b64encode(value["BinaryValue"]).decode()
    return {**shape, "stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}


def event(batch: Sequence[ReceivedMessage]) -> bytes:
    return _dump({"Records": [message.record for message in batch]})


def fitting(messages: Sequence[ReceivedMessage], most: int) -> int:
    """Return how many of the messages one event holds: at most `most`, and 6 MB, but at least one."""
    size = _AROUND
    for n, message in enumerate(messages[:most]):
        size += message.size
        if size > MAX_PAYLOAD and n:
            return n
    return min(len(messages), most)


def _dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")

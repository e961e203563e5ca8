"""The shapes of what a function gets: an SQS message as ReceiveMessage returns it, and as a record of an event.

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
    """One message under its lock."""

    handle: str
    """Good for deleting it, until it is received again."""
    record: Mapping[str, Any]
    size: int
    """Bytes it adds to an event."""
    again: bool = False
    """Delivered a second time by a fault: SQS knows nothing of it."""
    at: float = field(default_factory=time.monotonic)
    """When it was received, in monotonic seconds."""

    @property
    def id(self) -> str:
        return str(self.record["messageId"])

    @property
    def group(self) -> str | None:
        group: str | None = self.record["attributes"].get("MessageGroupId")
        return group

    @property
    def delivery(self) -> tuple[str, str]:
        """What faults are drawn for. By the body, since SQS makes new ids in each run: messages of one body share
        their fate."""
        return self.record["body"], str(self.record["attributes"].get("ApproximateReceiveCount"))


def received_message(message: Mapping[str, Any], arn: str, region: str) -> ReceivedMessage:
    """A message of boto3's as it goes to a function."""
    record = to_record(message, arn, region)
    return ReceivedMessage(handle=message["ReceiptHandle"], record=record, size=len(_dump(record)) + 1)


def delivered_again(one: ReceivedMessage) -> ReceivedMessage:
    """A duplicate, as at-least-once delivery makes them: the same message, counted once more."""
    attributes = dict(one.record["attributes"])
    attributes["ApproximateReceiveCount"] = str(int(attributes.get("ApproximateReceiveCount", 1)) + 1)
    record = {**one.record, "attributes": attributes}
    return ReceivedMessage(handle=one.handle, record=record, size=len(_dump(record)) + 1, again=True)


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
    """The lists are always there and always empty: SQS has reserved them and never used them."""
    shape: dict[str, Any] = {}
    if "StringValue" in value:
        shape["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        shape["binaryValue"] = base64.b64encode(value["BinaryValue"]).decode()
    return {**shape, "stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}


def event(batch: Sequence[ReceivedMessage]) -> bytes:
    return _dump({"Records": [one.record for one in batch]})


def fitting(messages: Sequence[ReceivedMessage], most: int) -> int:
    """How many of them, from the first on, one event can hold: `most` of them, and 6 MB; but always one."""
    size = _AROUND
    for n, one in enumerate(messages[:most]):
        size += one.size
        if size > MAX_PAYLOAD and n:
            return n
    return min(len(messages), most)


def _dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")

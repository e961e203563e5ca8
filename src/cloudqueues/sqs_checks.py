"""Requests that SQS refuses and moto accepts, with the error codes of SQS.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from cloudqueues.quotas.aws import (
    ATTRIBUTES,
    DELAY_SECONDS,
    LEAST_MESSAGE_BYTES,
    LEAST_RETENTION_SECONDS,
    MESSAGE_BYTES,
    POLL_SECONDS,
    RETENTION_SECONDS,
    VISIBILITY_SECONDS,
)

Request = Mapping[str, Any]

QUEUE_ATTRIBUTES = {
    "DelaySeconds": (0, DELAY_SECONDS),
    "MaximumMessageSize": (LEAST_MESSAGE_BYTES, MESSAGE_BYTES),
    "MessageRetentionPeriod": (LEAST_RETENTION_SECONDS, RETENTION_SECONDS),
    "ReceiveMessageWaitTimeSeconds": (0, POLL_SECONDS),
    "VisibilityTimeout": (0, VISIBILITY_SECONDS),
}
"""Least and largest value of each numeric attribute of a queue."""

_UNACCEPTED = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters outside the set of XML 1.0."""

_ATTRIBUTE_NAME = re.compile(r"(?!(?i:aws|amazon)\.)(?!\.)(?!.*\.\.)[A-Za-z0-9_.-]{1,256}(?<!\.)")


class Refused(Exception):
    """Refusal of a request, with the code that SQS answers with."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def check_queue_attributes(request: Request) -> None:
    """Check a request that creates a queue or sets its attributes. Raises Refused."""
    for name, (least, largest) in QUEUE_ATTRIBUTES.items():
        value = str((request.get("Attributes") or {}).get(name, least))
        if not value.isascii() or not value.isdigit() or not least <= int(value) <= largest:
            raise Refused("InvalidAttributeValue", f"Invalid value for the parameter {name}.")


def check_receive(request: Request) -> None:
    """Check a ReceiveMessage request. Raises Refused."""
    wait = request.get("WaitTimeSeconds", 0)
    if not 0 <= wait <= POLL_SECONDS:
        raise Refused(
            "InvalidParameterValue",
            f"Value {wait} for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= {POLL_SECONDS}, if provided.",
        )


def check_message(message: Request) -> None:
    """Check the body and the attributes of a message, but for their size. Raises Refused."""
    body = message.get("MessageBody", "")
    if not body:
        raise Refused("MissingParameter", "The request must contain the parameter MessageBody.")
    _check_text("InvalidMessageContents", "message body", body)
    attributes = message.get("MessageAttributes") or {}
    if len(attributes) > ATTRIBUTES:
        raise Refused(
            "InvalidParameterValue",
            f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum [{ATTRIBUTES}].",
        )
    for name, value in attributes.items():
        _check_attribute(name, value)


def _check_attribute(name: str, value: Mapping[str, Any]) -> None:
    if not _ATTRIBUTE_NAME.fullmatch(name):
        raise Refused(
            "InvalidParameterValue",
            f"The message attribute name '{name}' is invalid: it has up to 256 letters, digits, underscores, hyphens and"
            " single periods, none of them at either end, and does not begin with AWS. or Amazon.",
        )
    _check_text("InvalidParameterValue", f"message attribute '{name}' value", value.get("StringValue", ""))


def _check_text(code: str, place: str, text: str) -> None:
    character = _UNACCEPTED.search(text)
    if character is not None:
        raise Refused(
            code,
            f"Invalid binary character '#x{ord(character[0]):X}' was found in the {place}, the set of allowed characters is"
            " #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF",
        )


def size_of(message: Request) -> int:
    """Return the bytes of a message: its body, and the names, types and values of its attributes."""
    attributes = message.get("MessageAttributes") or {}
    return len(_encoded(message.get("MessageBody", ""))) + sum(
        len(_encoded(name + value.get("DataType", "") + value.get("StringValue", "")))
        + len(base64.b64decode(value.get("BinaryValue", "")))
        for name, value in attributes.items()
    )


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def check_size(message: Request, largest: int) -> None:
    """Check the size of a message against the limit of its queue, in bytes. Raises Refused."""
    if size_of(message) > largest:
        raise Refused(
            "InvalidParameterValue",
            f"One or more parameters are invalid. Reason: Message must be shorter than {largest} bytes.",
        )


def check_batch_size(entries: list[Request]) -> None:
    """Check the size of all messages of a batch together. Raises Refused."""
    size = sum(map(size_of, entries))
    if size > MESSAGE_BYTES:
        raise Refused(
            "AWS.SimpleQueueService.BatchRequestTooLong",
            f"Batch requests cannot be longer than {MESSAGE_BYTES} bytes. You have sent {size} bytes.",
        )

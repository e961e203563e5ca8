"""Requests that SQS refuses and moto accepts, with the error codes of SQS.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Any

from cloudqueues.quotas.aws import (
    ATTRIBUTES,
    EXPONENT,
    LEAST_EXPONENT,
    MESSAGE_BYTES,
    NUMBER_DIGITS,
    POLL_SECONDS,
)

Request = Mapping[str, Any]

FIFO = ".fifo"
"""End of the name and of the URL of a FIFO queue."""

_UNACCEPTED = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters outside the set of XML 1.0."""

_ATTRIBUTE_NAME = re.compile(r"(?!(?i:aws|amazon)\.)(?!\.)(?!.*\.\.)[A-Za-z0-9_.-]{1,256}(?<!\.)")

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")


class Refused(Exception):
    """Refusal of a request, with the code that SQS answers with."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


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


def check_queue_type(message: Request, url: str) -> None:
    """Check a message for parameters that a standard queue refuses. Raises Refused.

    A group id is accepted: it makes a standard queue fair. https://github.com/cdklabs/construct-hub/issues/905
    """
    deduplication_id = message.get("MessageDeduplicationId")
    if deduplication_id is not None and not url.endswith(FIFO):
        raise Refused(
            "InvalidParameterValue",
            f"Value {deduplication_id} for parameter MessageDeduplicationId is invalid. Reason: The request include"
            " parameter that is not valid for this queue type.",
        )


def _check_attribute(name: str, value: Mapping[str, Any]) -> None:
    if not _ATTRIBUTE_NAME.fullmatch(name):
        raise Refused(
            "InvalidParameterValue",
            f"The message attribute name '{name}' is invalid: it has up to 256 letters, digits, underscores, hyphens and"
            " single periods, none of them at either end, and does not begin with AWS. or Amazon.",
        )
    _check_text("InvalidParameterValue", f"message attribute '{name}' value", value.get("StringValue", ""))
    if str(value.get("DataType")).partition(".")[0] == "Number":
        _check_number(name, value.get("StringValue", ""))


def _check_number(name: str, text: str) -> None:
    """Check the value of an attribute of type Number. Raises Refused.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html#sqs-message-attributes
    """
    number = Decimal(text) if _NUMBER.fullmatch(text) else Decimal("NaN")
    digits = len(number.normalize(Context(prec=len(text) or 1)).as_tuple().digits)
    in_range = number.is_finite() and (not number or LEAST_EXPONENT <= number.adjusted() <= EXPONENT)
    if not in_range or digits > NUMBER_DIGITS:
        raise Refused(
            "InvalidParameterValue", f"Can't cast the value of message (user) attribute '{name}' to a number."
        )


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

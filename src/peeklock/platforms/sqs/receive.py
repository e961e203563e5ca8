"""Reading of SQS messages from a Lambda event."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from peeklock.errors import EventError
from peeklock.message import LINEAGE, Lineage, Message, is_text
from peeklock.platforms.sqs.sender import GROUP, SYSTEM_ATTRIBUTES
from peeklock.sending.fitting import FORM, unfold


def receive(event: Any, queue_name: str) -> list[Message]:
    """Return the messages of an SQS event, in order.

    Raises EventError for anything else: an empty list of failures would delete its messages.
    """
    records = event.get("Records") if isinstance(event, dict) else None
    if not isinstance(records, list) or not records:
        raise EventError(
            "not an SQS event: it has a list of Records, and this has none; is the function's trigger SQS?"
        )
    return [_message(record, queue_name) for record in records]


def _message(record: Any, queue_name: str) -> Message:
    try:
        native_id, body, source = record["messageId"], record["body"], record["eventSource"]
    except (KeyError, TypeError):
        raise EventError("not an SQS event: each record has messageId, body and eventSource") from None
    if source != "aws:sqs" or type(native_id) is not str or type(body) is not str or not native_id:
        raise EventError(f"not an SQS event: a record comes from {str(source)[:80]!r}")
    if not (native_id.isascii() or is_text(native_id)):  # it could not be encoded for any queue
        raise EventError("not an SQS event: a messageId is no text")
    system = record.get("attributes")
    if type(system) is not dict:
        system = {}
    count = system.get("ApproximateReceiveCount")
    delivery = 1 if count == "1" else _count(count)
    message = Message(native_id, body.encode("utf-8", "surrogatepass"), queue_name)
    # Set one by one: ten keyword arguments cost more time than the rest of this function.
    message.delivery = message.attempt = delivery
    message.sent_ms = system.get("SentTimestamp")
    message.native_id = native_id
    message.raw = record
    if "MessageGroupId" in system or "AWSTraceHeader" in system:
        _read_system(message, system)
    carried = record.get("messageAttributes")
    if carried and type(carried) is dict:
        _unpack(message, carried)
    return message


def _read_system(message: Message, system: Mapping[str, Any]) -> None:
    """Read the group and other system attributes that a producer set. On a standard queue a group means fairness, not order."""
    texts = {name: text for name, text in system.items() if isinstance(text, str) and text}
    if str(message.raw.get("eventSourceARN")).endswith(".fifo"):
        message.group = texts.pop(GROUP, None)
    names = (GROUP, *SYSTEM_ATTRIBUTES)
    message.system = {name: texts[name] for name in names if name in texts} or None


def _count(count: Any) -> int:
    """Return the receive count as a number; 1 where it is not a positive number."""
    text = str(count) if type(count) is int else count
    if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 10:  # noqa: PLR2004 - digits of 2**31
        return max(int(text), 1)
    return 1


def _unpack(message: Message, carried: Mapping[str, Any]) -> None:
    """Read the attributes with their types and the lineage, and unfold what the sender folded."""
    values = {name: plain for name, value in carried.items() if (plain := _value(value)) is not None}
    lineage_text = values.get(LINEAGE)
    message.attributes = {name: value for name, value in values.items() if not name.startswith(LINEAGE)}
    message.types = _types(carried, message.attributes) or None
    content_type = message.attributes.get("Content-Type")
    message.content_type = content_type if isinstance(content_type, str) else None
    message.lineage = Lineage.load(lineage_text) if isinstance(lineage_text, str) else None
    if message.lineage is not None:
        message.id = message.lineage.id
        message.attempt = message.lineage.attempts + message.delivery
    if FORM in values:
        unfold(message, values[FORM])


def _types(carried: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, str]:
    kinds = {name: carried[name].get("dataType") for name in attributes}
    return {name: kind for name, kind in kinds.items() if isinstance(kind, str) and kind not in ("String", "Binary")}


def _value(value: Any) -> str | bytes | None:
    if not isinstance(value, dict):
        return None
    if str(value.get("dataType")).startswith("Binary"):
        try:
            return base64.b64decode(str(value.get("binaryValue")), validate=True)
        except (binascii.Error, ValueError):
            return None
    text = value.get("stringValue")
    return text if isinstance(text, str) else None

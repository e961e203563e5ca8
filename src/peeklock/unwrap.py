"""Envelopes that other services put around a body, as values for the `unwrap` option of a binding.

An envelope is opened only if the binding names it: guessing would let a producer's body pass for one. For nested
envelopes, name the outermost first: `unwrap=(sns, s3)`.

Each function takes a Message and returns it with the inner body. It raises InvalidMessage if the body is not such an
envelope, and NothingToHandle if the envelope is empty: the message is then completed without running the handler. Copies
and dead letters carry the message as it arrived.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote_plus

from peeklock.consuming.decoding import as_json, as_text
from peeklock.errors import ConfigError, InvalidMessage, NothingToHandle
from peeklock.keywords import nearest
from peeklock.message import Message
from peeklock.strict_json import members

Unwrap = Callable[[Message], Message]


def composed(unwraps: Sequence[Unwrap]) -> Unwrap:
    """Return a function that opens several envelopes, the outermost first."""

    def open_all(message: Message) -> Message:
        for unwrap in unwraps:
            message = unwrap(message)
        return message

    return open_all


def sns(message: Message) -> Message:
    """Open an SNS notification. With raw message delivery there is no envelope: bind without `unwrap`.

    Attributes of the notification become attributes of the message:
    https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
    """
    outer = _object(message, "an SNS notification")
    if outer.get("Type") != "Notification" or not isinstance(outer.get("Message"), str):
        raise InvalidMessage("not an SNS notification; with raw message delivery on, bind without unwrap=sns")
    carried = outer.get("MessageAttributes")
    attributes = _sns_attributes(carried if isinstance(carried, dict) else {})
    return _inner(message, outer["Message"], attributes)


def _sns_attributes(carried: Mapping[str, Any]) -> dict[str, str | bytes]:
    attributes: dict[str, str | bytes] = {}
    for name, value in carried.items():
        if not isinstance(value, dict) or not isinstance(value.get("Value"), str):
            raise InvalidMessage("an attribute without a value", where="$.MessageAttributes.*")
        binary = value.get("Type") == "Binary"
        attributes[name] = _base64(value["Value"], "$.MessageAttributes.*") if binary else value["Value"]
    return attributes


def eventbridge(message: Message) -> Message:
    """Open an EventBridge event: the body becomes the unchanged text of its `detail`.

    https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html
    """
    outer = _object(message, "an EventBridge event")
    if (
        "detail" not in outer
        or not isinstance(outer.get("detail-type"), str)
        or not isinstance(outer.get("source"), str)
    ):
        raise InvalidMessage("not an EventBridge event: it has detail, detail-type and source")
    about = {name: outer[name] for name in ("detail-type", "source", "id", "time") if isinstance(outer.get(name), str)}
    return _inner(message, members(as_text(message))["detail"], about)


def s3(message: Message) -> Message:
    """Open an S3 event notification: the body becomes its list of records.

    S3 URL-encodes the key of an object. It is decoded here, so that `s3.object.key` is the key itself:
    `my+file%281%29.txt` becomes `my file(1).txt`. Do not decode it again.

    Raises NothingToHandle for the test event that S3 sends when a notification is set up:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    outer = _object(message, "an S3 event notification")
    if outer.get("Event") == "s3:TestEvent":
        raise NothingToHandle("the test event of S3")
    records = outer.get("Records")
    if not isinstance(records, list) or not all(isinstance(r, dict) and isinstance(r.get("s3"), dict) for r in records):
        raise InvalidMessage("not an S3 event notification, which is a list of Records with an s3 each")
    for number, record in enumerate(records):
        _decode_key(record["s3"].get("object"), number)
    return _inner(message, json.dumps(records, separators=(",", ":"), ensure_ascii=False), {})


def _decode_key(stored: object, number: int) -> None:
    if isinstance(stored, dict) and isinstance(stored.get("key"), str):
        try:
            stored["key"] = unquote_plus(stored["key"], errors="strict")
        except UnicodeDecodeError:
            raise InvalidMessage("not URL-encoded UTF-8", where=f"$.Records[{number}].s3.object.key") from None


CE_PREFIXES = ("ce-", "cloudevents:", "cloudevents_")
# The first is used over HTTP and Pub/Sub, the others over AMQP:
# https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/amqp-protocol-binding.md


def cloudevents(message: Message) -> Message:
    """Open a CloudEvent, either structured (a JSON object) or binary (the body is the data, and attributes are sent beside
    it: as `ce-` headers over HTTP and Pub/Sub, as `cloudEvents:` or `cloudEvents_` properties on Service Bus).

    Its attributes become attributes of the message, with the prefix `ce-`. The body becomes the unchanged text of its
    data, which is empty for an event without data:
    https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
    """
    carried = _ce_attributes(message)
    if "specversion" in carried:
        _complete(carried)
        return replace(message, attributes={**message.attributes, **{f"ce-{k}": v for k, v in carried.items()}})
    outer = _object(message, "a CloudEvent; a batch of them has to be sent one by one")
    _complete(outer)
    about = {f"ce-{k}": v for k, v in outer.items() if isinstance(v, str) and k not in ("data", "data_base64")}
    if outer.get("data_base64") is not None:
        return _inner(message, _base64(outer["data_base64"], "$.data_base64"), about)
    data = outer.get("data")
    kind = str(outer.get("datacontenttype") or "application/json").partition(";")[0].strip().lower()
    if isinstance(data, str) and not kind.endswith("json"):
        return _inner(message, data, about)
    return _inner(message, members(as_text(message)).get("data", ""), about)


def _ce_attributes(message: Message) -> dict[str, str | bytes]:
    """Return the attributes of a binary CloudEvent, without the prefix."""
    return {
        name.lower().removeprefix(prefix): value
        for name, value in message.attributes.items()
        for prefix in CE_PREFIXES
        if name.lower().startswith(prefix)
    }


def _complete(event: Mapping[str, Any]) -> None:
    for name in ("specversion", "id", "source", "type"):
        if not isinstance(event.get(name), str) or not event[name]:
            raise InvalidMessage(f"not a CloudEvent: {name} is missing")


def _object(message: Message, what: str) -> dict[str, Any]:
    value = as_json(message)
    if not isinstance(value, dict):
        raise InvalidMessage(f"not {what}: a JSON object is needed", where="$")
    return value


def _inner(message: Message, body: str | bytes, attributes: Mapping[str, str | bytes]) -> Message:
    merged = {**message.attributes, **attributes}
    raw = body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass")
    return replace(message, body=raw, attributes=merged)


def _base64(text: object, where: str) -> bytes:
    try:
        return base64.b64decode(text if isinstance(text, str) else "?", validate=True)
    except (binascii.Error, ValueError):
        raise InvalidMessage("not base64", where=where) from None


BY_NAME: dict[str, Unwrap] = {"sns": sns, "eventbridge": eventbridge, "s3": s3, "cloudevents": cloudevents}
"""Envelopes by name, for the command line and for sample events."""


def named(text: str) -> Unwrap:
    """Return the function for a list of names such as `sns,s3`, the outermost first. Raises ConfigError for an unknown name."""
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in BY_NAME:
            raise ConfigError(f"no envelope is called {name!r}: {nearest(name, BY_NAME)}")
    return composed([BY_NAME[name] for name in names])

"""Envelopes that other services put around a body. Opened only when the binding names one: guessing would let a
producer's body pass for an envelope.

Each takes a Message and returns it with the inner body, raising InvalidMessage for what is no such envelope. Copies and
dead letters carry the message as it arrived.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from peeklock.decode import as_json
from peeklock.errors import InvalidMessage
from peeklock.message import Message

Unwrap = Callable[[Message], Message]


def sns(message: Message) -> Message:
    """A notification of SNS without raw delivery. With raw delivery the body arrives bare: bind without `unwrap`.

    Attributes of the notification become the message's:
    https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
    """
    outer = _object(message, "an SNS notification")
    if outer.get("Type") != "Notification" or not isinstance(outer.get("Message"), str):
        raise InvalidMessage("not an SNS notification; with raw message delivery on, bind without unwrap=sns")
    carried = outer.get("MessageAttributes")
    attributes = _sns_attributes(carried if isinstance(carried, dict) else {})
    return _inner(message, outer["Message"].encode(), attributes)


def _sns_attributes(carried: Mapping[str, Any]) -> dict[str, str | bytes]:
    attributes: dict[str, str | bytes] = {}
    for name, value in carried.items():
        if not isinstance(value, dict) or not isinstance(value.get("Value"), str):
            raise InvalidMessage("an attribute without a value", where=f"$.MessageAttributes.{name}")
        binary = value.get("Type") == "Binary"
        attributes[name] = _base64(value["Value"], f"$.MessageAttributes.{name}") if binary else value["Value"]
    return attributes


def eventbridge(message: Message) -> Message:
    """An EventBridge event; the body becomes its `detail`:
    https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html"""
    outer = _object(message, "an EventBridge event")
    if (
        "detail" not in outer
        or not isinstance(outer.get("detail-type"), str)
        or not isinstance(outer.get("source"), str)
    ):
        raise InvalidMessage("not an EventBridge event: it has detail, detail-type and source")
    told = {name: outer[name] for name in ("detail-type", "source", "id", "time") if isinstance(outer.get(name), str)}
    return _inner(message, _dump(outer["detail"]), told)


def s3(message: Message) -> Message:
    """An S3 event notification; the body becomes its list of records, empty for the test event that S3 sends when a
    notification is set up: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html"""
    outer = _object(message, "an S3 event notification")
    if outer.get("Event") == "s3:TestEvent":
        return _inner(message, b"[]", {})
    records = outer.get("Records")
    if not isinstance(records, list) or not all(isinstance(r, dict) and isinstance(r.get("s3"), dict) for r in records):
        raise InvalidMessage("not an S3 event notification: its Records hold s3")
    return _inner(message, _dump(records), {})


def cloudevents(message: Message) -> Message:
    """A CloudEvent, structured (one JSON object) or, over HTTP, binary (`ce-` headers around a bare body); its
    attributes become the message's, with the prefix `ce-`:
    https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md"""
    headers = {name.lower(): value for name, value in message.attributes.items()}
    if "ce-specversion" in headers:
        _complete({name[3:]: value for name, value in headers.items() if name.startswith("ce-")})
        return message
    outer = _object(message, "a CloudEvent")
    _complete(outer)
    told = {f"ce-{k}": v for k, v in outer.items() if isinstance(v, str) and k not in ("data", "data_base64")}
    if outer.get("data_base64") is not None:
        return _inner(message, _base64(outer["data_base64"], "$.data_base64"), told)
    data = outer.get("data")
    kind = str(outer.get("datacontenttype") or "application/json").partition(";")[0].strip().lower()
    text = isinstance(data, str) and not kind.endswith("json")
    return _inner(message, str(data).encode() if text else _dump(data), told)


def _complete(event: Mapping[str, Any]) -> None:
    for name in ("specversion", "id", "source", "type"):
        if not isinstance(event.get(name), str) or not event[name]:
            raise InvalidMessage(f"not a CloudEvent: {name} is missing")


def _object(message: Message, what: str) -> dict[str, Any]:
    value = as_json(message)
    if not isinstance(value, dict):
        raise InvalidMessage(f"not {what}: a JSON object is needed", where="$")
    return value


def _inner(message: Message, body: bytes, attributes: Mapping[str, str | bytes]) -> Message:
    merged = {**message.attributes, **attributes}
    return replace(message, body=body, attributes=merged)


def _dump(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _base64(text: object, where: str) -> bytes:
    try:
        return base64.b64decode(text if isinstance(text, str) else "?", validate=True)
    except (binascii.Error, ValueError):
        raise InvalidMessage("not base64", where=where) from None


BY_NAME: dict[str, Unwrap] = {"sns": sns, "eventbridge": eventbridge, "s3": s3, "cloudevents": cloudevents}
"""The envelopes by name, for a command line and for sample events."""

"""Sending to SQS.

SQS refuses empty bodies, some characters, and more than ten attributes. What does not fit travels inside the body, as an
attribute says: `receive` never guesses a body's form.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from peeklock.errors import ConfigError, SendError, because
from peeklock.message import LINEAGE
from peeklock.outgoing import OutgoingMessage, size_of
from peeklock.platforms.sqs.client import client_of, region_of
from peeklock.quotas.aws import ATTRIBUTES as MAX_ATTRIBUTES
from peeklock.quotas.aws import DELAY_SECONDS as MAX_DELAY_SECONDS
from peeklock.quotas.aws import ENTRIES as MAX_BATCH
from peeklock.quotas.aws import MESSAGE_BYTES as MAX_MESSAGE_BYTES
from peeklock.redaction import shown
from peeklock.sending.fitting import BASE64, FORM, prepare

SYSTEM_ATTRIBUTES = ("AWSTraceHeader",)
# The only one that a sender may set:
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_MessageSystemAttributeValue.html

GROUP = "MessageGroupId"

_REFUSED = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME = re.compile(r"(?!(?i:aws|amazon)\.)[A-Za-z0-9_-][A-Za-z0-9_.-]{0,255}")
_TYPE = re.compile(r"(String|Number|Binary)(\..{1,248})?")
_TOKEN = re.compile(r"[A-Za-z0-9!-/:-@\[-`{-~]{1,128}")
# Group and deduplication ids: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html

_TOO_LONG = re.compile(r"(?:shorter|longer) than (\d+) bytes")
# Matches the texts "Message must be shorter than 262144 bytes" and "Batch requests cannot be longer than 262144 bytes".


class SQSSender:
    """Sends to one queue, up to ten messages per call.

    - `sqs`: a boto3 client; by default one that is made when first needed.
    - `limit`: largest size of a message in bytes; lowered when the queue's refusal names a lower one.
    """

    def __init__(self, url: str, sqs: Any = None) -> None:
        self.url = url
        self.fifo = url.endswith(".fifo")
        self.limit = MAX_MESSAGE_BYTES
        self._batch_limit = MAX_MESSAGE_BYTES
        self._sqs = sqs

    @functools.cached_property
    def place(self) -> str:
        """Region, account and name of the queue, whatever the form of its URL. Compared with the source of each event."""
        return f"{region_of(self.url) or ''}/{urlsplit(self.url).path.strip('/')}"

    def accepts(self, outgoing: OutgoingMessage, /) -> bool:
        """Return whether the queue takes a message in this form, as far as its limits are known."""
        body, attributes = pack(outgoing)
        fits = bool(body) and len(attributes) <= MAX_ATTRIBUTES and weigh(body, attributes) <= self.limit
        return fits and all(map(_is_valid, attributes, attributes.values()))

    def weigh(self, outgoing: OutgoingMessage, /) -> int:
        return weigh(*pack(outgoing))

    def send(self, outgoing_messages: Sequence[OutgoingMessage], /) -> Sequence[SendError | None]:
        prepared = [refusal(outgoing, fifo=self.fifo) or prepare(outgoing, self) for outgoing in outgoing_messages]
        answers: list[SendError | None] = [
            self._named(entry) if isinstance(entry, SendError) else None for entry in prepared
        ]
        entries = [self._entry(n, entry) for n, entry in enumerate(prepared) if isinstance(entry, OutgoingMessage)]
        for n, failure in self._send_entries(entries):
            answers[n] = failure
        return answers

    def _named(self, failure: SendError) -> SendError:
        return SendError(f"{self.url}: {failure}")

    def _send_entries(self, entries: Sequence[dict[str, Any]]) -> Iterator[tuple[int, SendError | None]]:
        for chunk in _chunks(entries, self._batch_limit):
            yield from self._send_chunk(chunk)

    def _send_chunk(self, chunk: Sequence[dict[str, Any]]) -> Iterator[tuple[int, SendError | None]]:
        sqs = self._sqs or client_of(self.url)
        try:
            answer = sqs.send_message_batch(QueueUrl=self.url, Entries=chunk)
        except Exception as exc:  # noqa: BLE001 - any exception of the SDK: the messages may or may not have been sent
            size = self._learn(str(exc))
            self._batch_limit = min(self._batch_limit, size)
            if len(chunk) > 1 and size < sum(map(_weight, chunk)):  # the whole batch was refused: send smaller ones
                yield from self._send_entries(chunk)
                return
            failure = because(SendError(f"{self.url}: {type(exc).__name__}: {exc}"), exc)
            yield from ((int(entry["Id"]), failure) for entry in chunk)
            return
        accepted = {result["Id"] for result in answer.get("Successful", ())}
        errors = {error["Id"]: f"{error.get('Code')}: {error.get('Message', '')}" for error in answer.get("Failed", ())}
        for entry in chunk:
            if entry["Id"] not in accepted:
                self._learn(errors.get(entry["Id"], ""))
                yield (
                    int(entry["Id"]),
                    SendError(f"{self.url}: {errors.get(entry['Id'], 'no answer for this message')}"),
                )

    def _learn(self, refusal: str) -> int:
        """Lower the limit to the one that a refusal names, and return it. The next message is fitted to it."""
        named = _TOO_LONG.search(refusal)
        size = int(named[1]) if named else MAX_MESSAGE_BYTES
        self.limit = min(self.limit, size)
        return size

    def _entry(self, n: int, outgoing: OutgoingMessage) -> dict[str, Any]:
        body, attributes = pack(outgoing)
        entry: dict[str, Any] = {"Id": str(n), "MessageBody": body, "MessageAttributes": attributes}
        system = {name: _attribute(outgoing.system[name]) for name in SYSTEM_ATTRIBUTES if name in outgoing.system}
        if system:
            entry["MessageSystemAttributes"] = system
        if self.fifo:
            entry[GROUP] = _token(outgoing.group or outgoing.system.get(GROUP) or outgoing.lineage.id)
            entry["MessageDeduplicationId"] = _token(outgoing.id)
            return entry
        if group := outgoing.system.get(GROUP) or outgoing.group:  # a dead letter's group, for its redrive
            entry[GROUP] = _token(group)
        if outgoing.delay:
            entry["DelaySeconds"] = math.ceil(outgoing.delay.total_seconds())
        return entry


def refusal(outgoing: OutgoingMessage, *, fifo: bool) -> SendError | None:
    """Return the error with which SQS would refuse a message for its group or delay; None where it would not.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html"""
    delay = outgoing.delay.total_seconds()
    if delay > 0 and fifo:
        return SendError("a FIFO queue has no delay per message (SQS: InvalidParameterValue); send it without delay=")
    if outgoing.is_new and fifo and not (outgoing.group or outgoing.system.get(GROUP)):
        return SendError(
            "a FIFO queue takes no message without a group (SQS: MissingParameter, MessageGroupId); give group=, or --group,"
            " within which the order is kept"
        )
    if outgoing.group and outgoing.is_new and not fifo:
        return SendError(
            "a standard queue keeps no order within a group; use a FIFO queue, whose name ends in .fifo, or send it"
            " without group="
        )
    if delay > MAX_DELAY_SECONDS:
        return SendError(
            f"SQS delays a message by {MAX_DELAY_SECONDS} s at most, not {delay:g} s (InvalidParameterValue); let its handler"
            " wait with Retry(after=..., counts=False)"
        )
    return None


def _token(text: str) -> str:
    """Return a valid group or deduplication id, which has up to 128 printable characters: the text itself or its hash."""
    return text if _TOKEN.fullmatch(text) else hashlib.sha256(text.encode()).hexdigest()


def _chunks(entries: Sequence[dict[str, Any]], limit: int) -> Iterator[list[dict[str, Any]]]:
    chunk: list[dict[str, Any]] = []
    size = 0
    for entry in entries:
        weight = _weight(entry)
        if chunk and (len(chunk) == MAX_BATCH or size + weight > limit):
            yield chunk
            chunk, size = [], 0
        chunk.append(entry)
        size += weight
    if chunk:
        yield chunk


def _weight(entry: Mapping[str, Any]) -> int:
    return weigh(entry["MessageBody"], entry["MessageAttributes"])


def weigh(body: str, attributes: Mapping[str, Mapping[str, Any]]) -> int:
    """Return the bytes that SQS counts: the body, and each attribute's name, type and value.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html"""
    return size_of(body) + sum(
        size_of(name) + sum(len(part) if isinstance(part, bytes) else size_of(part) for part in value.values())
        for name, value in attributes.items()
    )


def pack(outgoing: OutgoingMessage) -> tuple[str, dict[str, Any]]:
    """Return a message's body and attributes for SQS. Invalid attributes are left as they are, for `accepts` to refuse."""
    attributes = {name: _attribute(value, outgoing.types.get(name, "")) for name, value in outgoing.attributes.items()}
    if outgoing.content_type and not outgoing.bare and "Content-Type" not in attributes:
        attributes["Content-Type"] = _attribute(outgoing.content_type)
    if not outgoing.bare:
        attributes[LINEAGE] = _attribute(outgoing.lineage.dump())
    body = _text(outgoing.body)
    if body is None:
        body = base64.b64encode(outgoing.body).decode()
        form = outgoing.attributes.get(FORM)
        attributes[FORM] = _attribute(f"{form}+{BASE64}" if isinstance(form, str) else BASE64)
    return body, attributes


def _text(body: bytes) -> str | None:
    """Return a body as text that SQS takes; None where there is none."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return None if _REFUSED.search(text) else text


def _is_valid(name: str, attribute: Mapping[str, Any]) -> bool:
    """Return whether SQS takes an attribute of this name and value."""
    value = attribute.get("StringValue") or attribute.get("BinaryValue")
    whole = bool(_NAME.fullmatch(name)) and ".." not in name and not name.endswith(".")
    return whole and bool(value) and (isinstance(value, bytes) or not _REFUSED.search(str(value)))


def _attribute(value: str | bytes, kind: str = "") -> dict[str, Any]:
    """Return an attribute with the producer's own type where SQS takes it, such as `Number` or `String.uuid`."""
    match = _TYPE.fullmatch(kind)
    if isinstance(value, bytes):
        return {"DataType": kind if match and match[1] == "Binary" else "Binary", "BinaryValue": value}
    return {"DataType": kind if match and match[1] != "Binary" else "String", "StringValue": value}


def from_url(url: str) -> SQSSender:
    """Return the sender to a queue's URL, such as `https://sqs.eu-west-1.amazonaws.com/123456789012/orders`. Raises ConfigError
    for another address."""
    parts = urlsplit(url)
    if not parts.netloc or parts.path.count("/") < 2:  # noqa: PLR2004 - account and name
        raise ConfigError(
            f"{shown(url)!r} is no SQS queue URL, such as https://sqs.eu-west-1.amazonaws.com/123456789012/orders"
        )
    return SQSSender(url)

"""Sending to SQS, and what it takes to get any message through it.

SQS refuses empty bodies, some characters, and more than ten attributes. What does not fit travels inside the body, and
an attribute says so: the body itself is never guessed at.
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
# The one that a sender may set:
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_MessageSystemAttributeValue.html

GROUP = "MessageGroupId"

_REFUSED = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME = re.compile(r"(?!(?i:aws|amazon)\.)[A-Za-z0-9_-][A-Za-z0-9_.-]{0,255}")
_TYPE = re.compile(r"(String|Number|Binary)(\..{1,248})?")
_TOKEN = re.compile(r"[A-Za-z0-9!-/:-@\[-`{-~]{1,128}")
# Group and deduplication ids: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html

_TOO_LONG = re.compile(r"(?:shorter|longer) than (\d+) bytes")
# Of the texts "Message must be shorter than 262144 bytes" and "Batch requests cannot be longer than 262144 bytes".


class SQSSender:
    """Sends to one queue, ten messages a call. `sqs`: a boto3 client; made when first needed otherwise.

    `limit`: bytes of a message; lowered when the queue says that it takes less.
    """

    def __init__(self, url: str, sqs: Any = None) -> None:
        self.url = url
        self.fifo = url.endswith(".fifo")
        self.limit = MAX_MESSAGE_BYTES
        self._batch_limit = MAX_MESSAGE_BYTES
        self._sqs = sqs

    @functools.cached_property
    def place(self) -> str:
        """Region, account and name of the queue, however its address is written. Each event is compared with it."""
        return f"{region_of(self.url) or ''}/{urlsplit(self.url).path.strip('/')}"

    def accepts(self, outgoing: OutgoingMessage, /) -> bool:
        """Whether the queue takes a message in this form, as far as its limits are known."""
        body, attributes = pack(outgoing)
        fits = bool(body) and len(attributes) <= MAX_ATTRIBUTES and weigh(body, attributes) <= self.limit
        return fits and all(map(_is_valid, attributes, attributes.values()))

    def weigh(self, outgoing: OutgoingMessage, /) -> int:
        return weigh(*pack(outgoing))

    def send(self, outgoing_messages: Sequence[OutgoingMessage], /) -> Sequence[SendError | None]:
        prepared = [refusal(outgoing, fifo=self.fifo) or prepare(outgoing, self) for outgoing in outgoing_messages]
        answers: list[SendError | None] = [self._named(one) if isinstance(one, SendError) else None for one in prepared]
        entries = [self._entry(n, one) for n, one in enumerate(prepared) if isinstance(one, OutgoingMessage)]
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
        except Exception as exc:  # noqa: BLE001 - whatever the SDK raises: not known to be there
            size = self._learn(str(exc))
            self._batch_limit = min(self._batch_limit, size)
            if len(chunk) > 1 and size < sum(map(_weight, chunk)):  # nothing of it was taken: in smaller batches, then
                yield from self._send_entries(chunk)
                return
            failure = because(SendError(f"{self.url}: {type(exc).__name__}: {exc}"), exc)
            yield from ((int(entry["Id"]), failure) for entry in chunk)
            return
        accepted = {one["Id"] for one in answer.get("Successful", ())}
        why = {one["Id"]: f"{one.get('Code')}: {one.get('Message', '')}" for one in answer.get("Failed", ())}
        for entry in chunk:
            if entry["Id"] not in accepted:
                self._learn(why.get(entry["Id"], ""))
                yield int(entry["Id"]), SendError(f"{self.url}: {why.get(entry['Id'], 'no answer for this message')}")

    def _learn(self, refusal: str) -> int:
        """The queue's own limit, where a refusal names it: the next message is made to fit."""
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
        if group := outgoing.system.get(GROUP) or outgoing.group:  # of a dead letter: for whoever moves it back
            entry[GROUP] = _token(group)
        if outgoing.delay:
            entry["DelaySeconds"] = math.ceil(outgoing.delay.total_seconds())
        return entry


def refusal(outgoing: OutgoingMessage, *, fifo: bool) -> SendError | None:
    """Why SQS would refuse a message, as far as that follows from its group and its delay.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html"""
    delay = outgoing.delay.total_seconds()
    if delay > 0 and fifo:
        return SendError("a FIFO queue delays no single message (SQS: InvalidParameterValue); send it without delay=")
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
    """Group and deduplication ids take 128 printable characters."""
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
    """Bytes as SQS counts them: the body, and each attribute's name, type and value.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html"""
    return size_of(body) + sum(
        size_of(name) + sum(len(part) if isinstance(part, bytes) else size_of(part) for part in value.values())
        for name, value in attributes.items()
    )


def pack(outgoing: OutgoingMessage) -> tuple[str, dict[str, Any]]:
    """Body and attributes for SQS. What it would refuse is left as it is, for `accepts` to see."""
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
    """The body as SQS takes it; None if it does not."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return None if _REFUSED.search(text) else text


def _is_valid(name: str, attribute: Mapping[str, Any]) -> bool:
    """Whether SQS takes an attribute of this name and value."""
    value = attribute.get("StringValue") or attribute.get("BinaryValue")
    whole = bool(_NAME.fullmatch(name)) and ".." not in name and not name.endswith(".")
    return whole and bool(value) and (isinstance(value, bytes) or not _REFUSED.search(str(value)))


def _attribute(value: str | bytes, kind: str = "") -> dict[str, Any]:
    """An attribute with its type: the producer's own where SQS knows it, such as `Number` or `String.uuid`."""
    match = _TYPE.fullmatch(kind)
    if isinstance(value, bytes):
        return {"DataType": kind if match and match[1] == "Binary" else "Binary", "BinaryValue": value}
    return {"DataType": kind if match and match[1] != "Binary" else "String", "StringValue": value}


def from_url(url: str) -> SQSSender:
    """`https://sqs.eu-west-1.amazonaws.com/123456789012/orders`: the queue's URL as SQS gives it."""
    parts = urlsplit(url)
    if not parts.netloc or parts.path.count("/") < 2:  # noqa: PLR2004 - account and name
        raise ConfigError(
            f"{shown(url)!r} is no SQS queue URL, such as https://sqs.eu-west-1.amazonaws.com/123456789012/orders"
        )
    return SQSSender(url)

"""Sending to SQS, and what it takes to get any message through it.

SQS refuses empty bodies, some characters, and more than ten attributes. What does not fit travels inside the body, and
the attribute `peeklock` says so: the body itself is never guessed at.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from peeklock.errors import ConfigError, SendError, because
from peeklock.message import TRAIL, Message, Trail
from peeklock.once import once
from peeklock.parcel import Parcel, from_json, to_json

MAX_BATCH_BYTES = 1024 * 1024
MAX_BATCH = 10
MAX_ATTRIBUTES = 10
MAX_DELAY_SECONDS = 900
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html

MAX_DEDUPLICATION_ID = 128
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html

ENTRY_OVERHEAD = 64
"""Bytes of slack for each message, since SQS counts names and types of attributes too."""

CONNECT_SECONDS = 2

READ_SECONDS = 5
"""SQS answers within milliseconds. boto3 would wait for 60 seconds, longer than many an event lasts."""

TRIES = 2
"""The second is for a connection that was closed while it was idle, and for a throttled call. What fails twice comes back
with its message. https://docs.aws.amazon.com/boto3/latest/guide/retries.html"""

_REFUSED = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME = re.compile(r"(?!(?i:aws|amazon)\.)[A-Za-z0-9_-][A-Za-z0-9_.-]{0,255}")
_TOKEN = re.compile(r"[A-Za-z0-9!-/:-@\[-`{-~]{1,128}")


@once
def client(region: str | None = None, endpoint: str | None = None) -> Any:
    """The process's client. Raises ConfigError where boto3 is missing."""
    try:
        import boto3
        from botocore.config import Config
    except ImportError as exc:
        raise ConfigError("boto3 is not installed: pip install 'peeklock[sqs]'") from exc
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": TRIES},
    )
    return boto3.client("sqs", region_name=region, endpoint_url=endpoint, config=config)


class SQSSender:
    """Sends to one queue, ten messages a call. `sqs`: a boto3 client; made when first needed otherwise."""

    def __init__(self, url: str, sqs: Any = None) -> None:
        self.url = url
        self.fifo = url.endswith(".fifo")
        self._sqs = sqs

    def send(self, parcels: Sequence[Parcel], /) -> Sequence[SendError | None]:
        refusals: list[SendError | None] = [self._refusal(parcel) for parcel in parcels]
        sendable = [n for n, refused in enumerate(refusals) if refused is None]
        entries = [self._entry(n, parcels[n]) for n in sendable]
        for chunk in _chunks(entries):
            for n, refused in self._send_chunk(chunk):
                refusals[n] = refused
        return refusals

    def _refusal(self, parcel: Parcel) -> SendError | None:
        delay = parcel.delay.total_seconds()
        if delay > 0 and self.fifo:
            return SendError(f"{self.url}: a FIFO queue delays no single message; send it without delay=")
        if delay > MAX_DELAY_SECONDS:
            return SendError(f"{self.url}: SQS delays a message by {MAX_DELAY_SECONDS} s at most, not {delay:g} s")
        return None

    def _send_chunk(self, chunk: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, SendError | None]]:
        sqs = self._sqs or _client_of(self.url)
        try:
            answer = sqs.send_message_batch(QueueUrl=self.url, Entries=chunk)
        except Exception as exc:  # noqa: BLE001 - whatever the SDK raises: not known to be there
            failure = because(SendError(f"{self.url}: {type(exc).__name__}: {exc}"), exc)
            yield from ((int(entry["Id"]), failure) for entry in chunk)
            return
        accepted = {one["Id"] for one in answer.get("Successful", ())}
        why = {one["Id"]: f"{one.get('Code')}: {one.get('Message', '')}" for one in answer.get("Failed", ())}
        for entry in chunk:
            if entry["Id"] not in accepted:
                yield int(entry["Id"]), SendError(f"{self.url}: {why.get(entry['Id'], 'no answer for this message')}")

    def _entry(self, n: int, parcel: Parcel) -> dict[str, Any]:
        body, attributes = pack(parcel)
        entry: dict[str, Any] = {"Id": str(n), "MessageBody": body, "MessageAttributes": attributes}
        if self.fifo:
            entry["MessageGroupId"] = _token(parcel.group or parcel.trail.id)
            entry["MessageDeduplicationId"] = _token(parcel.id)
        elif parcel.delay:
            entry["DelaySeconds"] = math.ceil(parcel.delay.total_seconds())
        return entry


def _client_of(url: str) -> Any:
    """Its region is in the name of AWS's hosts; anything else is an emulator at its own address."""
    parts = urlsplit(url)
    host = (parts.hostname or "").split(".")
    if "amazonaws" in host:
        return client(host[1] if host[0] == "sqs" else host[0], None)
    return client(None, f"{parts.scheme}://{parts.netloc}")


def _token(text: str) -> str:
    """Group and deduplication ids take 128 printable characters."""
    return text if _TOKEN.fullmatch(text) else hashlib.sha256(text.encode()).hexdigest()


def _chunks(entries: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    chunk: list[dict[str, Any]] = []
    size = 0
    for entry in entries:
        weight = _weight(entry)
        if chunk and (len(chunk) == MAX_BATCH or size + weight > MAX_BATCH_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(entry)
        size += weight
    if chunk:
        yield chunk


def _weight(entry: Mapping[str, Any]) -> int:
    weight = len(entry["MessageBody"].encode()) + ENTRY_OVERHEAD
    for name, value in entry["MessageAttributes"].items():
        weight += (
            len(name) + ENTRY_OVERHEAD + len(value.get("StringValue", "").encode() or value.get("BinaryValue", b""))
        )
    return weight


def pack(parcel: Parcel) -> tuple[str, dict[str, Any]]:
    """Body and attributes as SQS takes them."""
    carried = dict(parcel.attributes)
    if parcel.content_type and "Content-Type" not in carried:
        carried["Content-Type"] = parcel.content_type
    if parcel.body and len(carried) < MAX_ATTRIBUTES and all(_fits(name, value) for name, value in carried.items()):
        body, form = _text(parcel.body), {}
        if body is None:
            body, form = base64.b64encode(parcel.body).decode(), {"form": "base64"}
    else:
        body, form, carried = _envelope(parcel.body, carried), {"form": "envelope"}, {}
    trail = {**json.loads(parcel.trail.dump()), **form}
    attributes = {name: _attribute(value) for name, value in carried.items()}
    attributes[TRAIL] = _attribute(json.dumps(trail, separators=(",", ":")))
    return body, attributes


def _text(body: bytes) -> str | None:
    """The body as SQS takes it; None if it does not."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return text if text and not _REFUSED.search(text) else None


def _fits(name: str, value: str | bytes) -> bool:
    whole = bool(_NAME.fullmatch(name)) and ".." not in name and not name.endswith(".")
    return whole and bool(value) and (isinstance(value, bytes) or not _REFUSED.search(value))


def _attribute(value: str | bytes) -> dict[str, Any]:
    if isinstance(value, bytes):
        return {"DataType": "Binary", "BinaryValue": value}
    return {"DataType": "String", "StringValue": value}


def _envelope(body: bytes, carried: Mapping[str, str | bytes]) -> str:
    """All of it as JSON in ASCII, which SQS always takes."""
    packed = {name: to_json(value) for name, value in carried.items()}
    return json.dumps({"attributes": packed, "body": base64.b64encode(body).decode()}, separators=(",", ":"))


def unpack(message: Message, attributes: dict[str, str | bytes], trail_text: str) -> None:
    """Undo `pack`, where the trail says that it was done. A broken one is left as it is: the decoder will say so."""
    message.trail = Trail.load(trail_text)
    if message.trail is None:
        return
    form = json.loads(trail_text).get("form")
    try:
        if form == "base64":
            message.body = base64.b64decode(message.body, validate=True)
        elif form == "envelope":
            packed = json.loads(message.body)
            body = base64.b64decode(packed["body"], validate=True)
            inner = {name: from_json(value) for name, value in packed["attributes"].items()}
            message.body = body
            attributes.update(inner)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return


def from_url(url: str) -> SQSSender:
    """`https://sqs.eu-west-1.amazonaws.com/123456789012/orders`: the queue's URL as SQS gives it."""
    parts = urlsplit(url)
    if not parts.netloc or parts.path.count("/") < 2:  # noqa: PLR2004 - account and name
        raise ConfigError(
            f"{url!r} is no SQS queue URL, such as https://sqs.eu-west-1.amazonaws.com/123456789012/orders"
        )
    return SQSSender(url)

"""Sender to a file of JSON lines: for dead letters on a laptop, and for inspecting outgoing messages."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from peeklock import private_files as private
from peeklock.errors import ConfigError, SendError
from peeklock.message import Lineage
from peeklock.outgoing import OutgoingMessage, from_json, to_json
from peeklock.redaction import shown
from peeklock.sending.fitting import unfolded


class FileSender:
    """Appends one line for each outgoing message. A call is one write, synced to disk before it returns. Several processes may
    share a file."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def send(self, outgoing_messages: Sequence[OutgoingMessage], /) -> Sequence[SendError | None]:
        now = datetime.now(UTC)
        lines = "".join(f"{json.dumps(dump(outgoing, now), ensure_ascii=False)}\n" for outgoing in outgoing_messages)
        try:
            private.make_folder(self.path.parent)
            _append(self.path, lines.encode("utf-8", "surrogatepass"))
        except OSError as exc:
            raise SendError(f"{self.path}: {exc}") from exc
        return [None] * len(outgoing_messages)


def _append(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, private.FILE)
    try:
        if _ends_cut(handle):  # a full disk cut the last line: the next one must not join it
            data = b"\n" + data
        written = os.write(handle, data)
        if written != len(data):  # the last line is cut, and its message must not be completed
            raise OSError(f"only {written} of {len(data)} bytes were written")
        os.fsync(handle)
    finally:
        os.close(handle)


def _ends_cut(handle: int) -> bool:
    if os.lseek(handle, 0, os.SEEK_END) == 0:
        return False
    os.lseek(handle, -1, os.SEEK_END)
    return os.read(handle, 1) != b"\n"


def dump(outgoing: OutgoingMessage, now: datetime) -> dict[str, Any]:
    """Return an outgoing message as JSON values. Bytes that are not UTF-8 become `{"base64": ...}`."""
    lineage = outgoing.lineage
    return {
        "id": lineage.id,
        "generation": lineage.generation,
        "copy_number": lineage.copy_number,
        "attempts": lineage.attempts,
        **({"sent": lineage.sent} if lineage.sent is not None else {}),
        **({"source": lineage.source} if lineage.source else {}),
        **({"extra": lineage.extra} if lineage.extra else {}),
        "dead_letter": outgoing.dead_letter,
        "at": now.isoformat(timespec="milliseconds"),
        "delay_s": outgoing.delay.total_seconds(),
        "group": outgoing.group,
        "content_type": outgoing.content_type,
        "attributes": {name: to_json(value) for name, value in outgoing.attributes.items()},
        **({"types": dict(outgoing.types)} if outgoing.types else {}),
        **({"system": dict(outgoing.system)} if outgoing.system else {}),
        "body": to_json(_text(outgoing.body)),
    }


def _text(body: bytes) -> str | bytes:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


def read(path: str) -> Iterator[OutgoingMessage]:
    """Return the outgoing messages in a file, oldest first, without lines that a full disk cut: those were never confirmed."""
    with Path(path).open("rb") as lines:
        for line in lines:
            try:
                fields = json.loads(line.decode("utf-8", "surrogatepass"))
            except ValueError:
                continue
            yield load(fields)


def load(line: dict[str, Any]) -> OutgoingMessage:
    """Return the outgoing message of a line that `dump` made, unfolded where it was folded for another queue.

    Raises KeyError, TypeError or ValueError for another line.
    """
    _check(line)
    body = from_json(line["body"])
    outgoing = OutgoingMessage(
        body=body if isinstance(body, bytes) else body.encode(),
        lineage=Lineage(
            id=line["id"],
            generation=line["generation"],
            copy_number=line["copy_number"],
            attempts=line["attempts"],
            sent=line.get("sent"),
            source=line.get("source", ""),
            extra=line.get("extra", ""),
        ),
        attributes={name: from_json(value) for name, value in line["attributes"].items()},
        types=line.get("types", {}),
        system=line.get("system", {}),
        group=line["group"],
        delay=timedelta(seconds=line["delay_s"]),
        content_type=line["content_type"],
        dead_letter=line["dead_letter"],
    )
    return unfolded(outgoing)


_NUMBERS = ("generation", "copy_number", "attempts")
_TEXTS = ("group", "content_type")


def _check(line: dict[str, Any]) -> None:
    """Raise TypeError or ValueError for wrong values: a person may have edited the line."""
    if not (isinstance(line["id"], str) and line["id"] and type(line["dead_letter"]) is bool):
        raise TypeError("id must be a text, and dead_letter true or false")
    if any(type(line[name]) is not int or line[name] < 0 for name in _NUMBERS):
        raise ValueError("generation, copy_number and attempts must be numbers from 0 on")
    if any(not (line[name] is None or isinstance(line[name], str)) for name in _TEXTS):
        raise TypeError("group and content_type must be texts")


def from_url(url: str) -> FileSender:
    """Return the sender of `file:///var/lib/dead-letters.jsonl`, an absolute path, or of `file://dead-letters.jsonl`, a path
    relative to the working directory. Raises ConfigError where there is no path."""
    path = unquote(url.partition("://")[2])
    if not path.strip("/"):
        raise ConfigError(
            f"{shown(url)!r} names no file: use file:///var/lib/dead-letters.jsonl, or file://dead-letters.jsonl for a relative path"
        )
    return FileSender(path)

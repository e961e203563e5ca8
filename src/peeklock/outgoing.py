"""Outgoing messages: new ones, delayed copies and dead letters."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from peeklock.errors import SendError
from peeklock.message import Lineage, Message
from peeklock.quotas.google import ATTRIBUTE_VALUE
from peeklock.timing.delays import ZERO

REASON = "peeklock-reason"
"""Attribute of a dead letter with the reason for it."""

DETAIL = "peeklock-detail"
"""Attribute of a dead letter that describes the problem."""

MAX_DETAIL = ATTRIBUTE_VALUE
"""Maximum size of a dead letter's detail in bytes: the limit of an attribute of Pub/Sub."""

_ILLEGIBLE = "[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
# Compiled on first use: that takes half as long as `import peeklock`, and most processes send no dead letter.


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMessage:
    """A message on its way to a queue."""

    body: bytes
    lineage: Lineage
    attributes: Mapping[str, str | bytes] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    """Platform-specific types of attributes that are neither plain text nor plain bytes."""
    system: Mapping[str, str] = field(default_factory=dict)
    """Other properties that the platform lets a sender set, by the platform's names."""
    group: str | None = None
    delay: timedelta = ZERO
    content_type: str | None = None
    """MIME type, for platforms that carry one."""
    dead_letter: bool = False
    unexplained: bool = False
    """True for a dead letter without its reason, because the queue has no room for it. Log and record have the reason."""
    bare: bool = False
    """True for a message sent as it arrived, without lineage and reason, because nothing else fits into the queue."""
    origin: Message | None = field(default=None, repr=False, compare=False)
    """Message from which a copy or a dead letter was made; None for a new message."""

    @property
    def id(self) -> str:
        """Id for platforms that deduplicate: the same for two publications of one copy, and different otherwise."""
        return self.lineage.derived

    @property
    def is_new(self) -> bool:
        """True for a producer's message: neither a delayed copy nor a dead letter, nor a redriven one."""
        return self.origin is None and not (self.dead_letter or self.lineage.generation or self.lineage.copy_number)


def to_json(value: str | bytes) -> str | dict[str, str]:
    """Return an attribute or a body as a JSON value; bytes become an object with base64."""
    return value if isinstance(value, str) else {"base64": base64.b64encode(value).decode()}


def from_json(value: Any) -> str | bytes:
    """Reverse `to_json`. Raises KeyError, TypeError or ValueError for a value that `to_json` does not produce."""
    return value if isinstance(value, str) else base64.b64decode(value["base64"], validate=True)


class Sender(Protocol):
    """Sends messages to one queue. Implementations have to be safe for several threads.

    `send` returns one entry for each message, in order: None if the queue is certain to have it, otherwise the error. It
    raises SendError if it does not know about any of them.
    """

    def send(self, outgoing_messages: Sequence[OutgoingMessage], /) -> Sequence[SendError | None]: ...


def copy_of(message: Message, *, copy_number: int, attempts: int, delay: timedelta) -> OutgoingMessage:
    """Return a delayed copy of a message."""
    return _again(message, message.effective_lineage.copy(copy_number=copy_number, attempts=attempts), delay=delay)


def dead_letter_of(message: Message, *, reason: str, detail: str, attempts: int, now: datetime) -> OutgoingMessage:
    """Return the dead letter of a message, with the reason in its attributes."""
    about: dict[str, str | bytes] = {
        REASON: str(reason),
        "peeklock-queue": message.queue,
        "peeklock-attempts": str(attempts),
        "peeklock-at": now.isoformat(timespec="milliseconds"),
    }
    if detail:
        about[DETAIL] = cut(legible(detail), MAX_DETAIL)
    return _again(
        message, message.effective_lineage.dead_letter(), attributes={**message.attributes, **about}, dead_letter=True
    )


def _again(message: Message, lineage: Lineage, **changes: Any) -> OutgoingMessage:
    """Return the outgoing message with everything that the producer set."""
    outgoing = OutgoingMessage(
        body=message.body,
        lineage=lineage,
        attributes=message.attributes,
        types=message.types or {},
        system=message.system or {},
        group=message.group,
        content_type=message.content_type,
        origin=message,
    )
    return replace(outgoing, **changes)


def size_of(text: str) -> int:
    """Return the size of a text in UTF-8. Half a surrogate pair, which cannot be encoded, counts as three bytes."""
    return len(text.encode("utf-8", "surrogatepass"))


def legible(text: str) -> str:
    """Escape the characters that queues refuse: halves of surrogate pairs, control characters and noncharacters."""
    return re.sub(_ILLEGIBLE, lambda match: match[0].encode("unicode_escape").decode(), text)


def cut(text: str, size: int) -> str:
    """Cut a text to at most `size` bytes in UTF-8."""
    encoded = text.encode()
    return text if len(encoded) <= size else encoded[:size].decode(errors="ignore")

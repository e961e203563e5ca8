"""What is handed to a queue: new messages, delayed copies and dead letters."""

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
"""Attribute of a dead letter: why it was dead-lettered."""

DETAIL = "peeklock-detail"
"""Attribute of a dead letter: what was wrong."""

MAX_DETAIL = ATTRIBUTE_VALUE
"""Bytes of a dead letter's detail: an attribute of Pub/Sub takes no more."""

_ILLEGIBLE = "[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
# A text: to compile it takes as long as half of `import peeklock`, and most processes send no dead letter.


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMessage:
    """A message on its way to a queue."""

    body: bytes
    lineage: Lineage
    attributes: Mapping[str, str | bytes] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    """The platform's own type of an attribute, where it is neither plain text nor plain bytes."""
    system: Mapping[str, str] = field(default_factory=dict)
    """What else the platform lets a sender set, by the platform's own names."""
    group: str | None = None
    delay: timedelta = ZERO
    content_type: str | None = None
    """A MIME type, for platforms that carry one."""
    dead_letter: bool = False
    """Whether it is a dead letter."""
    unexplained: bool = False
    """A dead letter without its reason, for which the queue has no room: the log and the record have it."""
    bare: bool = False
    """Sent as it came, without lineage and reason: nothing else fits into the queue."""
    origin: Message | None = field(default=None, repr=False, compare=False)
    """The delivery that a copy or a dead letter was made of; None for a new message."""

    @property
    def id(self) -> str:
        """Id for platforms that deduplicate: equal for two publications of the same copy, different otherwise."""
        return self.lineage.derived

    @property
    def is_new(self) -> bool:
        """Whether a producer sends it, so that it is neither a copy nor a dead letter, nor one that is redriven."""
        return self.origin is None and not (self.dead_letter or self.lineage.generation or self.lineage.copy_number)


def to_json(value: str | bytes) -> str | dict[str, str]:
    """An attribute or a body as JSON holds it."""
    return value if isinstance(value, str) else {"base64": base64.b64encode(value).decode()}


def from_json(value: Any) -> str | bytes:
    """What `to_json` was given. Raises KeyError, TypeError or ValueError for what it did not write."""
    return value if isinstance(value, str) else base64.b64decode(value["base64"], validate=True)


class Sender(Protocol):
    """Hands outgoing messages to one queue.

    `send` answers for each outgoing message in order: None once the queue has it for certain, else what went wrong. Raises
    SendError when it can say nothing of any of them. Safe for several threads.
    """

    def send(self, outgoing_messages: Sequence[OutgoingMessage], /) -> Sequence[SendError | None]: ...


def copy_of(message: Message, *, copy_number: int, attempts: int, delay: timedelta) -> OutgoingMessage:
    """A delayed copy: the same message, to be delivered later."""
    return _again(message, message.effective_lineage.copy(copy_number=copy_number, attempts=attempts), delay=delay)


def dead_letter_of(message: Message, *, reason: str, detail: str, attempts: int, now: datetime) -> OutgoingMessage:
    """The dead letter of a message, with the reason among its attributes."""
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
    """A message with all that its producer set."""
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
    """Bytes of a text in UTF-8, also of one that has no encoding: half a surrogate pair takes three."""
    return len(text.encode("utf-8", "surrogatepass"))


def legible(text: str) -> str:
    """A text with escapes for what queues refuse: halves of surrogate pairs, control characters, noncharacters."""
    return re.sub(_ILLEGIBLE, lambda match: match[0].encode("unicode_escape").decode(), text)


def cut(text: str, size: int) -> str:
    """The beginning of a text, of `size` bytes in UTF-8 at most."""
    encoded = text.encode()
    return text if len(encoded) <= size else encoded[:size].decode(errors="ignore")

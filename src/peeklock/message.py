"""A message as a handler sees it, and the lineage that follows it through copies and redrives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

LINEAGE = "peeklock"
"""The attribute (property, header) in which a message's lineage travels."""

MAX_EXTRA = 512
"""Characters of what a newer release may add to a lineage. More is not ours: any producer may write the attribute."""

MOST_SENT = 2**53
"""Below it are the milliseconds of a sending time: what JSON's readers in every language take exactly."""

_NUMBERS = ("generation", "copy_number", "attempts", "sent")

_OWN = frozenset({"id", "source", *_NUMBERS})
"""Fields of a lineage that this release knows."""


def is_text(value: str) -> bool:
    """Whether it has an encoding. JSON lets half a surrogate pair through, which no store and no queue takes: as a key
    or an id it would fail the calls of all messages beside it, for ever."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def extra_of(parts: Mapping[str, Any]) -> str:
    """What a newer release added to a lineage, as JSON in one order."""
    added = {name: value for name, value in parts.items() if name not in _OWN}
    text = json.dumps(added, separators=(",", ":"), sort_keys=True) if added else ""
    return text if len(text) <= MAX_EXTRA else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Where a message comes from: what makes two deliveries the same message."""

    id: str
    """Logical id: the same for every delivery, delayed copy and redriven dead letter."""
    generation: int = 0
    """Lives before this one: +1 each time a dead letter is redriven."""
    copy_number: int = 0
    """Delayed copies before this one, within the generation."""
    attempts: int = 0
    """Counted starts that the copy remembers by itself."""
    sent: int | None = None
    """Milliseconds since 1970 when the producer first sent it; None until a copy or a dead letter has to remember it."""
    source: str = ""
    """Subscription that it came through first: each subscription of a topic has records of its own, and a delayed copy in
    another queue belongs to them."""
    extra: str = ""
    """Fields that a newer release wrote, as a JSON object: kept as they are, and carried on."""

    def copy(self, *, copy_number: int, attempts: int) -> Lineage:
        return replace(self, copy_number=copy_number, attempts=attempts)

    def dead_letter(self) -> Lineage:
        """A dead letter carries its next life already, so that redriving it by whatever tool starts that life."""
        return replace(self, generation=self.generation + 1, copy_number=0, attempts=0)

    @property
    def derived(self) -> str:
        """An id that differs between copies and lives but not between two publications of one of them. An id that a producer
        uses again was first sent at another time. The suffix keeps it apart from ids of producers, who like to number theirs."""
        if not (self.generation or self.copy_number):
            return self.id
        numbers = (self.generation, self.copy_number, *([] if self.sent is None else [self.sent]))
        return ".".join([self.id, *map(str, numbers), *filter(None, [self.source]), LINEAGE])

    def dump(self) -> str:
        parts: dict[str, Any] = {"id": self.id}
        for name in _NUMBERS:
            if value := getattr(self, name):
                parts[name] = value
        if self.source:
            parts["source"] = self.source
        if self.extra:
            parts = {**json.loads(self.extra), **parts}
        return json.dumps(parts, separators=(",", ":"), ensure_ascii=True)

    @classmethod
    def load(cls, text: str) -> Lineage | None:
        """The lineage in an attribute's value; None when it holds none, since any producer may write one."""
        try:
            parts = json.loads(text)
            known = {name: parts[name] for name in ("source", *_NUMBERS) if name in parts}
            lineage = cls(id=parts["id"], extra=extra_of(parts), **known)
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        counts = (lineage.generation, lineage.copy_number, lineage.attempts)
        if not all(type(n) is int and 0 <= n < 2**31 for n in counts):
            return None
        if lineage.sent is not None and not (type(lineage.sent) is int and 0 <= lineage.sent < MOST_SENT):
            return None
        texts: list[Any] = [lineage.id, lineage.source]
        return lineage if lineage.id and all(isinstance(text, str) and is_text(text) for text in texts) else None


@dataclass(slots=True)
class Message:
    """One message under its lock. Ask for it with a second parameter: `def charge(order: Order, message: Message)`.

    A value: change one with `dataclasses.replace`. It is not frozen at run time, which would triple the cost of the one
    object that every message needs (benchmarks/).
    """

    id: str
    """Logical id, the same on every delivery, delayed copy and redriven dead letter."""
    body: bytes
    """As the producer sent it, after any envelope that the binding unwraps."""
    queue: str
    """Name of the queue as declared, not the platform's own."""
    _: KW_ONLY
    delivery: int = 1
    """The platform's count of deliveries of this copy, 1-based; 1 where the platform does not count."""
    attempt: int = 1
    """Counted starts + 1: 1 on the first run. What `max_attempts` is compared with."""
    group: str | None = None
    """FIFO group, session or ordering key; None when the message is unordered."""
    sent_ms: str | int | None = None
    """Milliseconds since 1970, as the platform says when the producer sent it; see `sent_at`."""
    attributes: Mapping[str, str | bytes] = field(default_factory=dict)
    """The producer's attributes (application properties, headers), without peeklock's own."""
    content_type: str | None = None
    """The producer's MIME type, where the platform carries one."""
    fence: int = 0
    """Grows with each claim of the key: hand it to a downstream that can refuse an older one. 0 without a store."""
    subscription: str = ""
    """Name of the subscription of a topic that delivered it; empty where it came from a queue."""
    lineage: Lineage | None = None
    """What an earlier copy or life left on it; None on a message as its producer sent it."""
    native_id: str = ""
    """The platform's own id of this delivery's copy, for a search in its console."""
    raw: Any = field(default=None, repr=False, compare=False)
    """What the platform handed over, untouched."""
    types: Mapping[str, str] | None = field(default=None, repr=False)
    """The platform's own types of attributes, for copies and dead letters; None where all are plain."""
    system: Mapping[str, str] | None = field(default=None, repr=False)
    """What else its producer set by the platform's own means, for copies and dead letters."""

    @property
    def sent_at(self) -> datetime | None:
        """When the producer first sent it, aware, in UTC, also of delayed copies and redriven dead letters; None where that
        is not known."""
        first = self.first_sent
        try:
            return None if first is None else datetime.fromtimestamp(first / 1000, UTC)
        except (ValueError, OverflowError, OSError):
            return None

    @property
    def first_sent(self) -> int | None:
        """Milliseconds since 1970 when the producer first sent it. The platform knows that of the first copy only: of a
        later one, or a redriven dead letter, it says when that was sent."""
        lineage = self.lineage
        if lineage is not None and (lineage.sent is not None or lineage.copy_number or lineage.generation):
            return lineage.sent
        try:
            first = None if self.sent_ms is None else int(self.sent_ms)
        except (TypeError, ValueError, OverflowError):
            return None
        return first if first is not None and 0 <= first < MOST_SENT else None

    @property
    def source(self) -> str:
        """The subscription whose records are about it: this delivery's, else that of the message whose copy it is."""
        lineage = self.effective_lineage
        return self.subscription or (lineage.source if lineage.generation or lineage.copy_number else "")

    @property
    def effective_lineage(self) -> Lineage:
        """What survives copies and redrives."""
        return self.lineage or Lineage(id=self.id)

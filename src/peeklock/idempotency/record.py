"""The record of a key: all that a store keeps of it, and what a write needs from the outside world."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

UNSETTLED_KEEP = timedelta(days=400)
# An unsettled record has to outlive its message. Cloud Tasks keeps a task 31 days, but Service Bus by default without end.
# Such a record becomes another with the message's next delivery, so only messages that leave their queue by another way
# (a purge, a time to live) leave one behind: a long time costs little, and a short one forgets attempts and verdicts.
# https://cloud.google.com/tasks/docs/quotas https://learn.microsoft.com/azure/service-bus-messaging/message-expiration

LONGEST_EVENT = timedelta(hours=1)
"""No event lasts longer: twice the longest lock of all platforms (`peeklock.queue.LONGEST_TIMEOUT`)."""

LONGEST_LEASE = LONGEST_EVENT + timedelta(minutes=1)
"""A lease ends with its event, clocks that differ and late ends of processes included. One that ends later than this was
written under a clock that is far ahead."""

_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
_NONCE_BITS = 22
_MILLISECOND = timedelta(milliseconds=1)


class State(StrEnum):
    RUNNING = "running"
    WAITING = "waiting"
    DELAYING = "delaying"
    DELAYED = "delayed"
    DEAD_LETTERING = "dead_lettering"
    DEAD_LETTERED = "dead_lettered"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """All that is known of a key."""

    state: State
    version: int
    """Different at each write and growing: the fencing token."""
    owner: str
    """The process that wrote it."""
    message: str
    """Logical id of the message that the record is about; another message may have the same key."""
    expires_at: datetime
    """From here on the record counts as absent, whether or not the database removed it."""
    lease_until: datetime
    """Past this the writer's process cannot be alive."""
    generation: int = 0
    copy_number: int = 0
    attempts: int = 0
    """Counted starts, the one under way included if `counted`."""
    counted: bool = False
    """On a running record: its start ran past its time and is in `attempts` already."""
    suspect: bool = False
    """A start of this life did not come back, and none has ended since: it runs last and alone."""
    lost: int = 0
    """Starts of this life that did not come back: their process ended or was killed."""
    due: datetime | None = None
    """When the delayed copy of a moving or moved record is to be delivered."""
    sent: int | None = None
    """Milliseconds since 1970 when the message was first sent, once a copy or a dead letter was announced: a platform may say
    another time with each delivery."""
    reason: str = ""
    """The verdict of a condemned or dead record."""
    detail: str = ""
    """What went wrong last, for the next dead letter: another process may have to publish it."""
    body: str = ""
    """Hash of the body that the key stands for; empty where the consumer does not check it."""
    result: str = ""
    """What the handler returned, as JSON, on the record of a success; empty where it is not kept."""
    bare: bool = False
    """On a dead record: its dead letter carries no lineage, so the next delivery of this id is taken for a redrive. On any
    other: this life began so, and a delivery without lineage belongs to it."""
    redriven: str = ""
    """The last dead letter that was redriven into the life of another message, and began it anew."""
    extra: str = ""
    """Fields that a newer release wrote, as a JSON object: kept as they are, and written back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What a write needs from the outside world."""

    version: int
    owner: str
    now: datetime
    lease_until: datetime
    keep: timedelta
    body: str = ""


def next_version(after: int, now: datetime, nonce: int) -> int:
    """A version above `after` that no other writer chose: milliseconds, then random bits. Fits a signed 64-bit integer
    until 2089, and grows although clocks differ."""
    clock = (now - _EPOCH) // _MILLISECOND
    tick = max(clock, (after >> _NONCE_BITS) + 1)
    return tick << _NONCE_BITS | nonce & ((1 << _NONCE_BITS) - 1)

"""The record of a key, which is all that a store keeps, and the stamp of a write."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

UNSETTLED_KEEP = timedelta(days=400)
# An unsettled record has to outlive its message. Cloud Tasks keeps a task for 31 days, but Service Bus has no limit by
# default. The message's next delivery replaces the record, so only messages that leave their queue in another way (a purge,
# a time to live) leave one behind. A long time therefore costs little, while a short one loses attempts and verdicts.
# https://cloud.google.com/tasks/docs/quotas https://learn.microsoft.com/azure/service-bus-messaging/message-expiration

LONGEST_EVENT = timedelta(hours=1)
"""Upper bound of an event's duration: twice the longest lock of all platforms (`peeklock.queue.LONGEST_TIMEOUT`)."""

LONGEST_LEASE = LONGEST_EVENT + timedelta(minutes=1)
"""Upper bound of a lease: that of an event, plus time for clock skew and for processes that end late. A lease that ends later
was written by a machine whose clock is far ahead."""

_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
_NONCE_BITS = 22
_MILLISECOND = timedelta(milliseconds=1)


class State(StrEnum):
    """State of a key. `docs/contract.md` says what a delivery does in each."""

    RUNNING = "running"
    WAITING = "waiting"
    DELAYING = "delaying"
    DELAYED = "delayed"
    DEAD_LETTERING = "dead_lettering"
    DEAD_LETTERED = "dead_lettered"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Everything that is stored for a key."""

    state: State
    version: int
    """Fencing token: grows with each write."""
    owner: str
    """Event that wrote the record."""
    message: str
    """Logical id of the message that the record is about. Other messages may have the same key."""
    expires_at: datetime
    """When the record begins to count as absent, whether or not the database has removed it."""
    lease_until: datetime
    """When the process that wrote the record can no longer be alive."""
    generation: int = 0
    copy_number: int = 0
    attempts: int = 0
    """Counted starts, including the current one if `counted`."""
    counted: bool = False
    """On a `running` record: the current start ran past its time and is already included in `attempts`."""
    suspect: bool = False
    """A start of this generation was lost, and none has ended since, so the message runs last and alone."""
    lost: int = 0
    """Lost starts of this generation: those whose process ended or was killed."""
    due: datetime | None = None
    """When the delayed copy of a `delaying` or `delayed` record is to be delivered."""
    sent: int | None = None
    """When the message was first sent, in milliseconds since 1970. Recorded when a copy or a dead letter is announced, because
    a platform may report another time on each delivery."""
    reason: str = ""
    """Verdict of a `dead_lettering` or `dead_lettered` record."""
    detail: str = ""
    """Description of the last failure, for the dead letter: another process may have to publish that."""
    body: str = ""
    """Hash of the body with which the key was used; empty if the consumer does not check bodies."""
    result: str = ""
    """Return value of the handler as JSON, on a `done` record; empty if results are not kept."""
    bare: bool = False
    """On a `dead_lettered` record: the dead letter carries no lineage, so the next delivery of this id counts as redriven. On
    any other record: the generation began this way, and deliveries without lineage belong to it."""
    redriven: str = ""
    """Mark of the last redriven dead letter that started a new generation of another message's key."""
    extra: str = ""
    """Fields written by a newer release, as a JSON object. They are written back unchanged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """Values that a write takes from its surroundings: clock, owner and a new version."""

    version: int
    owner: str
    now: datetime
    lease_until: datetime
    keep: timedelta
    body: str = ""


def next_version(after: int, now: datetime, nonce: int) -> int:
    """Return a version above `after` that no other writer chooses: milliseconds, followed by random bits.

    It fits into a signed 64-bit integer until 2089, and grows even if clocks differ.
    """
    clock = (now - _EPOCH) // _MILLISECOND
    tick = max(clock, (after >> _NONCE_BITS) + 1)
    return tick << _NONCE_BITS | nonce & ((1 << _NONCE_BITS) - 1)

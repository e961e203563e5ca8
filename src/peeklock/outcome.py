"""How a message's delivery ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any


class Disposition(StrEnum):
    """What becomes of the message. The names are Service Bus's settlement verbs."""

    COMPLETE = "complete"
    """It is finished; the queue removes it."""
    ABANDON = "abandon"
    """It comes back."""
    DEAD_LETTER = "dead_letter"
    """Its dead letter is safe; the queue removes it."""


class Reason(StrEnum):
    """Why. The closed list, used verbatim in logs, metrics and dead letters."""

    DONE = "done"
    DUPLICATE = "duplicate"
    SUPERSEDED = "superseded"
    RETRY = "retry"
    RESCHEDULED = "rescheduled"
    TIMEOUT = "timeout"
    BUSY = "busy"
    HALTED = "halted"
    THROTTLED = "throttled"
    OPEN = "open"
    UNAVAILABLE = "unavailable"
    INVALID = "invalid"
    FATAL = "fatal"
    EXHAUSTED = "exhausted"
    EXPIRED = "expired"


NOT_AN_ATTEMPT = frozenset(
    {Reason.RESCHEDULED, Reason.BUSY, Reason.HALTED, Reason.THROTTLED, Reason.OPEN, Reason.UNAVAILABLE}
)
"""Reasons of deliveries that are not counted: the handler asked for that (`rescheduled`), or never ran."""


FAILED = frozenset(
    {
        Reason.RETRY,
        Reason.TIMEOUT,
        Reason.UNAVAILABLE,
        Reason.INVALID,
        Reason.FATAL,
        Reason.EXHAUSTED,
        Reason.EXPIRED,
    }
)
"""Reasons of deliveries that count as failures in metrics and alarms: also where no attempt was made, since the store or the
dead-letter queue is down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of one delivery of one message."""

    disposition: Disposition
    reason: Reason
    attempt: int = 1
    """The attempt that this delivery was, or would have been, 1-based."""
    delay: timedelta | None = None
    """Time until the message comes back; None where the platform decides, or where it does not come back."""
    copied: bool = False
    """A delayed copy carries on, so the platform is told that this one is complete."""
    unexplained: bool = False
    """The dead letter had no room for its reason, which the log has instead."""
    unrecorded: bool = False
    """The handler succeeded, and the store did not take that: a second delivery would run it again."""
    detail: str = ""
    """What is wrong and where, never a value of the body."""
    error: BaseException | None = None
    """What the handler raised, if it did."""
    result: Any = field(default=None, repr=False)
    """With `keep_result=True`, what the handler returned; for a duplicate, what its first run did."""

    @property
    def finished(self) -> bool:
        """Whether the platform may forget this delivery."""
        return self.copied or self.disposition is not Disposition.ABANDON


DONE = Outcome(disposition=Disposition.COMPLETE, reason=Reason.DONE)

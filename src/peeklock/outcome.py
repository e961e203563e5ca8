"""Outcomes of deliveries: disposition and reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any


class Disposition(StrEnum):
    """How a message is settled. The names are those of Service Bus."""

    COMPLETE = "complete"
    """The message is finished, and removed from the queue."""
    ABANDON = "abandon"
    """The message is delivered again."""
    DEAD_LETTER = "dead_letter"
    """The message is removed from the queue; its dead letter has been published."""


class Reason(StrEnum):
    """Why a message was settled this way. Logs, metrics and dead letters use these values verbatim."""

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
"""Reasons of deliveries that do not count as attempts: the handler asked for that (`rescheduled`) or never ran."""


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
"""Reasons that count as failures in metrics and alarms. `unavailable` is one although no attempt was made, because the store
or the dead-letter queue is down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Result of one delivery of a message."""

    disposition: Disposition
    reason: Reason
    attempt: int = 1
    """Number of the attempt, from 1; for a delivery that ran nothing, the attempt that it would have been."""
    delay: timedelta | None = None
    """Time until the message is delivered again; None if it is not, or if the platform decides when."""
    copied: bool = False
    """True if a delayed copy carries the message on, so that this delivery is completed on the platform."""
    unexplained: bool = False
    """True if the dead letter had no room for its reason, which is then in the log only."""
    unrecorded: bool = False
    """True if the handler succeeded but its success could not be recorded: another delivery would run it again."""
    detail: str = ""
    """Description of the problem and where it is; never contains a value of the body."""
    error: BaseException | None = None
    """Exception raised by the handler, if any."""
    result: Any = field(default=None, repr=False)
    """Return value of the handler with `keep_result=True`; for a duplicate, that of the first run."""

    @property
    def finished(self) -> bool:
        """True if the platform may remove this delivery's message from its queue."""
        return self.copied or self.disposition is not Disposition.ABANDON


DONE = Outcome(disposition=Disposition.COMPLETE, reason=Reason.DONE)

"""What is told about each settlement: the only source of logs and metrics."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from peeklock.message import Message
from peeklock.outcome import Disposition, Outcome, Reason

log = logging.getLogger("peeklock")


@dataclass(slots=True, kw_only=True)
class Settled:
    """One message and how its delivery ended. Like a Message not frozen at run time, for its cost."""

    message: Message
    outcome: Outcome
    platform: str
    key: str
    """The idempotency key; without one, the message's logical id."""
    duration: float
    """Seconds that the handler ran; 0 when it did not."""

    def fields(self) -> dict[str, str | int | float]:
        """For a log: constant names, and never anything of the body."""
        message, outcome = self.message, self.outcome
        fields: dict[str, str | int | float] = {
            "platform": self.platform,
            "queue": message.queue,
            "message_id": message.id,
            "delivery": message.delivery,
            "attempt": outcome.attempt,
            "disposition": outcome.disposition.value,
            "reason": outcome.reason.value,
            "duration_ms": round(self.duration * 1000, 3),
        }
        if message.group is not None:
            fields["group"] = message.group
        if outcome.delay is not None:
            fields["delay_s"] = round(outcome.delay.total_seconds(), 3)
        if outcome.detail:
            fields["detail"] = outcome.detail
        return fields


class Observer(Protocol):
    """Hears of each run and of each event's settlements. Neither method may raise; what it raises is logged."""

    def running(self, message: Message, /) -> AbstractContextManager[object] | None:
        """A span around a run of the handler (of one message, or the first of a batch handler's call); None for none."""
        ...

    def settled(self, settled: Sequence[Settled], /) -> None:
        """Called once an event, after its last outcome and before the platform is told."""
        ...


class LogObserver:
    """One log record a settlement, on the logger `peeklock`: INFO when it is finished, WARNING when it comes back,
    ERROR with the traceback when it is dead-lettered."""

    def running(self, message: Message, /) -> None:
        return None

    def settled(self, settled: Sequence[Settled], /) -> None:
        quiet = not log.isEnabledFor(logging.INFO)
        for one in settled:
            outcome = one.outcome
            if quiet and outcome.disposition is Disposition.COMPLETE:
                continue
            error = outcome.error if outcome.reason in (Reason.RETRY, Reason.FATAL, Reason.EXHAUSTED) else None
            record("peeklock.settled %s", one.fields(), level=_level(outcome), error=error)


def _level(outcome: Outcome) -> int:
    if outcome.disposition is Disposition.COMPLETE:
        return logging.INFO
    return logging.WARNING if outcome.disposition is Disposition.ABANDON else logging.ERROR


def record(
    event: str,
    fields: Mapping[str, str | int | float],
    *,
    level: int = logging.ERROR,
    error: BaseException | None = None,
) -> None:
    """One log record: a constant event name, `name=value` for people, and the same as attributes for machines."""
    if log.isEnabledFor(level):
        text = " ".join(f"{name}={value}" for name, value in fields.items())
        log.log(level, event, text, extra={"peeklock": dict(fields)}, exc_info=error)

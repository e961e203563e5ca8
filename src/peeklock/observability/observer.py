"""Observer of runs and settlements, the only source of logs and metrics."""

from __future__ import annotations

import json
import logging
import re
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from peeklock.errors import DeadLetter, is_a
from peeklock.message import Message
from peeklock.outcome import DONE, Disposition, Outcome, Reason

log = logging.getLogger("peeklock")

_WORD = re.compile(r'[^\s="\'`\\]+')


class Settled(Protocol):
    """Message and the outcome of its delivery."""

    @property
    def message(self) -> Message: ...
    @property
    def outcome(self) -> Outcome: ...
    @property
    def key(self) -> str:
        """The idempotency key; without one, the message's logical id."""
        ...

    @property
    def duration(self) -> float:
        """Seconds that the handler ran; 0 when it did not."""
        ...


def fields(platform: str, settled: Settled) -> dict[str, str | int | float]:
    """Return the log fields of a settlement: constant names, and nothing of the body. Values that a producer chose come last,
    so that a search for a field in the text finds peeklock's own first."""
    message, outcome = settled.message, settled.outcome
    details: dict[str, str | int | float] = {
        "platform": platform,
        "queue": message.queue,
        "disposition": outcome.disposition.value,
        "reason": outcome.reason.value,
        "delivery": message.delivery,
        "attempt": outcome.attempt,
        "duration_ms": round(settled.duration * 1000, 3),
    }
    latency = latency_ms(message)
    if latency is not None:
        details["latency_ms"] = latency
    if outcome.delay is not None:
        details["delay_s"] = round(outcome.delay.total_seconds(), 3)
    if outcome.unexplained:
        details["unexplained"] = 1
    if outcome.unrecorded:
        details["unrecorded"] = 1
    details["message_id"] = message.id
    if message.group is not None:
        details["group"] = message.group
    if outcome.detail:
        details["detail"] = outcome.detail
    return details


def latency_ms(message: Message) -> int | None:
    """Return the milliseconds since the producer sent a message, including earlier delays and attempts; None where the
    platform does not report the time."""
    sent_at = message.sent_at
    return None if sent_at is None else max(int(time.time() * 1000 - sent_at.timestamp() * 1000), 0)


class Observer(Protocol):
    """Observer of each run and of each event's settlements. Its methods should not raise: exceptions are logged and ignored."""

    def running(self, message: Message, /) -> AbstractContextManager[object] | None:
        """Return a span around a run of the handler, or None. A batch handler's call passes its first message."""
        ...

    def settled(self, platform: str, settled: Sequence[Settled], /) -> None:
        """Handle an event's settlements. Called once per event, after its last outcome and before the platform is answered."""
        ...


class LogObserver:
    """Logs one record per settlement on the logger `peeklock`: INFO for complete and rescheduled messages, WARNING for abandoned
    ones, ERROR for dead letters; with a traceback where the outcome is retry, fatal or exhausted, unless the handler raised
    `DeadLetter`."""

    def running(self, _: Message, /) -> None:
        return None

    def is_quiet(self, settled: Sequence[Settled]) -> bool:
        """Return whether no settlement reaches the logger's level."""
        if log.isEnabledFor(logging.INFO):
            return False
        for settlement in settled:
            outcome = settlement.outcome
            if outcome is not DONE and outcome.disposition is not Disposition.COMPLETE:
                return False
        return True

    def settled(self, platform: str, settled: Sequence[Settled], /) -> None:
        quiet = not log.isEnabledFor(logging.INFO)
        for settlement in settled:
            outcome = settlement.outcome
            if quiet and outcome.disposition is Disposition.COMPLETE:
                continue
            log_event(
                "peeklock.settled %s", fields(platform, settlement), level=level_of(outcome), error=error_of(outcome)
            )


def level_of(outcome: Outcome) -> int:
    """Return the level of a settlement's log record."""
    if outcome.disposition is Disposition.COMPLETE or outcome.reason is Reason.RESCHEDULED:
        return logging.INFO
    return logging.WARNING if outcome.disposition is Disposition.ABANDON else logging.ERROR


def error_of(outcome: Outcome) -> BaseException | None:
    """Return the exception whose traceback is logged: that of a retry, fatal or exhausted outcome, except for a `DeadLetter`."""
    if outcome.reason not in (Reason.RETRY, Reason.FATAL, Reason.EXHAUSTED) or is_a(outcome.error, DeadLetter):
        return None
    return outcome.error


def _shown(value: object) -> str:
    """Return a value as one plain word, or else as quoted JSON on one line, so that an id cannot pass for a field or for a
    log record of its own."""
    text = str(value)
    if _WORD.fullmatch(text) and text.isprintable():
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())


def log_event(
    event: str,
    details: Mapping[str, object],
    *,
    level: int = logging.ERROR,
    error: BaseException | None = None,
) -> None:
    """Log one record: a constant event name, `name=value` pairs for people, and the same as attributes for machines."""
    if log.isEnabledFor(level):
        text = " ".join(f"{name}={_shown(value)}" for name, value in details.items())
        log.log(level, event, text, extra={"peeklock": dict(details)}, exc_info=_traceable(error))


MOST_REMEMBERED = 1024
"""Number of events that a process remembers as logged. When it is reached all are forgotten, and may be logged again."""

_logged: set[tuple[str, ...]] = set()


def log_event_once(event: str, details: Mapping[str, str], *, level: int = logging.WARNING) -> None:
    """Log an event that holds for many deliveries once per process."""
    fact = (event, *details.values())
    if fact in _logged:
        return
    if len(_logged) >= MOST_REMEMBERED:
        _logged.clear()
    _logged.add(fact)
    log_event(event, details, level=level)


def _traceable(error: BaseException | None) -> BaseException | None:
    """Return an exception if its traceback can be formatted; else the whole record would be lost."""
    try:
        if error is not None:
            traceback.TracebackException(type(error), error, error.__traceback__, limit=1, lookup_lines=False)
    except BaseException:  # noqa: BLE001 - the class is the user's: its __cause__ and the like may raise anything
        return None
    return error

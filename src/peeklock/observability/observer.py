"""What is told about each settlement: the only source of logs and metrics."""

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
    """One message and how its delivery ended."""

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
    """What a log may say of a settlement: constant names, and never anything of the body. What a producer chose comes
    last, so that who searches the text for a field finds ours."""
    message, outcome = settled.message, settled.outcome
    told: dict[str, str | int | float] = {
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
        told["latency_ms"] = latency
    if outcome.delay is not None:
        told["delay_s"] = round(outcome.delay.total_seconds(), 3)
    if outcome.unexplained:
        told["unexplained"] = 1
    if outcome.unrecorded:
        told["unrecorded"] = 1
    told["message_id"] = message.id
    if message.group is not None:
        told["group"] = message.group
    if outcome.detail:
        told["detail"] = outcome.detail
    return told


def latency_ms(message: Message) -> int | None:
    """Milliseconds since the producer sent it, delays and attempts before this one included; None where the platform does
    not say when that was."""
    sent_at = message.sent_at
    return None if sent_at is None else max(int(time.time() * 1000 - sent_at.timestamp() * 1000), 0)


class Observer(Protocol):
    """Hears of each run and of each event's settlements. Neither method may raise; what it raises is logged."""

    def running(self, message: Message, /) -> AbstractContextManager[object] | None:
        """A span around a run of the handler (of one message, or the first of a batch handler's call); None for none."""
        ...

    def settled(self, platform: str, settled: Sequence[Settled], /) -> None:
        """Called once an event, after its last outcome and before the platform is told."""
        ...


class LogObserver:
    """One log record a settlement, on the logger `peeklock`: INFO when it is finished or was rescheduled, WARNING when it
    comes back, ERROR when it is dead-lettered; with the traceback of what the handler raised, unless it was a decision."""

    def running(self, _: Message, /) -> None:
        return None

    def is_quiet(self, settled: Sequence[Settled]) -> bool:
        """Whether all of it is beneath the log's level."""
        if log.isEnabledFor(logging.INFO):
            return False
        for one in settled:
            outcome = one.outcome
            if outcome is not DONE and outcome.disposition is not Disposition.COMPLETE:
                return False
        return True

    def settled(self, platform: str, settled: Sequence[Settled], /) -> None:
        quiet = not log.isEnabledFor(logging.INFO)
        for one in settled:
            outcome = one.outcome
            if quiet and outcome.disposition is Disposition.COMPLETE:
                continue
            log_event("peeklock.settled %s", fields(platform, one), level=level_of(outcome), error=error_of(outcome))


def level_of(outcome: Outcome) -> int:
    """Of the log record of a settlement."""
    if outcome.disposition is Disposition.COMPLETE or outcome.reason is Reason.RESCHEDULED:
        return logging.INFO
    return logging.WARNING if outcome.disposition is Disposition.ABANDON else logging.ERROR


def error_of(outcome: Outcome) -> BaseException | None:
    """The exception whose traceback belongs into the log: what a handler decided on purpose has none."""
    if outcome.reason not in (Reason.RETRY, Reason.FATAL, Reason.EXHAUSTED) or is_a(outcome.error, DeadLetter):
        return None
    return outcome.error


def _shown(value: object) -> str:
    """On one line, and as JSON in quotes where it is not one plain word: an id must not pass for a field, nor for a
    record of its own."""
    text = str(value)
    if _WORD.fullmatch(text) and text.isprintable():
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())


def log_event(
    event: str,
    told: Mapping[str, object],
    *,
    level: int = logging.ERROR,
    error: BaseException | None = None,
) -> None:
    """One log record: a constant event name, `name=value` for people, and the same as attributes for machines."""
    if log.isEnabledFor(level):
        text = " ".join(f"{name}={_shown(value)}" for name, value in told.items())
        log.log(level, event, text, extra={"peeklock": dict(told)}, exc_info=_traceable(error))


MOST_REMEMBERED = 1024
"""Facts that a process remembers to have logged, at most: then it forgets all of them, and may repeat itself."""

_logged: set[tuple[str, ...]] = set()


def log_event_once(event: str, told: Mapping[str, str], *, level: int = logging.WARNING) -> None:
    """One log record of a fact that holds for many deliveries, once in a process."""
    fact = (event, *told.values())
    if fact in _logged:
        return
    if len(_logged) >= MOST_REMEMBERED:
        _logged.clear()
    _logged.add(fact)
    log_event(event, told, level=level)


def _traceable(error: BaseException | None) -> BaseException | None:
    """The error, if a traceback of it can be written: else the whole line would be lost."""
    try:
        if error is not None:
            traceback.TracebackException(type(error), error, error.__traceback__, limit=1, lookup_lines=False)
    except BaseException:  # noqa: BLE001 - its class is the user's: __cause__ and the like may raise anything
        return None
    return error

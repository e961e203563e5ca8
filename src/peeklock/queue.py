"""The contract of a queue: the one object that the code and the infrastructure share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from peeklock.errors import ConfigError
from peeklock.keywords import check_flags, strict
from peeklock.quotas.google import DISPATCH_DEADLINES
from peeklock.timing.delays import ZERO, Seconds, seconds

if TYPE_CHECKING:
    from peeklock.retry_span import Span

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,74}")
# 75 characters and not SQS's 80, so that `.fifo` fits. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html

LONGEST_TIMEOUT = DISPATCH_DEADLINES[1]
"""Cloud Tasks' dispatch deadline, the longest lock of all platforms."""

DEFAULT_MAX_ATTEMPTS = 13
DEFAULT_FIRST_DELAY = timedelta(seconds=2)
DEFAULT_MAX_DELAY = timedelta(minutes=15)
# Together they last 31 minutes in the median, so that an outage of half an hour fills no dead-letter queue: `Queue.span`.


@dataclass(frozen=True, slots=True, init=False)
class Queue:
    """What holds for every message of a queue, on every platform.

    - `name`: letters, digits, `-` and `_`; also names the environment variables (`PEEKLOCK_<NAME>_URL`).
    - `max_attempts`: runs of the handler that count, 1-based; after the last failed one the message is dead-lettered.
    - `timeout`: how long one call of the handler may take: for one message, or for all of a `Batch`. None is started with less
      time than this left.
    - `first_delay`, `max_delay`: the exponential, fully jittered delay between attempts. Left out, they are two seconds and
      15 minutes, or as much less or more as the other one needs. A `first_delay` that is given is kept exactly, so a platform
      that needs a store for that is refused without one. Where the platform never delays (Pub/Sub), its own setting is
      between the attempts.
    - `fifo`: order is kept within a group.
    - `max_age`: a message older than this is dead-lettered as `expired` instead of run.
    - `keep`: how long a finished key is remembered, hence how late a duplicate is still recognised.

    The default attempts last half an hour in the median, and more than 12 minutes for 99 of 100 messages: `span` says how
    long those of other numbers do. Raises ConfigError with the fix for a number that nothing could honour.
    """

    name: str
    max_attempts: int
    timeout: timedelta
    first_delay: timedelta
    max_delay: timedelta
    fifo: bool
    max_age: timedelta | None
    keep: timedelta
    exact_delay: bool
    """Whether `first_delay` was asked for, and so must be honoured exactly."""

    @strict()
    def __init__(
        self,
        name: str,
        *,
        max_attempts: int = DEFAULT_MAX_ATTEMPTS,
        timeout: Seconds = 30,
        first_delay: Seconds | None = None,
        max_delay: Seconds | None = None,
        fifo: bool = False,
        max_age: Seconds | None = None,
        keep: Seconds = timedelta(days=7),
    ) -> None:
        first, most = _delays(name, first_delay, max_delay)
        chosen = {
            "name": name,
            "max_attempts": max_attempts,
            "timeout": _positive(name, "timeout", timeout),
            "first_delay": first,
            "max_delay": most,
            "fifo": fifo,
            "max_age": None if max_age is None else _positive(name, "max_age", max_age),
            "keep": _positive(name, "keep", keep),
            "exact_delay": first_delay is not None,
        }
        for field, value in chosen.items():
            object.__setattr__(self, field, value)
        self._validate()

    def _validate(self) -> None:
        if not _NAME.fullmatch(self.name if type(self.name) is str else ""):
            raise ConfigError(
                f"queue name {self.name!r}: use 1 to 75 letters, digits, '-' or '_', starting with a dead letter or digit"
                " (no '.fifo': say fifo=True)"
            )
        check_flags(f"queue {self.name!r}", fifo=self.fifo)
        if type(self.max_attempts) is not int or self.max_attempts < 1:
            raise ConfigError(
                f"queue {self.name!r}: max_attempts={self.max_attempts!r}, but it counts runs from 1; use 1 to never retry"
            )
        if self.timeout > LONGEST_TIMEOUT:
            raise ConfigError(
                f"queue {self.name!r}: timeout={self.timeout.total_seconds():g} s, but no platform holds a message"
                f" longer than {LONGEST_TIMEOUT.total_seconds():g} s; split the work, or start a job and poll it with"
                " Retry(after=..., counts=False)"
            )
        if self.first_delay > self.max_delay:
            raise ConfigError(
                f"queue {self.name!r}: first_delay={self.first_delay.total_seconds():g} s is over"
                f" max_delay={self.max_delay.total_seconds():g} s; raise max_delay or lower first_delay"
            )

    def span(self, platform: str, *, store: bool = True) -> Span:
        """How long the attempts of a message last on a platform while each of them fails: what outage they survive.

        Counted are the delays between the first attempt and the last, not the time that runs take. `platform`: `sqs`,
        `servicebus`, `cloudtasks` or `pubsub`, with the settings that `peeklock.infra` makes; a Pub/Sub subscription is taken
        to have a retry policy of `first_delay` and `max_delay`, at most 600 s, which Pub/Sub keeps as well as it can. `store`: whether one is configured; without
        it, Service Bus and Cloud Tasks delay by settings of their own. Raises ConfigError for another platform.
        """
        from peeklock.retry_span import Backoff, span_of

        asked = Backoff(delays=self.max_attempts - 1, first=self.first_delay, most=self.max_delay, fifo=self.fifo)
        return span_of(asked, platform, store=store)

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits of the contract. Infrastructure and code that disagree on any number differ here."""
        import hashlib

        contract = "|".join(
            f"{field}={getattr(self, field)}"
            for field in ("name", "max_attempts", "timeout", "first_delay", "max_delay", "fifo", "max_age", "keep")
        )
        return hashlib.sha256(contract.encode()).hexdigest()[:12]

    def variable(self, suffix: str) -> str:
        """The environment variable that holds something of this queue, such as `PEEKLOCK_ORDERS_URL`."""
        return f"PEEKLOCK_{re.sub(r'[^A-Za-z0-9]', '_', self.name).upper()}_{suffix}"


def _delays(name: str, first: Seconds | None, most: Seconds | None) -> tuple[timedelta, timedelta]:
    """The first delay and the longest. Where only one is given, the other's default gives way to it."""
    if most is None:
        shortest = DEFAULT_FIRST_DELAY if first is None else _duration(name, "first_delay", first)
        return shortest, max(DEFAULT_MAX_DELAY, shortest)
    longest = _duration(name, "max_delay", most)
    return (min(DEFAULT_FIRST_DELAY, longest) if first is None else _duration(name, "first_delay", first)), longest


def _duration(name: str, field: str, value: Seconds) -> timedelta:
    try:
        return seconds(value, f"queue {name!r}: {field}")
    except (TypeError, ValueError) as exc:
        raise ConfigError(str(exc)) from exc


def _positive(name: str, field: str, value: Seconds) -> timedelta:
    duration = _duration(name, field, value)
    if duration == ZERO:
        raise ConfigError(f"queue {name!r}: {field} must be more than 0 seconds")
    return duration

"""The contract of a queue, shared by code and infrastructure."""

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
# SQS takes 80 characters, five of which are for `.fifo`. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html

LONGEST_TIMEOUT = DISPATCH_DEADLINES[1]
"""Cloud Tasks' dispatch deadline, the longest lock of all platforms."""

DEFAULT_MAX_ATTEMPTS = 13
DEFAULT_FIRST_DELAY = timedelta(seconds=2)
DEFAULT_MAX_DELAY = timedelta(minutes=15)
# Together they span 31 minutes in the median, so that an outage of half an hour does not fill the dead-letter queue: see
# `Queue.span`.


@dataclass(frozen=True, slots=True, init=False)
class Queue:
    """The contract of a queue: settings that hold for each of its messages, on every platform.

    - `name`: letters, digits, `-` and `_`. It also names the environment variables (`PEEKLOCK_<NAME>_URL`).
    - `max_attempts`: the number of counted runs of the handler. When the last of them fails, the message is dead-lettered.
    - `timeout`: the longest that one call of the handler may take, whether for a single message or for a whole `Batch`. No
      call starts when less time than this is left.
    - `first_delay`, `max_delay`: bounds of the exponential, fully jittered delay between attempts. The defaults are two
      seconds and 15 minutes; if only one is given, the other's default adapts to it. An explicit `first_delay` is kept
      exactly, so binding without a store is refused on a platform that needs one for this. On a platform that cannot
      delay (Pub/Sub), the subscription's own retry policy applies.
    - `fifo`: whether order is kept within a group.
    - `max_age`: messages older than this are dead-lettered as `expired` instead of run.
    - `keep`: how long a finished key is remembered, and therefore how late a duplicate is still recognised.

    The default attempts span half an hour in the median, and more than 12 minutes for 99 of 100 messages; `span` computes
    the same for other settings. `dataclasses.replace` derives a queue with other settings.

    Raises ConfigError, which names the fix, for settings that no platform can honour.
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
    """True if `first_delay` was given explicitly, and so has to be kept exactly."""

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
        exact_delay: bool | None = None,
    ) -> None:
        """`exact_delay` is there for `dataclasses.replace`, which passes every field: False marks a default first delay."""
        if exact_delay is False and _is_default(first_delay, max_delay):
            first_delay = None
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
                f"queue name {self.name!r}: use 1 to 75 letters, digits, '-' or '_', starting with a letter or digit"
                " (no '.fifo': write fifo=True)"
            )
        check_flags(f"queue {self.name!r}", fifo=self.fifo)
        if type(self.max_attempts) is not int or self.max_attempts < 1:
            raise ConfigError(
                f"queue {self.name!r}: max_attempts={self.max_attempts!r}, but it is an integer from 1; use 1 to never retry"
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
        """Return how long the attempts of a message last if all of them fail: the longest outage that they survive.

        The span is the sum of the delays between the first attempt and the last, without the time that the runs take.
        `platform` is a platform's name, such as `sqs`; its settings are assumed to be those that `peeklock.infra` deploys. A
        Pub/Sub subscription is assumed to have a retry policy of `first_delay` and `max_delay`, at most 600 s, which
        Pub/Sub follows approximately. `store` says whether a store is configured; without one, Service Bus and Cloud
        Tasks delay by their own settings.

        Raises ConfigError for an unknown platform, and for one whose package has no rule.
        """
        from peeklock.platform_registry import load_target, platform_named
        from peeklock.retry_span import Backoff

        rule = platform_named(platform).span
        if not rule:
            raise ConfigError(
                f"span({platform!r}): its package has no rule; add span='module:function' to its Platform"
            )
        backoff = Backoff(delays=self.max_attempts - 1, first=self.first_delay, most=self.max_delay, fifo=self.fifo)
        span: Span = load_target(rule)(backoff, store=store)
        return span

    @property
    def fingerprint(self) -> str:
        """Hash of the contract, as twelve hexadecimal digits. It differs if code and infrastructure disagree on a setting."""
        import hashlib

        contract = "|".join(
            f"{field}={getattr(self, field)}"
            for field in ("name", "max_attempts", "timeout", "first_delay", "max_delay", "fifo", "max_age", "keep")
        )
        return hashlib.sha256(contract.encode()).hexdigest()[:12]

    def variable(self, suffix: str) -> str:
        """Return the name of an environment variable of this queue, such as `PEEKLOCK_ORDERS_URL` for the suffix `URL`."""
        return f"PEEKLOCK_{re.sub(r'[^A-Za-z0-9]', '_', self.name).upper()}_{suffix}"


def _is_default(first: Seconds | None, most: Seconds | None) -> bool:
    """Return whether a first delay is the default one, also where a shorter longest delay has reduced it."""
    return first == DEFAULT_FIRST_DELAY or (isinstance(most, timedelta) and first == most < DEFAULT_FIRST_DELAY)


def _delays(name: str, first: Seconds | None, most: Seconds | None) -> tuple[timedelta, timedelta]:
    """Return the first delay and the longest. If only one is given, the default of the other adapts to it."""
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

"""How long to wait: pure arithmetic, with the time and the random source passed in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol

Seconds = float | timedelta
"""A duration at the user's edge: a number of seconds, or a timedelta."""

ZERO = timedelta()
MAX_DURATION = timedelta(days=36_500)
"""Longer than anything is waited for or kept, and short enough that a date so far from now exists."""

MAX_EXPONENT = 30  # 2**30 s is 34 years: past it only an overflow could happen


class Random(Protocol):
    """What full jitter needs of a random source; `random.Random` has it."""

    def uniform(self, a: float, b: float, /) -> float: ...


def seconds(value: Seconds, what: str) -> timedelta:
    """A duration as a timedelta.

    Raises TypeError for anything but a number or a timedelta, ValueError for a negative, infinite or absurd one.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, timedelta)):
        raise TypeError(f"{what} takes seconds (a number) or a timedelta, not {type(value).__name__}")
    try:
        duration = value if isinstance(value, timedelta) else timedelta(seconds=value)
    except (OverflowError, ValueError) as exc:
        raise ValueError(f"{what} takes seconds (a number) or a timedelta, and {value!r} is out of range") from exc
    if duration < ZERO:
        raise ValueError(f"{what} cannot be negative: {value!r}")
    if duration > MAX_DURATION:
        raise ValueError(f"{what} takes at most {MAX_DURATION.days} days, and {value!r} is out of range")
    return duration


def backoff(failures: int, first: timedelta, most: timedelta, random: Random) -> timedelta:
    """The delay after the nth failure (1-based): uniform between nothing and `first * 2**(n-1)`, at most `most`.

    Full jitter, because equal delays make the messages that failed together come back together:
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    exponent = min(max(failures - 1, 0), MAX_EXPONENT)
    ceiling = min(first.total_seconds() * 2.0**exponent, most.total_seconds())
    return timedelta(seconds=random.uniform(0.0, ceiling))


def retry_after(value: str, now: datetime) -> timedelta | None:
    """A `Retry-After` header in either form, seconds or an HTTP date (RFC 9110, 10.2.3); None if it is neither,
    or too long to be meant."""
    from email.utils import parsedate_to_datetime  # a fifth of the core's import, for a rare header

    text = value.strip()
    try:
        if text.isascii() and text.isdigit():
            return seconds(int(text), "Retry-After")
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    delay = max(aware - now, ZERO)
    return delay if delay <= MAX_DURATION else None

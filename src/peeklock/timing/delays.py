"""Arithmetic of delays. Time and randomness are passed in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol

Seconds = float | timedelta
"""A duration in the public API: a number of seconds, or a timedelta."""

ZERO = timedelta()
MAX_DURATION = timedelta(days=36_500)
"""Longest accepted duration: longer than any wait, and short enough that a date that far ahead exists."""

MAX_EXPONENT = 30  # 2**30 s is 34 years; larger exponents could only overflow


class Random(Protocol):
    """Source of randomness for full jitter, such as `random.Random`."""

    def uniform(self, a: float, b: float, /) -> float: ...


def seconds(value: Seconds, what: str) -> timedelta:
    """Convert a duration to a timedelta. `what` names it in errors.

    Raises TypeError if it is neither a number nor a timedelta, ValueError if it is negative, infinite or too long.
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
    """Return the delay after the nth failure (1-based): uniform between 0 and `first * 2**(n-1)`, at most `most`.

    Full jitter spreads messages that failed together, which would otherwise all be retried at the same time:
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    exponent = min(max(failures - 1, 0), MAX_EXPONENT)
    ceiling = min(first.total_seconds() * 2.0**exponent, most.total_seconds())
    return timedelta(seconds=random.uniform(0.0, ceiling))


def retry_after(value: str, now: datetime) -> timedelta | None:
    """Parse a `Retry-After` header, either seconds or an HTTP date (RFC 9110, 10.2.3); None if it is neither, or too long."""
    from email.utils import parsedate_to_datetime  # a fifth of the core's import time, for a rare header

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

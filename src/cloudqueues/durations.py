"""Durations as users write them."""

from __future__ import annotations

from datetime import timedelta

Seconds = float | timedelta
"""Duration in a user's call: a number of seconds, or a timedelta."""

ZERO = timedelta()
LONGEST = timedelta(days=36_500)
"""Longest duration that is accepted: a date that far from now still exists."""


def seconds(value: Seconds, what: str) -> timedelta:
    """Return a duration as a timedelta.

    Raises TypeError for anything but a number or a timedelta, ValueError for a negative or infinite duration and for one
    above `LONGEST`.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, timedelta)):
        raise TypeError(f"{what} takes seconds (a number) or a timedelta, not {type(value).__name__}")
    try:
        duration = value if isinstance(value, timedelta) else timedelta(seconds=value)
    except (OverflowError, ValueError) as exc:
        raise ValueError(f"{what} takes seconds (a number) or a timedelta, and {value!r} is out of range") from exc
    if duration < ZERO:
        raise ValueError(f"{what} cannot be negative: {value!r}")
    if duration > LONGEST:
        raise ValueError(f"{what} takes at most {LONGEST.days} days, and {value!r} is out of range")
    return duration

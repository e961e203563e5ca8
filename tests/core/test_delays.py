"""Durations at their edges; the usual ones are in test_declaring.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from peeklock import ConfigError, Queue, Retry
from peeklock.timing.delays import MAX_DURATION, retry_after, seconds

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "value", [MAX_DURATION + timedelta(microseconds=1), timedelta.max, 1e11, 10**400, float("inf")]
)
def test_a_duration_beyond_the_calendar(value):
    """Is refused at once: added to a date it would only fail when a message is at stake."""
    with pytest.raises(ValueError, match=r"x takes .* out of range"):
        seconds(value, "x")
    with pytest.raises(ValueError, match="out of range"):
        Retry(after=value)


def test_a_century_is_let_through():
    """And ends at a date that exists."""
    assert NOW + seconds(MAX_DURATION, "x") < datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize("field", ["timeout", "first_delay", "max_delay", "max_age", "keep"])
def test_a_queue_with_such_a_number(field):
    """Says which."""
    with pytest.raises(ConfigError, match=f"queue 'a': {field} takes at most 36500 days"):
        Queue("a", **{field: timedelta.max})


@given(st.text(max_size=40) | st.from_regex(r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} .{0,20}", fullmatch=True))
@example("9" * 11)
@example("Fri, 31 Dec 9999 23:59:59 -2359")
@example("Mon, 01 Jan 0001 00:00:00 +2359")
def test_any_header_is_a_delay_or_none(header):
    """A server may say anything."""
    delay = retry_after(header, NOW)
    assert delay is None or delay >= timedelta()


@pytest.mark.parametrize("header", ["9" * 11, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_header_too_long_to_be_meant(header):
    """Is none, in either form: else the handler's `Retry(after=...)` would be refused."""
    assert retry_after(header, NOW) is None

"""Retry policy and token bucket."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudqueues.cloudtasks.dispatch_policy import UNLIMITED, RetryPolicy, TokenBucket, burst_of
from cloudqueues.cloudtasks.state import Tombstones


def retry(**settings: float) -> RetryPolicy:
    values = {"max_attempts": 100, "max_duration": 0.0, "min_backoff": 0.1, "max_backoff": 3600.0, "max_doublings": 16}
    return RetryPolicy(**{**values, **settings})  # type: ignore[arg-type] # counts are whole


@pytest.mark.parametrize(
    ("settings", "series"),
    [
        ({"min_backoff": 10, "max_backoff": 300, "max_doublings": 3}, [10, 20, 40, 80, 160, 240, 300, 300]),
        ({"min_backoff": 1, "max_backoff": 7, "max_doublings": 1}, [1, 2, 4, 6, 7, 7]),
        ({"min_backoff": 5, "max_backoff": 100, "max_doublings": 0}, [5, 10, 15, 20]),
        ({"min_backoff": 3, "max_backoff": 3}, [3, 3, 3]),
        ({}, [0.1, 0.2, 0.4, 0.8, 1.6, 3.2]),
    ],
)
def test_series(settings: Any, series: Any) -> None:
    assert [retry(**settings).backoff(n) for n in range(1, len(series) + 1)] == pytest.approx(series)


@given(st.floats(0.001, 3600), st.floats(1, 100), st.integers(0, 2**31 - 1), st.integers(1, 2**31 - 1))
def test_a_back_off_grows_up_to_its_limit(least: Any, factor: Any, doublings: Any, attempts: Any) -> None:
    retry_policy = retry(min_backoff=least, max_backoff=least * factor, max_doublings=doublings)
    assert least <= retry_policy.backoff(attempts) <= retry_policy.backoff(attempts + 1) <= least * factor


@pytest.mark.parametrize(
    ("attempts", "duration", "spent"),
    [
        (2, 0.0, {(2, 0.0): True, (1, 99.0): False}),
        (UNLIMITED, 3.0, {(1, 3.0): True, (99, 2.9): False}),
        (2, 3.0, {(2, 3.0): True, (2, 2.9): False, (1, 9.0): False}),
        (UNLIMITED, 0.0, {(10**6, 10.0**9): False}),
    ],
)
def test_both_limits(attempts: Any, duration: Any, spent: Any) -> None:
    retry_policy = retry(max_attempts=attempts, max_duration=duration)
    assert {case: retry_policy.spent(*case) for case in spent} == spent


def test_tokens_come_back_at_their_rate_and_never_above_the_burst() -> None:
    bucket = TokenBucket(2.0, 3, now=100.0)
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.next(100.0) == pytest.approx(100.5)
    assert [bucket.take(100.5), bucket.take(100.6)] == [True, False]
    assert [bucket.take(1000.0) for _ in range(4)] == [True, True, True, False]


def test_a_change_keeps_what_is_there() -> None:
    bucket = TokenBucket(1.0, 10, now=0.0)
    bucket.change(100.0, 2, now=0.0)
    assert [bucket.take(0.0) for _ in range(3)] == [True, True, False]
    assert bucket.next(0.0) == pytest.approx(0.01)


def test_a_change_does_not_reach_back() -> None:
    """Tokens come back at the old rate until the change."""
    bucket = TokenBucket(1.0, 10, now=0.0)
    assert all(bucket.take(0.0) for _ in range(10))
    bucket.change(100.0, 10, now=2.0)
    assert [bucket.take(2.0) for _ in range(3)] == [True, True, False]


@given(st.floats(0.001, 500), st.floats(0, 2e9), st.integers(1, 50))
def test_a_token_is_there_when_it_was_said_to_be(rate: Any, start: Any, rounds: Any) -> None:
    """Rounding must not let the emulator wait for the same token without end."""
    bucket, now = TokenBucket(rate, burst_of(rate), start), start
    for _ in range(burst_of(rate)):
        assert bucket.take(now)
    for _ in range(rounds):
        now = bucket.next(now)
        assert bucket.take(now)


def test_names_become_free_in_their_order() -> None:
    tombstones = Tombstones(10.0)
    tombstones.add("a", 0.0)
    tombstones.add("b", 5.0)
    assert [tombstones.holds(name, 9.9) for name in "ab"] == [True, True]
    assert [tombstones.holds(name, 10.0) for name in "ab"] == [False, True]
    assert not tombstones.holds("b", 15.0)

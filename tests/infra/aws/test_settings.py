"""SQS and Lambda: the numbers."""

from __future__ import annotations

import dataclasses
import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import settings as run_with
from hypothesis import strategies as st

from peeklock import ConfigError, Queue
from peeklock.engine.bound_consumer import RESERVE, SKEW
from peeklock.infra.options import Capacity
from peeklock.infra.settings.aws import check_log_days, compute, rows
from peeklock.infra.settings.table import JITTER
from peeklock.platforms.sqs.bind import MAX_VISIBILITY
from peeklock.timing.delays import backoff

DAY = 86_400


@pytest.mark.parametrize(
    ("timeout", "capacity", "window", "function", "visibility"),
    [
        (30, Capacity(batch=1), 0, 35, 210),
        (30, Capacity(batch=10), 0, 305, 1830),
        (30, Capacity(batch=10, parallel=4), 0, 95, 570),
        (10, Capacity(batch=50), 1, 505, 3031),
        (0.5, Capacity(batch=1), 0, 6, 36),
        (1.2, Capacity(batch=3), 0, 11, 66),
        (1795, Capacity(batch=1), 0, 1800, 10_800),
        (1, Capacity(batch=10_000, parallel=20), 1, 505, 3031),
    ],
)
def test_the_table(timeout, capacity, window, function, visibility):
    """Function timeout, then visibility. A message may come as often as SQS allows, however long it is lent. (trials 1.16)"""
    settings = compute(Queue("orders", timeout=timeout), capacity)
    assert (settings.window, settings.timeout) == (window, function)
    assert (settings.visibility, settings.receives) == (visibility, 1000)
    assert (settings.retention, settings.dead_letters_retention) == (7 * DAY, 14 * DAY)


REFUSED = [
    (Queue("q", timeout=180), Capacity(batch=10), None, r"take 1805 s.*lower batch to 9, or raise parallel to 2"),
    (Queue("q", timeout=1796), Capacity(batch=1), None, r"lower timeout to 1795"),
    (Queue("q"), Capacity(instances=1), None, "use instances=2"),
    (Queue("q"), Capacity(instances=1001), None, "use instances=1000"),
    (Queue("q"), Capacity(memory=64), None, "use memory=128"),
    (Queue("q"), Capacity(memory=20_000), None, "use memory=10240"),
    (Queue("q", timeout=0.01), Capacity(batch=10_001, parallel=1000), None, "use batch=10000"),
    (Queue("q", fifo=True), Capacity(batch=11), None, "a FIFO queue gives at most 10 messages an event; use batch=10"),
    (Queue("q", fifo=True), Capacity(batch=10), 1, "a FIFO queue has no batching window; leave it out"),
    (Queue("q", timeout=1), Capacity(batch=11), 0, "window=0 s with batch=11.*use window=1"),
    (Queue("q"), Capacity(), 301, "use window=300"),
    (Queue("q"), Capacity(), -1, "use window=0"),
    (Queue("q", max_attempts=501, max_delay=1), Capacity(), None, "half of them.*use at most max_attempts=500"),
    (Queue("q", max_delay=12 * 3600), Capacity(batch=1), None, "use at most max_delay=37500"),
    (
        Queue("q", max_attempts=20, first_delay=3600, max_delay=37_000),
        Capacity(batch=1),
        None,
        "up to 609000 s.*lower max_delay to 15915, or max_attempts",
    ),
    (Queue("q", max_age=timedelta(days=7)), Capacity(), None, "use at most max_age=518400"),
]


@pytest.mark.parametrize(("queue", "capacity", "window", "fix"), REFUSED)
def test_what_cannot_be_names_the_number(queue, capacity, window, fix):
    """And what to change it to."""
    with pytest.raises(ConfigError, match=fix):
        compute(queue, capacity, window=window)


@pytest.mark.parametrize(
    ("queue", "capacity", "window"),
    [
        (Queue("q", timeout=180), Capacity(batch=9), None),
        (Queue("q", timeout=180), Capacity(batch=10, parallel=2), None),
        (Queue("q", timeout=1795), Capacity(batch=1), None),
        (Queue("q"), Capacity(instances=2, memory=128), 300),
        (Queue("q"), Capacity(instances=1000, memory=10_240), None),
        (Queue("q", timeout=0.01), Capacity(batch=10_000, parallel=1000), None),
        (Queue("q", timeout=1), Capacity(batch=11), 1),
        (Queue("q", max_attempts=500, max_delay=1), Capacity(), None),
        (Queue("q", max_delay=37_500), Capacity(batch=1), None),
        (Queue("q", max_attempts=20, first_delay=3600, max_delay=15_915), Capacity(batch=1), None),
        (Queue("q", max_age=518_400), Capacity(), None),
    ],
)
def test_each_fix_that_is_named_is_one(queue, capacity, window):
    """Each fix that a refusal above names is accepted."""
    compute(queue, capacity, window=window)


queues = st.builds(
    Queue,
    st.just("orders"),
    max_attempts=st.integers(1, 1100),
    timeout=st.floats(0.001, 1800),
    first_delay=st.floats(0, 60),
    max_delay=st.floats(60, 50_000),
    fifo=st.booleans(),
    max_age=st.none() | st.integers(1, 10 * DAY),
)
capacities = st.builds(
    Capacity,
    batch=st.integers(1, 12_000),
    parallel=st.integers(1, 200),
    instances=st.integers(1, 1200),
    memory=st.integers(64, 11_000),
)


@run_with(deadline=None)  # how long it takes is the machine's affair
@given(queue=queues, capacity=capacities, window=st.none() | st.integers(0, 400))
def test_what_is_accepted_breaks_no_limit(queue, capacity, window):
    """The platform's documented ones, and those of our own binding."""
    try:
        settings = compute(queue, capacity, window=window)
    except ConfigError:
        return
    waves = -(-settings.batch // capacity.parallel)
    assert waves * queue.timeout + RESERVE <= timedelta(seconds=settings.timeout) <= timedelta(minutes=30)
    assert settings.timeout + SKEW.total_seconds() < settings.visibility <= 43_200, "the lease ends within the lock"
    assert settings.visibility >= 6 * settings.timeout + settings.window
    assert settings.batch <= (10 if queue.fifo else 10_000)
    assert settings.batch <= 10 or settings.window >= 1
    assert settings.window <= (0 if queue.fifo else 300)
    assert 2 * queue.max_attempts <= settings.receives <= 1000
    assert settings.span.longest <= timedelta(seconds=settings.retention) / 2
    assert 2 <= settings.concurrency <= 1000
    assert 128 <= settings.memory <= 10_240
    longest = queue.max_delay.total_seconds()
    assert longest <= MAX_VISIBILITY
    assert longest + settings.timeout <= 43_200
    assert queue.max_age is None or queue.max_age <= timedelta(seconds=settings.retention) - timedelta(days=1)


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ({"timeout": 60}, {"timeout", "visibility"}),
        ({"timeout": 29.5}, set()),
        ({"fifo": True}, {"fifo"}),
        ({"max_attempts": 9}, {"span", "filling_rate"}),
        ({"max_delay": 60}, {"span", "filling_rate"}),
        ({"keep": 60}, set()),
    ],
)
def test_one_number_of_the_queue_changes_what_follows_from_it(change, changed):
    """And nothing else."""
    assert different(compute(Queue("orders"), Capacity()), compute(Queue("orders", **change), Capacity())) == changed


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ({"batch": 5}, {"batch", "timeout", "visibility"}),
        ({"parallel": 2}, {"parallel", "timeout", "visibility"}),
        ({"instances": 3}, {"concurrency"}),
        ({"memory": 1024}, {"memory"}),
    ],
)
def test_one_number_of_the_capacity_changes_what_follows_from_it(change, changed):
    """And nothing else."""
    assert different(compute(Queue("orders"), Capacity()), compute(Queue("orders"), Capacity(**change))) == changed


def different(before, after):
    names = [field.name for field in dataclasses.fields(before)]
    return {name for name in names if getattr(before, name) != getattr(after, name)}


@pytest.mark.parametrize(("days", "near"), [(2, 3), (31, 60), (5000, 3653)])
def test_days_that_logs_are_not_kept_for(days, near):
    """The next number of them is named, and is one."""
    with pytest.raises(ConfigError, match=f"log_days={days}.*use {near}"):
        check_log_days(days)
    assert check_log_days(near) == near


def test_every_row_has_its_source():
    """For docs/settings.md."""
    table = rows(compute(Queue("orders", fifo=True), Capacity()))
    assert len({row.name for row in table}) == len(table) == 18
    assert all(row.source.startswith(("https://docs.aws.amazon.com/", JITTER)) for row in table)
    assert all(row.formula and row.why for row in table)


@pytest.mark.parametrize(
    ("numbers", "rate"),
    [({}, 64.5), ({"max_attempts": 2}, 120_000), ({"max_delay": 60, "max_attempts": 1}, None), ({"fifo": True}, 64.5)],
)
def test_the_failing_rate_that_fills_what_may_be_in_flight(numbers, rate):
    """120,000 messages by the mean of all delays of one: the rate by which an outage without end fills them."""
    settings = compute(Queue("orders", **numbers), Capacity())
    assert settings.filling_rate == (None if rate is None else pytest.approx(rate, rel=0.001))
    values = {row.name: row.value for row in rows(settings)}
    assert values["failing messages/s that fill 120,000 in flight"] == ("" if rate is None else round(rate))


def test_in_flight_messages_of_an_outage_reach_their_limit_at_that_rate():
    """Counted second by second: each message of a rate is held from its first failure to its last attempt."""
    queue, chance = Queue("orders"), random.Random(3)
    rate, hour = compute(queue, Capacity()).filling_rate, 3600
    ends = []
    for second in range(hour + 200):
        for _ in range(round(rate / 10)):
            delays = (backoff(n, queue.first_delay, queue.max_delay, chance) for n in range(1, queue.max_attempts))
            ends.append(second + sum(delays, timedelta()).total_seconds())
    assert sum(end > hour + 200 for end in ends) == pytest.approx(12_000, rel=0.1)

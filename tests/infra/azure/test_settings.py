"""Service Bus and Flex Consumption: the numbers."""

from __future__ import annotations

import dataclasses
import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import settings as run_with
from hypothesis import strategies as st

from peeklock import ConfigError, Queue
from peeklock.infra.options import Capacity
from peeklock.infra.settings.azure import clock, compute, host_json, iso, rows
from peeklock.platforms.servicebus.endpoint import MAX_LOCK

SINGLE = Capacity(batch=1)


@pytest.mark.parametrize(
    ("timeout", "capacity", "lock", "limit", "calls"),
    [
        (30, SINGLE, 60, 55, 1),
        (30, Capacity(batch=1, parallel=4), 60, 55, 4),
        (100, SINGLE, 125, 125, 1),
        (1800, SINGLE, 300, 1825, 1),
        (0.5, SINGLE, 60, 26, 1),
        (10, Capacity(batch=10), 125, 125, 1),
        (10, Capacity(batch=29), 300, 300, 1),
        (1, Capacity(batch=2), 60, 60, 1),
        (30, Capacity(batch=100, parallel=12), 295, 295, 1),
    ],
)
def test_the_table(timeout, capacity, lock, limit, calls):
    """Single messages' locks are renewed up to the limit; a batch's lock is the limit."""
    settings = compute(Queue("orders", timeout=timeout), capacity)
    assert (settings.lock, settings.limit, settings.calls) == (lock, limit, calls)
    assert settings.deliveries == 2000


@pytest.mark.parametrize(
    ("queue", "capacity", "fix"),
    [
        (Queue("q", timeout=30), Capacity(batch=10), r"lower batch to 9, raise parallel to 2, or use batch=1"),
        (Queue("q", timeout=30), Capacity(batch=100, parallel=3), r"lower batch to 27, raise parallel to 12"),
        (Queue("q", timeout=299), Capacity(batch=2), r"take 603 s.*; use batch=1"),
        (Queue("q", max_attempts=1001), SINGLE, "half of them.*use at most max_attempts=1000"),
        (
            Queue("q", timeout=1),
            Capacity(batch=1, memory=1024),
            "memory=1024, but an instance has 512, 2048 or 4096 MB",
        ),
        (Queue("q", timeout=1), Capacity(batch=1, instances=1001), "at most 1000; lower it"),
        (Queue("orders-", timeout=1), SINGLE, "ends with a letter or digit"),
    ],
)
def test_what_cannot_be_names_the_number(queue, capacity, fix):
    """And what to change it to."""
    with pytest.raises(ConfigError, match=fix):
        compute(queue, capacity)


@pytest.mark.parametrize("capacity", [Capacity(batch=9), Capacity(batch=10, parallel=2), SINGLE])
def test_each_fix_that_is_named_is_one(capacity):
    """Each fix that the first refusal above names is accepted."""
    compute(Queue("q", timeout=30), capacity)


queues = st.builds(
    Queue,
    st.just("orders"),
    max_attempts=st.integers(1, 2100),
    timeout=st.floats(0.001, 1800),
    max_delay=st.just(3600),
    fifo=st.booleans(),
)
capacities = st.builds(
    Capacity,
    batch=st.integers(1, 400),
    parallel=st.integers(1, 50),
    instances=st.integers(1, 1200),
    memory=st.sampled_from([512, 1024, 2048, 4096]),
)


@run_with(deadline=None)  # how long it takes is the machine's affair
@given(queue=queues, capacity=capacities)
def test_what_is_accepted_breaks_no_limit(queue, capacity):
    """The platform's documented ones, and those of our own binding."""
    try:
        settings = compute(queue, capacity)
    except ConfigError:
        return
    waves = -(-settings.batch // settings.parallel)
    assert 5 <= settings.lock <= MAX_LOCK.total_seconds()
    assert 2 * queue.max_attempts <= settings.deliveries <= 2000
    assert settings.instances <= 1000
    if settings.batch > 1:
        assert waves * queue.timeout + timedelta(seconds=1) <= timedelta(seconds=settings.limit)
        assert settings.limit <= settings.lock, "nobody renews it"
    else:
        assert queue.timeout + timedelta(seconds=21) <= timedelta(seconds=settings.limit), "the hold fits"


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ({"timeout": 60}, {"limit", "lock"}),
        ({"timeout": 31}, {"limit"}),
        ({"fifo": True}, {"sessions", "concurrent_sessions", "session_idle", "span"}),
        ({"max_attempts": 9}, {"span"}),
        ({"max_delay": 60}, {"span"}),
    ],
)
def test_one_number_changes_what_follows_from_it(change, changed):
    """And nothing else."""
    before = compute(Queue("orders"), SINGLE)
    after = compute(Queue("orders", **change), SINGLE)
    names = [field.name for field in dataclasses.fields(before)]
    assert {name for name in names if getattr(before, name) != getattr(after, name)} == changed


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "PT1S"), (60, "PT1M"), (90, "PT90S"), (3600, "PT1H"), (86_400, "P1D"), (1_209_600, "P14D")],
)
def test_durations(seconds, text):
    """Durations have the form that Azure Resource Manager reads."""
    assert iso(seconds) == text


def test_host_json_of_single_messages():
    """Locks are renewed as long as the function may run, and prefetch is off."""
    host = host_json(compute(Queue("orders", timeout=100), Capacity(batch=1, parallel=4)))
    assert host["functionTimeout"] == "00:02:05"
    assert host["extensions"]["serviceBus"] == {
        "prefetchCount": 0,
        "autoCompleteMessages": True,
        "maxAutoLockRenewalDuration": "00:02:05",
        "maxConcurrentCalls": 4,
        "maxMessageBatchSize": 1,
    }


def test_host_json_of_sessions():
    """The host serves as many sessions at once as there are handlers."""
    bus = host_json(compute(Queue("orders", fifo=True), Capacity(batch=1, parallel=3)))["extensions"]["serviceBus"]
    assert (bus["maxConcurrentSessions"], bus["maxConcurrentCallsPerSession"]) == (3, 1)
    assert bus["sessionIdleTimeout"] == "00:00:10"


def test_a_long_limit_is_read_as_hours():
    """Half an hour and a margin."""
    assert clock(1825) == "00:30:25"


def test_every_row_has_its_source():
    """For docs/settings.md."""
    table = rows(compute(Queue("orders", fifo=True), SINGLE))
    assert len({row.name for row in table}) == len(table) == 18
    assert all(re.match(r"https://(learn\.microsoft\.com|aws\.amazon\.com/blogs)/|docs/", row.source) for row in table)
    assert all(row.formula and row.why for row in table)


@pytest.mark.parametrize(
    ("timeout", "parallel", "batch"), [(30, 1, 9), (30, 2, 10), (1, 1, 10), (100, 3, 6), (200, 1, 1), (600, 4, 1)]
)
def test_a_batch_that_is_left_out_fits(timeout, parallel, batch):
    """Into the locks, which are not renewed. (trials 5.23)"""
    assert compute(Queue("orders", timeout=timeout), Capacity(parallel=parallel)).batch == batch

"""Cloud Tasks and Cloud Run functions: the numbers."""

from __future__ import annotations

import dataclasses
import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import settings as run_with
from hypothesis import strategies as st

from peeklock import ConfigError, Queue
from peeklock.engine.bound_consumer import RESERVE
from peeklock.infra.options import Capacity
from peeklock.infra.settings.gcp import compute, duration, rows


@pytest.mark.parametrize(
    ("queue", "capacity", "limit", "at_once", "cpus", "backoff"),
    [
        (Queue("q"), Capacity(), 35, 10, 1, (2, 900)),
        (Queue("q", timeout=0.5), Capacity(instances=50, parallel=4), 6, 200, 1, (2, 900)),
        (Queue("q", timeout=1790), Capacity(instances=1), 1795, 1, 1, (2, 900)),
        (Queue("q", first_delay=0), Capacity(memory=4096), 35, 10, 1, (1, 900)),
        (Queue("q", first_delay=0, max_delay=0), Capacity(memory=4097), 35, 10, 2, (1, 1)),
        (Queue("q", first_delay=60, max_delay=86_400), Capacity(memory=16_384), 35, 10, 4, (60, 3600)),
        (Queue("q", first_delay=7200, max_delay=86_400), Capacity(memory=32_768), 35, 10, 8, (3600, 3600)),
        (Queue("q"), Capacity(instances=1000, parallel=5, memory=20_000), 35, 5000, 6, (2, 900)),
    ],
)
def test_the_table(queue, capacity, limit, at_once, cpus, backoff):
    """A run and a margin; as many dispatches as requests fit; the least processor for the memory."""
    settings = compute(queue, capacity)
    assert (settings.limit, settings.at_once, settings.cpus) == (limit, at_once, cpus)
    assert (settings.first_backoff, settings.longest_backoff) == backoff
    assert settings.deadline == max(limit + 5, 15)


@pytest.mark.parametrize(
    ("memory", "cpus"),
    [(4096, 1), (4097, 2), (8192, 2), (8193, 4), (16_384, 4), (16_385, 6), (24_576, 6), (24_577, 8), (32_768, 8)],
)
def test_the_least_processor_for_the_memory(memory, cpus):
    """https://cloud.google.com/run/docs/configuring/services/memory-limits"""
    assert compute(Queue("q"), Capacity(memory=memory)).cpus == cpus


@pytest.mark.parametrize(
    ("queue", "capacity", "fix"),
    [
        (Queue("q", fifo=True), Capacity(), r"does not keep an order; drop fifo=True"),
        (Queue("q-"), Capacity(), "ends with a letter or digit; rename the queue"),
        (Queue("q", timeout=1791), Capacity(), "waits at most 1800 s.*use at most timeout=1790"),
        (Queue("q", max_delay=timedelta(days=31)), Capacity(), r"use at most max_delay=timedelta\(days=30\)"),
        (Queue("q", max_age=timedelta(days=32)), Capacity(), r"use at most max_age=timedelta\(days=31\)"),
        (Queue("q"), Capacity(parallel=1001), "parallel=1001, but Cloud Run takes 1 to 1000; use 1000"),
        (Queue("q"), Capacity(instances=1001), "instances=1001, .*; use 1000"),
        (Queue("q"), Capacity(memory=64), "memory=64, .* 128 to 32768; use 128"),
        (Queue("q"), Capacity(memory=65_536), "use 32768"),
        (Queue("q"), Capacity(instances=1000, parallel=6), "dispatches 5000 tasks at once; lower instances to 833"),
    ],
)
def test_what_cannot_be_names_the_number(queue, capacity, fix):
    """And what to change it to."""
    with pytest.raises(ConfigError, match=fix):
        compute(queue, capacity)


@pytest.mark.parametrize(
    ("queue", "capacity"),
    [
        (Queue("q", timeout=1790), Capacity()),
        (Queue("q", max_delay=timedelta(days=30), max_age=timedelta(days=31)), Capacity()),
        (Queue("q"), Capacity(instances=833, parallel=6, memory=128)),
    ],
)
def test_each_fix_that_is_named_is_one(queue, capacity):
    """Each fix that a refusal above names is accepted."""
    compute(queue, capacity)


queues = st.builds(
    Queue,
    st.just("orders"),
    max_attempts=st.integers(1, 5000),
    timeout=st.floats(0.001, 1800),
    first_delay=st.floats(0, 7200),
    max_delay=st.floats(7200, 3_000_000),
    fifo=st.booleans(),
)
capacities = st.builds(
    Capacity,
    parallel=st.integers(1, 1100),
    instances=st.integers(1, 1100),
    memory=st.integers(1, 40_000),
)


@run_with(deadline=None)  # how long it takes is the machine's affair
@given(queue=queues, capacity=capacities)
def test_what_is_accepted_breaks_no_limit(queue, capacity):
    """The platform's documented ones, and those of our own binding and sender."""
    try:
        settings = compute(queue, capacity)
    except ConfigError:
        return
    limit = timedelta(seconds=settings.limit)
    assert queue.timeout + RESERVE <= limit < timedelta(seconds=settings.deadline), "an answer is waited for"
    assert 15 <= settings.deadline <= 1800
    assert 1 <= settings.first_backoff <= settings.longest_backoff <= 3600
    assert settings.at_once <= 5000
    assert max(settings.parallel, settings.instances) <= 1000
    assert 128 <= settings.memory <= {1: 4096, 2: 8192, 4: 16_384, 6: 24_576, 8: 32_768}[settings.cpus]
    assert not queue.fifo


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ({"timeout": 60}, {"limit", "deadline"}),
        ({"first_delay": 5}, {"first_backoff", "span"}),
        ({"max_delay": 60}, {"longest_backoff", "span"}),
        ({"max_attempts": 9}, {"span"}),
        ({"max_age": 60}, set()),
        ({"keep": 60}, set()),
    ],
)
def test_one_number_changes_what_follows_from_it(change, changed):
    """And nothing else."""
    before, after = compute(Queue("orders"), Capacity()), compute(Queue("orders", **change), Capacity())
    names = [field.name for field in dataclasses.fields(before)]
    assert {name for name in names if getattr(before, name) != getattr(after, name)} == changed


def test_a_batch_means_nothing():
    """A task is one message."""
    assert compute(Queue("orders"), Capacity(batch=1)) == compute(Queue("orders"), Capacity(batch=100))


def test_durations():
    """Durations have the form that Google's APIs read."""
    assert (duration(0), duration(2_678_400)) == ("0s", "2678400s")


def test_every_row_has_its_source():
    """For docs/settings.md."""
    table = rows(compute(Queue("orders"), Capacity()))
    assert len({row.name for row in table}) == len(table) == 19
    assert all(
        re.match(r"https://(cloud\.google\.com|github\.com/GoogleCloudPlatform|aws\.amazon\.com/blogs)/", row.source)
        for row in table
    )
    assert all(row.formula and row.why for row in table)

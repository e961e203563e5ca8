"""How long the attempts of a queue last, and the defaults that decide it."""

from __future__ import annotations

import inspect
import random
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import pytest

from cloudqueues.cloudtasks.dispatch_policy import RetryPolicy
from peeklock import ConfigError, Queue, consumer, servicebus
from peeklock.engine import run as engine
from peeklock.engine.bound_consumer import Delays
from peeklock.infra.options import Capacity
from peeklock.infra.settings.gcp import compute
from peeklock.message import Lineage, Message
from peeklock.platform_registry import PLATFORMS, Platform
from peeklock.platforms.servicebus.retry_span import HOLD
from peeklock.platforms.servicebus.settle import wanted_hold
from peeklock.platforms.sqs.bind import MAX_VISIBILITY
from peeklock.platforms.sqs.retry_span import LONGEST_DELAY
from peeklock.quotas.google import TASK_DELAY
from peeklock.testing import deliver
from peeklock.testing.deliver import bound_for
from peeklock.timing.delays import backoff

MINUTE = timedelta(minutes=1)


def test_a_queue_without_numbers_survives_half_an_hour():
    """On each platform, with its store; 99 of 100 messages survive twelve minutes. (issue 12: defaults)"""
    for platform in PLATFORMS:
        span = Queue("orders").span(platform)
        assert 30 * MINUTE <= span.median <= 50 * MINUTE
        assert 12 * MINUTE <= span.percentile_1 <= span.median <= span.longest <= timedelta(hours=2)
    assert Queue("orders", timeout=30, max_delay=900).span("sqs") == Queue("orders").span("sqs")


@pytest.mark.parametrize(
    ("numbers", "delays"),
    [
        ({}, (2, 900)),
        ({"max_delay": 1}, (1, 1)),
        ({"max_delay": 0}, (0, 0)),
        ({"max_delay": 2.5}, (2, 2.5)),
        ({"max_delay": timedelta(hours=3)}, (2, 10_800)),
        ({"first_delay": 1200}, (1200, 1200)),
        ({"first_delay": 0}, (0, 900)),
        ({"first_delay": 5}, (5, 900)),
        ({"first_delay": 3, "max_delay": 3}, (3, 3)),
    ],
)
def test_a_delay_that_is_left_out_gives_way_to_the_other(numbers, delays):
    """`Queue("x", max_delay=1)` alone works."""
    queue = Queue("orders", **numbers)
    assert (queue.first_delay.total_seconds(), queue.max_delay.total_seconds()) == delays
    assert queue.exact_delay == ("first_delay" in numbers)


@pytest.mark.parametrize("numbers", [{"first_delay": 2, "max_delay": 1}, {"first_delay": 1200, "max_delay": 900}])
def test_two_delays_that_contradict_each_other_are_refused(numbers):
    with pytest.raises(ConfigError, match="raise max_delay or lower first_delay"):
        Queue("orders", **numbers)


@pytest.mark.parametrize("field", ["first_delay", "max_delay"])
@pytest.mark.parametrize("value", [-1, float("nan"), "5", True])
def test_a_delay_that_is_none_is_refused_by_its_name(field, value):
    with pytest.raises(ConfigError, match=f"queue 'orders': {field}"):
        Queue("orders", **{field: value})


def simulated(queue, cut=timedelta.max, messages=4000):
    """Seconds between the first and the last attempt of each message, in order."""
    chance = random.Random(7)

    def span():
        delays = (backoff(n, queue.first_delay, queue.max_delay, chance) for n in range(1, queue.max_attempts))
        return sum((min(delay, cut) for delay in delays), timedelta()).total_seconds()

    return sorted(span() for _ in range(messages))


@pytest.mark.parametrize(
    ("numbers", "platform", "cut"),
    [
        ({}, "sqs", LONGEST_DELAY),
        ({}, "cloudtasks", TASK_DELAY),
        ({"fifo": True}, "servicebus", HOLD),
        ({"fifo": True, "first_delay": 30, "max_delay": 30, "max_attempts": 5}, "servicebus", HOLD),
        ({"fifo": True, "max_attempts": 120}, "servicebus", HOLD),
        ({"max_attempts": 2}, "servicebus", timedelta.max),
        ({"max_attempts": 3, "max_delay": 2}, "sqs", LONGEST_DELAY),
        ({"max_attempts": 30, "first_delay": 0.001, "max_delay": 10_000_000}, "servicebus", timedelta.max),
        ({"max_attempts": 101}, "sqs", LONGEST_DELAY),
        ({"max_attempts": 100}, "sqs", LONGEST_DELAY),
        ({"max_attempts": 12, "first_delay": 3600, "max_delay": 90_000}, "sqs", LONGEST_DELAY),
    ],
)
def test_a_span_is_what_a_simulation_of_the_delays_finds(numbers, platform, cut):
    """Percentiles of 4,000 messages; no message takes longer than the longest."""
    queue = Queue("orders", **numbers)
    span, drawn = queue.span(platform), simulated(queue, cut)
    longest = span.longest.total_seconds()
    assert span.percentile_1.total_seconds() == pytest.approx(drawn[len(drawn) // 100], abs=0.03 * longest)
    assert span.median.total_seconds() == pytest.approx(drawn[len(drawn) // 2], abs=0.015 * longest)
    assert drawn[-1] <= longest + 0.001


def test_the_median_of_uncut_delays_is_half_of_the_longest():
    """Exactly, since their sum is symmetric."""
    for numbers in (
        {},
        {"first_delay": 4, "max_attempts": 12},
        {"max_attempts": 2},
        {"max_attempts": 3, "max_delay": 1},
    ):
        span = Queue("orders", **numbers).span("servicebus")
        assert span.median.total_seconds() == pytest.approx(span.longest.total_seconds() / 2, rel=1e-4)


class Longest:
    """A random source that draws the upper end each time."""

    def uniform(self, a: float, b: float, /) -> float:
        return b


def failing(queue):
    @consumer(queue)
    def handler(payload: dict) -> None:
        raise TimeoutError("the gateway is down")

    return handler


def test_the_longest_span_is_what_the_engine_delays_at_most():
    """From the first attempt to the last, which is dead-lettered."""
    queue = Queue("orders")
    bound = replace(bound_for(failing(queue)), random=Longest())
    total = timedelta()
    for attempt in range(1, queue.max_attempts):
        message = Message(
            id="m", body=b"{}", queue="orders", attempt=attempt, lineage=Lineage(id="m", attempts=attempt - 1)
        )
        settled = engine.run(bound, [message], None)
        assert settled[0].outcome.delay is not None
        total += settled[0].outcome.delay
    assert total == queue.span("sqs").longest


def test_a_delivery_is_exhausted_at_the_default_last_attempt():
    handler = failing(Queue("orders"))
    before, last = (deliver(handler, {}, attempt=attempt) for attempt in (12, 13))
    assert (before.reason, last.reason) == ("retry", "exhausted")
    assert before.delay is not None
    assert before.delay <= timedelta(minutes=15)


def test_without_attempts_or_delays_there_is_no_span():
    """One attempt is no retry."""
    for queue in (Queue("orders", max_attempts=1), Queue("orders", first_delay=0)):
        assert {queue.span(platform).longest for platform in PLATFORMS} == {timedelta()}


def test_on_service_bus_without_a_store_a_message_is_held_for_longer_each_time():
    """The entry point holds it for up to 20 s before it abandons it."""
    held = timedelta()
    bound = bound_for(failing(Queue("orders")), delays=Delays.NONE)
    for delivery in range(1, 13):
        message = Message(id="m", body=b"{}", queue="orders", delivery=delivery, attempt=delivery)
        settled = engine.run(bound, [message], None)
        held += min(timedelta(seconds=wanted_hold(settled)), HOLD)
    assert Queue("orders").span("servicebus", store=False).longest == held
    assert inspect.signature(servicebus.bind).parameters["hold"].default == HOLD.total_seconds()


@pytest.mark.parametrize("numbers", [{}, {"max_delay": 0}, {"first_delay": 30, "max_delay": 7200}])
def test_on_cloud_tasks_without_a_store_the_queues_own_backoff_is_between(numbers):
    """With the numbers that infrastructure sets, by the emulator's law."""
    queue = Queue("orders", **numbers)
    settings = compute(queue, Capacity())
    retry = RetryPolicy(
        max_attempts=-1,
        max_duration=0,
        min_backoff=settings.first_backoff,
        max_backoff=settings.longest_backoff,
        max_doublings=16,
    )
    span = queue.span("cloudtasks", store=False)
    assert span.percentile_1 == span.median == span.longest
    assert span.longest.total_seconds() == sum(retry.backoff(n) for n in range(1, queue.max_attempts))


def test_the_limit_is_that_of_the_platforms_module():
    """In whole seconds."""
    assert LONGEST_DELAY.total_seconds() == MAX_VISIBILITY


def test_on_pubsub_a_subscription_waits_ten_minutes_at_most():
    """It has a retry policy of the queue's delays, and no jitter that is documented."""
    span = Queue("orders", max_attempts=3, first_delay=1200, max_delay=3600).span("pubsub")
    assert (span.percentile_1, span.longest) == (20 * MINUTE, 20 * MINUTE)


def test_another_platform_is_refused_with_those_that_there_are():
    with pytest.raises(ConfigError, match=f"platform='kafka': known are {', '.join(sorted(PLATFORMS))}"):
        Queue("orders").span("kafka")


def test_a_platform_without_a_rule_is_refused(monkeypatch):
    """With what its package has to add."""
    monkeypatch.setitem(PLATFORMS, "spool", Platform(name="spool", module="spool", senders={}))
    with pytest.raises(ConfigError, match=r"span\('spool'\): its package has no rule; add span='module:function'"):
        Queue("orders").span("spool")


def test_absurd_numbers_have_a_span_as_well():
    """Found without a step for each attempt, and no longer than a duration can be."""
    queue = Queue("orders", max_attempts=10**9, first_delay=0.001, max_delay=timedelta(days=36_500))
    for platform in PLATFORMS:
        span = queue.span(platform)
        assert timedelta() < span.percentile_1 <= span.median <= span.longest


def test_no_function_loads_what_computes_a_span():
    """It is for infrastructure and people."""
    code = "import sys, peeklock; peeklock.Queue('orders').fingerprint; peeklock.sqs; print('peeklock.retry_span' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_a_task_is_delayed_for_at_most_thirty_days() -> None:
    queue = Queue("orders", max_attempts=2, first_delay=timedelta(days=60), max_delay=timedelta(days=60))
    assert queue.span("cloudtasks").longest == TASK_DELAY

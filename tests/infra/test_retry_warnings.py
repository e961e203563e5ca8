"""Infrastructure warns of attempts that a short outage outlives, on each cloud."""

from __future__ import annotations

import importlib
import re
from datetime import timedelta

import pytest

from handlers.orders.queue import ORDERS, RECEIPTS
from peeklock import Queue
from peeklock.infra.aws.queues import receives
from peeklock.infra.options import Capacity, Stage, format_duration
from peeklock.infra.retry_warnings import ENOUGH, MOST_ATTEMPTS, limit_warning, warning
from tests.infra.running import STACKS, bundled, program, run

CLOUDS = {"aws": ("sqs", "a.b"), "azure": ("servicebus", "a.b"), "gcp": ("cloudtasks", "main.a")}
CONFIG = {"gcp:project": "contoso-dev", "gcp:region": "europe-west1"}
SPOILT = Queue("orders", max_attempts=5, first_delay=2, max_delay=900)


def log_of(cloud, tmp_path, *queues):
    """Return the messages of a program with these queues to its user."""
    bundle = str(bundled(tmp_path / "bundle.zip"))

    def program():
        app = importlib.import_module(f"peeklock.infra.{cloud}").App("shop", bundle=bundle, stage=Stage(protect=False))
        for queue in queues:
            app.consumer(queue, handler=CLOUDS[cloud][1], capacity=Capacity(batch=1, memory=512))
        app.all()

    return run(program, CONFIG).log


@pytest.mark.parametrize("cloud", CLOUDS)
def test_attempts_that_are_over_in_seconds_are_warned_of_once(cloud, tmp_path):
    """With the number that mends it; the other queue is as it should be. (issue 12: defaults)"""
    log = log_of(cloud, tmp_path, SPOILT, Queue("receipts"))
    (text,) = log
    assert text == (
        "queue 'orders': the last attempt of a message follows the first after 15 s in the median and 30 s at most, so an"
        " outage of 10 min dead-letters most messages; use max_attempts=13, which lasts 30 min"
    )


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_examples_survive_an_outage(cloud, stack, tmp_path):
    assert program(cloud, tmp_path, stack).log == ()
    for queue in (ORDERS, RECEIPTS):
        assert queue.span(CLOUDS[cloud][0]).median > timedelta(minutes=20)


FIX = re.compile(r"use max_attempts=(\d+), which lasts 30 min$")


@pytest.mark.parametrize(
    ("numbers", "platform"),
    [
        ({"max_attempts": 1}, "sqs"),
        ({"max_attempts": 9}, "cloudtasks"),
        ({"first_delay": 30, "max_delay": 60}, "servicebus"),
        ({"fifo": True}, "servicebus"),
        ({"max_delay": 20}, "sqs"),
    ],
)
def test_the_fix_that_is_named_is_one(numbers, platform):
    """And one attempt fewer is none. A session waits in its lock for 20 s at most, so its default needs more of them."""
    queue = Queue("orders", **numbers)
    text = warning(queue, platform, queue.span(platform))
    assert text is not None
    fix = FIX.search(text)
    assert fix is not None
    enough, fewer = (
        Queue("orders", **{**numbers, "max_attempts": int(fix[1]) - less}).span(platform).median for less in (0, 1)
    )
    assert fewer < timedelta(minutes=30) <= enough


def test_where_attempts_do_not_mend_it_delays_do():
    """A thousand attempts are no fix."""
    queue = Queue("orders", max_delay=1)
    text = warning(queue, "sqs", queue.span("sqs"))
    assert text is not None
    assert text.endswith("leave out first_delay and max_delay, and max_attempts too: the defaults last 30 min")


def test_the_last_number_of_attempts_that_is_tried_is_a_fix():
    """Two hundred attempts are tried, and needed here."""
    queue = Queue("orders", max_attempts=2, first_delay=1, max_delay=18.4)
    assert f"use max_attempts={MOST_ATTEMPTS}, which lasts 30 min" in str(warning(queue, "sqs", queue.span("sqs")))
    fewer = Queue("orders", max_attempts=MOST_ATTEMPTS - 1, first_delay=1, max_delay=18.4)
    assert fewer.span("sqs").median < ENOUGH


def test_ten_minutes_are_enough():
    queue = Queue("orders", max_attempts=2, first_delay=1200)
    assert warning(queue, "sqs", queue.span("sqs")) is None
    shorter = Queue("orders", max_attempts=2, first_delay=1195)
    assert warning(shorter, "sqs", shorter.span("sqs")) is not None


@pytest.mark.parametrize("limit", [None, -1, 26, 1000])
def test_a_platforms_own_limit_that_leaves_room_is_no_trouble(limit):
    assert limit_warning(Queue("orders"), "maxReceiveCount", limit, "1000") is None


@pytest.mark.parametrize("limit", [1, 5, 25])
def test_a_platforms_own_limit_that_gives_up_before_the_attempts_is_warned_of(limit):
    """It is a queue that was brought along, and is not modified. (trials 1.16)"""
    text = limit_warning(Queue("orders"), "maxReceiveCount", limit, "1000")
    assert text is not None
    assert text.startswith(
        f"queue 'orders': its maxReceiveCount is {limit}, and peeklock counts max_attempts=13 itself"
    )
    assert text.endswith("set it to 1000")


@pytest.mark.parametrize(
    ("policy", "number"),
    [(None, None), ("", None), ('{"maxReceiveCount": 5}', 5), ('{"maxReceiveCount": "5"}', 5)],
)
def test_the_receives_of_a_redrive_policy(policy, number):
    """Which the console writes as text."""
    assert receives(policy) == number


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.25, "0.2 s"),
        (9.5, "9.5 s"),
        (15, "15 s"),
        (179, "179 s"),
        (390, "6.5 min"),
        (1861, "31 min"),
        (3722, "62 min"),
        (10_800, "3 h"),
        (100_000, "28 h"),
        (604_800, "7 days"),
    ],
)
def test_a_duration_for_people(seconds, text):
    """In the unit that keeps it short."""
    assert format_duration(timedelta(seconds=seconds)) == text

"""The calls at the end of an event, and what is left of its time."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest

from peeklock import Queue, SendError, send
from peeklock.binding.settling import ANSWER_SECONDS, CALL_SECONDS, LEAST_SECONDS, Settling, left_of
from peeklock.sending.send import routed
from peeklock.testing import FakeClock

ALONE = 60.0
"""Seconds in which a call that need not wait has certainly ended."""


class Gate:
    """A call that hangs until the test is over."""

    def __init__(self) -> None:
        self.calls = 0
        self.open = threading.Event()

    def __call__(self) -> None:
        self.calls += 1
        self.open.wait(ALONE)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open.set()


def test_an_answer_and_an_error_are_the_call_s_own():
    settling = Settling(FakeClock(), None, calls=2)
    assert settling.call(lambda: "answer") == "answer"
    with pytest.raises(ZeroDivisionError):
        settling.call(lambda: 1 // 0)


def test_a_call_that_hangs_leaves_the_next_its_share(gate):
    """Half of what is left each; the clock of the test stands still. (trials 1.15)"""
    clock = FakeClock()
    settling = Settling(clock, clock.monotonic() + ANSWER_SECONDS + 0.2, calls=2)
    with pytest.raises(TimeoutError, match=r"within 0\.1 s"):
        settling.call(gate)
    assert settling.call(lambda: 2) == 2


def test_each_call_gets_enough_for_a_service_that_works(gate):
    """Also when there are so many that their shares are none."""
    clock = FakeClock()
    settling = Settling(clock, clock.monotonic() + 1.0, calls=10_000)
    with pytest.raises(TimeoutError, match=rf"within {LEAST_SECONDS:g} s"):
        settling.call(gate)


def test_nothing_is_begun_when_the_time_is_over(gate):
    clock = FakeClock()
    settling = Settling(clock, clock.monotonic() + ANSWER_SECONDS, calls=1)
    with pytest.raises(TimeoutError, match="no time is left"):
        settling.call(gate)
    assert gate.calls == 0


def test_with_much_time_no_call_takes_all_of_it(gate, monkeypatch):
    """Here the limit is not known. (trials 1.15)"""
    monkeypatch.setattr("peeklock.binding.settling.CALL_SECONDS", CALL_SECONDS / 20)
    settling = Settling(FakeClock(), None, calls=1)
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=rf"within {CALL_SECONDS / 20:g} s"):
        settling.call(gate)
    assert time.monotonic() - began < ALONE


def test_what_is_left_of_a_limit():
    """No less than nothing."""
    assert left_of(None, time.monotonic()) is None
    left = left_of(timedelta(seconds=60), time.monotonic() - 10)
    assert left is not None
    assert timedelta(seconds=40) < left <= timedelta(seconds=50)
    assert left_of(timedelta(seconds=1), time.monotonic() - 10) == timedelta(0)


class Hung:
    """A sender that never answers."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate

    def send(self, outgoing_messages, /):
        self.gate()
        return [None]


def test_a_queue_that_does_not_answer_does_not_hold_its_producer(gate, monkeypatch):
    """It is told that the queue may have the message. (trials 1.15)"""
    monkeypatch.setattr("peeklock.sending.send.SEND_SECONDS", 0.05)
    with routed(lambda _: Hung(gate)), pytest.raises(SendError, match=r"queue 'orders': no answer .* all the same"):
        send(Queue("orders"), {})
    assert gate.calls == 1

"""Nothing that an observer does decides over a message."""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest

from peeklock import Batch, Queue, Reason, consumer
from peeklock.engine import run as engine
from peeklock.engine.bound_consumer import BoundConsumer
from peeklock.message import Message
from peeklock.observability.observer import LogObserver
from peeklock.stores.memory import MemoryStore
from peeklock.timing.clock import SystemClock
from tests.core.world import bound_for, message

QUICK = Queue("orders", max_attempts=5, timeout=0.3, first_delay=1)

WAYS = ("inline", "threads", "async", "batch")

NEVER = threading.Event()


class Rude(Exception):
    """An exception that observers raise here."""


class Unkind:
    """An observer and its span, which go wrong where they are told to: by raising, by hanging until `release`, or, for a
    span's exit, by swallowing what the handler raised."""

    def __init__(self, wrong: str, how: Any = Rude) -> None:
        self.wrong = wrong
        self.how = how
        self.release = threading.Event()
        self.seen: list[str] = []
        self.errors: list[Any] = []

    def _at(self, place: str) -> bool:
        self.seen.append(place)
        if place == self.wrong and self.how == "hang":
            while not self.release.wait(0.01):
                continue
        elif place == self.wrong and self.how == "block":
            self.release.wait(60)
        elif place == self.wrong and self.how != "swallow":
            raise self.how
        return place == self.wrong

    def running(self, _: Any, /) -> AbstractContextManager[object] | None:
        self._at("running")
        return self

    def __enter__(self) -> object:
        return self._at("enter")

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        self.errors.append(error)
        return self._at("exit")

    def settled(self, _: str, __: Any, /) -> None:
        self._at("settled")


def bound_by(way: str, observer: Any, runs: list[Any]) -> BoundConsumer:
    def act(payload: dict[str, Any]) -> None:
        runs.append(payload)
        if payload.get("fail"):
            raise ValueError("mine")

    @consumer(QUICK)
    def handler(payload: dict) -> None:
        act(payload)

    @consumer(QUICK)
    async def coroutine(payload: dict) -> None:
        act(payload)

    @consumer(QUICK)
    def batch(rows: Batch[dict]) -> None:
        act(rows[0])

    declared: Any = {"async": coroutine, "batch": batch}.get(way, handler)
    parallel = 1 + (way == "threads")
    return bound_for(declared, store=MemoryStore(), clock=SystemClock(), observer=observer, parallel=parallel)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("how", [Rude, SystemExit, GeneratorExit])
@pytest.mark.parametrize("wrong", ["running", "enter", "exit", "settled"])
def test_one_that_raises_changes_no_outcome(way, how, wrong, caplog):
    """A success is one, a failure is the handler's own, and the observer's is logged (trials 1.13)."""
    runs: list[Any] = []
    bound = bound_by(way, Unkind(wrong, how), runs)
    (delivery,) = engine.run(bound, [message({}, id="a")])
    assert (delivery.outcome.reason, runs) == (Reason.DONE, [{}])
    (delivery,) = engine.run(bound, [message({"fail": 1}, id="b")])
    assert (delivery.outcome.reason, type(delivery.outcome.error)) == (Reason.RETRY, ValueError)
    assert "peeklock.observer_failed" in caplog.text
    assert f"error={how.__name__}" in caplog.text


@pytest.mark.parametrize("way", WAYS)
def test_one_that_swallows_the_handlers_error_changes_no_outcome(way):
    """It is shown the error, and that is all (trials 1.26)."""
    observer = Unkind("exit", "swallow")
    bound = bound_by(way, observer, [])
    (delivery,) = engine.run(bound, [message({"fail": 1})])
    assert (delivery.outcome.reason, type(delivery.outcome.error)) == (Reason.RETRY, ValueError)
    assert observer.errors == [delivery.outcome.error]
    assert observer.seen == ["running", "enter", "exit", "settled"]


@pytest.mark.parametrize("way", WAYS)
def test_one_that_hangs_as_it_hears_of_settlements(way, caplog):
    """The event answers before its limit (trials 1.13)."""
    observer = Unkind("settled", "block")
    bound = bound_by(way, observer, [])
    started = time.monotonic()
    (delivery,) = engine.run(bound, [message({})], timedelta(seconds=1.6))
    assert delivery.outcome.reason == Reason.DONE
    assert time.monotonic() - started < 1.6
    observer.release.set()


@pytest.mark.parametrize("wrong", ["running", "enter", "exit"])
def test_one_that_hangs_around_a_run_on_the_main_thread(wrong, caplog):
    """Is interrupted, and the handler runs with all its time (trials 1.13)."""
    runs: list[Any] = []
    observer = Unkind(wrong, "hang")
    (delivery,) = engine.run(bound_by("inline", observer, runs), [message({})], timedelta(seconds=30))
    assert (delivery.outcome.reason, runs) == (Reason.DONE, [{}])
    assert "error=Interrupted" in caplog.text


def test_one_that_hangs_until_there_is_no_time_to_run():
    """The message is halted, which is not an attempt (trials 1.13)."""
    runs: list[Any] = []
    observer = Unkind("running", "hang")
    (delivery,) = engine.run(bound_by("inline", observer, runs), [message({})], timedelta(seconds=1.4))
    assert (delivery.outcome.reason, delivery.outcome.attempt, runs) == (Reason.HALTED, 1, [])


def test_one_whose_span_begins_when_there_is_no_time_to_run():
    """The span ends, too."""
    runs: list[Any] = []
    observer = Unkind("")
    bound = bound_by("inline", observer, runs)
    observer.__class__ = Slow
    (delivery,) = engine.run(bound, [message({})], timedelta(seconds=1.35))
    assert (delivery.outcome.reason, runs) == (Reason.HALTED, [])
    assert observer.seen == ["running", "enter", "exit", "settled"]


class SecondHangs(Unkind):
    """Goes wrong from its second run on."""

    def _at(self, place: str) -> bool:
        if "running" in self.seen:
            return super()._at(place)
        self.seen.append(place)
        return False


def test_a_message_that_has_no_time_after_another_has_run_took_none():
    """The time of a run is that of its own message. (stranger 2, bug 7)"""
    observer = SecondHangs("running", "hang")
    first, second = engine.run(
        bound_by("inline", observer, []), [message({}, id="a"), message({}, id="b")], timedelta(seconds=1.4)
    )
    assert (first.outcome.reason, second.outcome.reason) == (Reason.DONE, Reason.HALTED)
    assert first.duration > 0
    assert second.duration == 0


class Slow(Unkind):
    """Takes a while to begin."""

    def __enter__(self) -> object:
        time.sleep(0.2)
        return super().__enter__()


@pytest.mark.parametrize("wrong", ["running", "enter"])
def test_one_that_hangs_before_a_run_in_a_thread(wrong):
    """The handler never runs, neither now nor later: halted, no attempt (trials 1.13, 1.22)."""
    runs: list[Any] = []
    observer = Unkind(wrong, "block")
    bound = bound_by("threads", observer, runs)
    (delivery,) = engine.run(bound, [message({})], timedelta(seconds=30))
    assert (delivery.outcome.reason, delivery.outcome.attempt) == (Reason.HALTED, 1)
    observer.release.set()
    bound.handlers.submit(lambda: None).result(10)
    assert runs == []


def test_one_that_hangs_after_a_run_in_a_thread(caplog):
    """The handler's end stands (trials 1.13)."""
    runs: list[Any] = []
    observer = Unkind("exit", "block")
    (delivery,) = engine.run(bound_by("threads", observer, runs), [message({})], timedelta(seconds=30))
    assert (delivery.outcome.reason, runs) == (Reason.DONE, [{}])
    assert "peeklock.observer_failed" in caplog.text
    observer.release.set()


def test_the_log_is_left_alone_where_it_would_say_nothing(caplog):
    """It is not called at all then, which is what most events are."""
    caplog.set_level("WARNING", "peeklock")
    done = engine.run(bound_by("inline", None, []), [message({})])
    failed = engine.run(bound_by("inline", None, []), [message({"fail": 1})])
    assert LogObserver().is_quiet(done)
    assert not LogObserver().is_quiet(failed)
    caplog.set_level("INFO", "peeklock")
    assert not LogObserver().is_quiet(done)


class Traced(LogObserver):
    """The default and a span, as somebody adds it."""

    def __init__(self) -> None:
        self.spans: list[str] = []

    def running(self, message: Message, /) -> None:
        self.spans.append(message.id)


@pytest.mark.parametrize("way", WAYS)
def test_what_adds_spans_to_the_default_is_asked_for_them(way):
    observer = Traced()
    engine.run(bound_by(way, observer, []), [message({})])
    assert observer.spans == ["m-1"]

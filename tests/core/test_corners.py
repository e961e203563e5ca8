"""Rare cases that have to work nevertheless."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

import peeklock
from peeklock import Queue, Reason, consumer, sqs
from peeklock.binding.bind import Binding
from peeklock.concurrency import event_loop
from peeklock.concurrency.interrupt import HandlerTimer, Interrupted
from peeklock.engine.async_driver import HandlerTask
from peeklock.engine.bound_consumer import Deadline, Delays
from peeklock.engine.delivery import Delivery
from peeklock.engine.main_thread_executor import MainThreadExecutor
from peeklock.engine.run import handle, handle_async
from peeklock.idempotency.record import State
from peeklock.idempotency.store import Answer
from peeklock.stores.memory import MemoryStore
from peeklock.testing import Outbox
from peeklock.timing.clock import SystemClock
from tests.core.world import QUEUE, bound_for, message, recording


def test_names_are_loaded_when_they_are_used():
    """And an unknown one is an error as of any module."""
    assert dir(peeklock) == peeklock.__all__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = peeklock.nothing


def test_an_async_consumer_under_a_synchronous_host():
    """Lambda calls a function; the process's own loop runs the coroutine."""

    @consumer(Queue("orders"))
    async def handler(payload: dict) -> None: ...

    entry = sqs.bind(handler, dead_letter=Outbox())
    event = {"Records": [{"messageId": "m", "body": "{}", "eventSource": "aws:sqs"}]}
    assert entry(event, None) == {"batchItemFailures": []}


def test_native_delays_need_no_store():
    """So what is weaker without one says nothing of them."""

    @consumer(Queue("orders", first_delay=2))
    def handler(payload: dict) -> None: ...

    options: Any = {"dead_letter": Outbox()}
    bound = Binding(handler, "test", delays=Delays.NATIVE, longest=timedelta(hours=1), options=options).bound()
    assert bound.delays is Delays.NATIVE


def test_a_coroutine_that_is_closed():
    """A loop that is being closed closes it: it ends, and reports nothing."""

    @consumer(QUEUE)
    async def handler(payload: dict) -> None:
        import asyncio

        await asyncio.sleep(0)

    bound = bound_for(handler)
    running = HandlerTask(bound, [Delivery(message({}))], Deadline(bound, None, 1)).perform()
    running.send(None)
    running.close()
    with pytest.raises(RuntimeError, match="cannot reuse"):
        running.send(None)


class Late(HandlerTimer):
    """Rings between the handler's end and the line that says so."""

    def __setattr__(self, name: str, value: Any) -> None:
        rings = name == "due" and value is None and getattr(self, "due", None) is not None
        object.__setattr__(self, name, value)
        if rings and not self.__dict__.get("rung"):
            self.__dict__["rung"] = True
            raise Interrupted


def test_an_alarm_at_the_last_moment():
    """Is a time-out."""
    handler, seen = recording()
    bound = bound_for(handler)
    executor = MainThreadExecutor(bound, Deadline(bound, None, 1), Late(1, 1e12))
    (error,) = executor._run([Delivery(message({}))])
    assert "interrupted" in str(error)
    assert len(seen) == 1


class Exploding:
    """Raises what no store and no queue should."""

    def swap(self, changes: Any, /) -> Any:
        raise ZeroDivisionError

    def send(self, outgoing_messages: Any, /) -> Any:
        raise ZeroDivisionError


@pytest.mark.usefixtures("fast_pauses")
def test_any_failure_of_a_store_or_a_queue():
    """Means that it is not known to be there, and nothing more."""
    handler, _ = recording()
    (delivery,) = handle(bound_for(handler, store=Exploding()), [message({})])
    assert delivery.outcome.reason == Reason.UNAVAILABLE
    assert "ZeroDivisionError" in str(delivery.outcome.error)
    (delivery,) = handle(bound_for(handler, dead_letters=Exploding()), [message(b"{")])
    assert delivery.outcome.reason == Reason.UNAVAILABLE


def test_a_coroutine_batch_without_time():
    """Goes back, its claims given back."""
    store = MemoryStore()

    @consumer(QUEUE)
    async def handler(payload: dict) -> None:
        bound.clock.advance(40)  # type: ignore[attr-defined] # the clock is the test's

    bound = bound_for(handler, store=store)
    messages = [message({}, id=name) for name in "ab"]
    settled = event_loop.run(handle_async(bound, messages, timedelta(seconds=50)))
    assert [delivery.outcome.reason.value for delivery in settled] == ["done", "halted"]
    assert store.records["orders#b"].state is State.WAITING


class Contended:
    """Somebody is always faster."""

    def __init__(self) -> None:
        self.inner = MemoryStore()

    def swap(self, changes: Any, /) -> list[Answer]:
        from dataclasses import replace

        (change,) = changes
        record = replace(change.record, state=State.WAITING, version=change.record.version + 1)
        return [Answer(won=False, record=record)]


def test_a_key_that_is_always_lost_is_busy():
    """After some tries."""
    handler, seen = recording()
    (delivery,) = handle(bound_for(handler, store=Contended()), [message({})])
    assert (delivery.outcome.reason, seen) == (Reason.BUSY, [])


def test_what_is_done_is_told_at_info(caplog):
    """With the same fields as all else."""
    caplog.set_level(logging.INFO, "peeklock")
    handler, _ = recording()
    handle(bound_for(handler, clock=SystemClock()), [message({}, group="g")])
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert record.peeklock["group"] == "g"
    assert "reason=done" in record.getMessage()

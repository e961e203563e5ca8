"""Ends of the core that a message seldom reaches."""

from __future__ import annotations

import asyncio
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from peeklock import ConfigError, Message, Queue, consumer
from peeklock.concurrency import event_loop
from peeklock.engine import effects
from peeklock.engine.async_driver import HandlerTask
from peeklock.engine.bound_consumer import Deadline
from peeklock.engine.delivery import Delivery, Halted
from peeklock.engine.scheduler import Schedule
from peeklock.message import MOST_SENT, Lineage
from peeklock.observability.guarded import enter_span, exit_span
from peeklock.outgoing import DETAIL, dead_letter_of
from peeklock.sending.send import dump
from peeklock.testing import FakeClock, deliver
from tests.core.world import bound_for, message


@dataclass
class Order:
    n: int


def test_a_dataclass_without_pydantic(monkeypatch):
    """Is sent by itself, and not received."""
    monkeypatch.setitem(sys.modules, "pydantic", None)

    @consumer(Queue("orders"))
    def handler(order: Order) -> None: ...

    assert dump(Order(1))[0] == b'{"n":1}'
    with pytest.raises(ConfigError, match=r"needs pydantic: pip install 'peeklock\[pydantic\]'"):
        deliver(handler, {"n": 1})


def test_a_round_with_nothing_left():
    """Asks nobody."""
    bound: Any = None
    assert list(effects._ask_store(bound, bound, [])) == []
    assert list(effects._ask_queue([])) == []


def test_a_coroutine_that_begins_too_late():
    """Is halted, and its span is ended."""
    ended: list[str] = []

    class Spans:
        def settled(self, platform: str, settled: Any, /) -> None: ...

        @contextmanager
        def running(self, message: Message, /):
            try:
                yield
            finally:
                ended.append(message.id)

    @consumer(Queue("orders", timeout=10))
    async def handler(order: dict) -> None:
        raise AssertionError

    bound = bound_for(handler, observer=Spans())
    delivery = Delivery(message({}))
    call = HandlerTask(bound, [delivery], Deadline(bound, timedelta(0), 1))
    asyncio.run(call.perform())
    (error,) = call.result()
    assert isinstance(error, Halted)
    assert ended == ["m-1"]


def test_two_threads_that_want_the_first_loop(monkeypatch):
    """Get the same one."""
    first = event_loop._loop()

    class Late(dict[int, Any]):
        def get(self, key: int, default: Any = None) -> Any:
            return None

    monkeypatch.setattr(event_loop, "_loops", Late(event_loop._loops))
    assert event_loop._loop() is first


def test_a_time_beyond_all_years():
    """Is not known."""
    assert Message("m", b"", "orders", lineage=Lineage(id="m", copy_number=1, sent=MOST_SENT - 1)).sent_at is None


def test_an_observer_at_a_terminal():
    """Whoever wants out gets out."""

    class Out:
        def running(self, message: Message, /) -> Any:
            raise KeyboardInterrupt

        def __exit__(self, *_: object) -> None:
            raise KeyboardInterrupt

    out: Any = Out()
    with pytest.raises(KeyboardInterrupt):
        enter_span(out, message({}))
    with pytest.raises(KeyboardInterrupt):
        exit_span(out, message({}), None)


def test_a_dead_letter_without_a_detail():
    """Has no attribute for it."""
    dead_letter = dead_letter_of(message({}), reason="expired", detail="", attempts=0, now=FakeClock().now())
    assert DETAIL not in dead_letter.attributes


def test_a_suspect_whose_group_has_another_before_it():
    """Waits for its turn."""
    waits = SimpleNamespace(is_turn_of=lambda _: False)
    suspects: Any = SimpleNamespace(suspects=[SimpleNamespace(group=waits)])
    assert not Schedule.resume_suspect(suspects)

"""User code that a kept result calls, such as serializers and validators.

It never delays an event, and never decides over a message whose effect has happened.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel, field_serializer, field_validator

from peeklock import Queue, consumer
from peeklock.engine.bound_consumer import BoundConsumer
from peeklock.engine.run import run
from peeklock.idempotency.record import State
from peeklock.stores.memory import MemoryStore
from tests.core.test_hooks import WAYS, reasons
from tests.core.world import bound_for, message

QUICK = Queue("orders", timeout=0.1)


def hang() -> None:
    """Much longer than any event here waits for it, in Python so that it can be interrupted."""
    for _ in range(5000):
        time.sleep(0.001)


def leave() -> None:
    raise SystemExit(3)


def want_out() -> None:
    raise KeyboardInterrupt


ODD: dict[str, Callable[[], None]] = {"hang": hang, "leave": leave}
OUT: dict[str, Callable[[], None]] = {"out": want_out}


class Receipt(BaseModel):
    """Does what the text says, where it is written and where it is read."""

    written: str = ""
    read: str = ""

    @field_serializer("written")
    def write(self, value: str) -> str:
        (ODD | OUT).get(value, str)()
        return value

    @field_validator("read")
    @classmethod
    def check(cls, value: str) -> str:
        (ODD | OUT).get(value, str)()
        return value


class Earlier(BaseModel):
    """A result as an earlier release wrote it."""

    written: str = ""
    read: str = ""


def bound(way: str, store: Any, kind: Any = Receipt) -> BoundConsumer:
    def handler(payload: dict) -> Any:
        return kind.model_construct(**payload)

    async def coroutine(payload: dict) -> Any:
        return kind.model_construct(**payload)

    function: Any = coroutine if way == "async" else handler
    function.__annotations__["return"] = kind
    declared = consumer(QUICK, keep_result=True)(function)
    return bound_for(declared, store=store, parallel=1 + (way == "threads"))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("place", ["written", "read"])
def test_a_result_that_cannot_be_written_or_read_again_is_left_out(way, odd, place, caplog):
    """The message is done, and so is the next one."""
    store = MemoryStore()
    messages = [message({place: odd}, id="a"), message({}, id="b")]
    settled = run(bound(way, store), messages, timedelta(seconds=20))
    assert reasons(settled) == ["done", "done"]
    assert [(record.state, bool(record.result)) for record in store.records.values()] == [
        (State.DONE, False),
        (State.DONE, True),
    ]
    assert "result_dropped" in caplog.text


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("odd", ODD)
def test_a_kept_result_that_cannot_be_read_is_left_out(way, odd, caplog):
    """After a release that reads it with a validator of its own: its message is a duplicate, and so is the next one."""
    store = MemoryStore()
    messages = [message({"read": odd}, id="a"), message({"read": ""}, id="b")]
    assert reasons(run(bound(way, store, Earlier), messages, timedelta(seconds=20))) == ["done", "done"]
    settled = run(bound(way, store), messages, timedelta(seconds=20))
    assert reasons(settled) == ["duplicate", "duplicate"]
    assert [delivery.outcome.result for delivery in settled] == [None, Receipt()]
    assert "result_unreadable" in caplog.text


@pytest.mark.parametrize("earlier", [False, True])
def test_somebody_at_a_terminal_wants_out(earlier):
    """While a result is written, and while it is read again."""
    store, messages = MemoryStore(), [message({"read": "out"}, id="a")]
    if earlier:
        run(bound("inline", store, Earlier), messages, timedelta(seconds=20))
    with pytest.raises(KeyboardInterrupt):
        run(bound("inline", store), messages, timedelta(seconds=20))

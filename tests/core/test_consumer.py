"""Handlers that would be taken for having run, and keys that would fail the messages beside them."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from peeklock import Batch, ConfigError, Queue, consumer
from peeklock.consuming.declaration import resolve
from peeklock.stores.sqlite import SQLiteStore
from peeklock.testing import deliver, deliver_all

QUEUE = Queue("orders", max_attempts=2)
ran: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_ran_yet():
    ran.clear()


async def awaited(payload: dict) -> None:
    ran.append(payload)


def traced(function: Callable[..., Any]) -> Callable[..., Any]:
    """A wrapper as many are: it forgets that what it wraps may be a coroutine."""

    @functools.wraps(function)
    def wrapper(*arguments: Any) -> Any:
        return function(*arguments)

    return wrapper


def bridged(function: Callable[..., Any]) -> Callable[..., Any]:
    """One that does not."""

    @functools.wraps(function)
    def wrapper(*arguments: Any) -> Any:
        return asyncio.run(function(*arguments))

    return wrapper


def yielding(payload: dict) -> Iterator[int]:
    ran.append(payload)
    yield 1


async def yielding_async(payload: dict) -> AsyncIterator[int]:
    ran.append(payload)
    yield 1


@pytest.mark.parametrize("wrapped", [awaited, yielding, yielding_async])
def test_a_handler_that_did_not_run_is_not_done(wrapped):
    """To complete the message would lose it: it fails, and the error says what to change."""
    outcome = deliver(consumer(QUEUE)(traced(wrapped)), {})
    assert (outcome.reason, ran) == ("retry", [])
    assert "so it did not run; make what wraps it an `async def`" in str(outcome.error)
    assert deliver(consumer(QUEUE)(traced(wrapped)), {}, attempt=2).reason == "exhausted"


def test_nor_is_it_in_other_threads():
    """Where handlers run side by side."""
    outcomes = deliver_all(consumer(QUEUE)(traced(awaited)), [{}, {}], parallel=2)
    assert [outcome.reason for outcome in outcomes] == ["retry", "retry"]


def test_nor_a_coroutine_that_gives_back_another():
    """One `await` is not two."""

    @consumer(QUEUE)
    async def handler(payload: dict) -> Any:
        return awaited(payload)

    assert deliver(handler, {}).reason == "retry"
    assert ran == []


def test_nor_a_batch():
    """All of it counts as failed."""

    async def store(rows: Batch[dict]) -> None:
        ran.append(rows)

    outcomes = deliver_all(consumer(QUEUE)(traced(store)), [{}, {}])
    assert [outcome.reason for outcome in outcomes] == ["retry", "retry"]
    assert "so it did not run" in str(outcomes[0].error)


@pytest.mark.parametrize("function", [yielding, yielding_async])
def test_a_generator_is_refused(function):
    """When it is bound, since it would never run."""
    with pytest.raises(ConfigError, match="a consumer cannot be a generator"):
        resolve(consumer(QUEUE)(function))


class Service:
    """A callable instance whose call is a coroutine, and a method beside it."""

    async def __call__(self, payload: dict) -> None:
        ran.append(payload)

    def method(self, payload: dict) -> None:
        ran.append(payload)


@pytest.mark.parametrize(
    ("function", "declared"),
    [
        (bridged(awaited), {}),
        (Service(), {}),
        (functools.partial(awaited), {"decode": bytes}),
        (functools.partial(lambda a, payload: ran.append(payload), 1), {"decode": bytes}),
    ],
)
def test_all_that_can_be_called_runs(function, declared):
    """And any value is nobody's business."""
    assert deliver(consumer(QUEUE, **declared)(function), {}).reason == "done"
    assert len(ran) == 1


@pytest.mark.parametrize("value", [0, False, "text", [1], {"a": 1}, object()])
def test_a_value_is_nobodys_business(value):
    """Also one that is false."""

    @consumer(QUEUE)
    def handler(payload: dict) -> Any:
        return value

    assert deliver(handler, {}).reason == "done"


def test_what_cannot_be_marked():
    """Such as a bound method: it is another object each time."""
    with pytest.raises(ConfigError, match="give a function or an instance with __call__"):
        consumer(QUEUE)(Service().method)


@pytest.mark.parametrize("named", ["k", lambda payload: payload["k"]])
def test_half_a_surrogate_pair_is_no_key(tmp_path, named):
    """It is that message's fault; those beside it in the call to the store run."""

    @consumer(QUEUE, key=named)
    def handler(payload: dict) -> None:
        ran.append(payload["k"])

    store = SQLiteStore(str(tmp_path / "keys.db"))
    bad, good = deliver_all(handler, [b'{"k":"\\ud800"}', {"k": "ключ"}], store=store)
    assert (bad.reason, good.reason, ran) == ("invalid", "done", ["ключ"])
    assert "half a surrogate pair" in bad.detail
    assert bad.detail.isascii()
    store.close()


def test_a_body_may_hold_one(tmp_path):
    """Where it is no key it harms nobody."""

    @consumer(QUEUE)
    def handler(payload: dict) -> None:
        ran.append(payload)

    store = SQLiteStore(str(tmp_path / "keys.db"))
    assert deliver(handler, b'{"k":"\\ud800"}', store=store).reason == "done"
    assert ran == [{"k": "\ud800"}]
    store.close()

"""Exceptions that a handler may raise, and the outcomes of their messages."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest

from peeklock import Batch, DeadLetter, Reason, Retry, consumer
from peeklock.concurrency import event_loop
from peeklock.concurrency.thread_pool import Pool
from peeklock.engine import run as engine
from peeklock.engine.bound_consumer import BoundConsumer
from peeklock.errors import is_a, text_of
from peeklock.observability.observer import log_event
from peeklock.stores.memory import MemoryStore
from peeklock.testing import Outbox
from tests.core.world import QUEUE, Declined, bound_for, message

pytestmark = pytest.mark.usefixtures("impatient")

WAYS = ("inline", "threads", "async")


class Mute(Exception):
    """Can say nothing of itself."""

    def __str__(self) -> str:
        raise ZeroDivisionError

    __repr__ = __str__


class Causeless(Exception):
    """Has a cause that cannot be had."""

    @property
    def __cause__(self) -> Any:  # type: ignore[override] # what is meant to be tested
        raise ZeroDivisionError


class Harsh(Exception):
    """Ends the process of whoever asks what it says."""

    def __str__(self) -> str:
        raise SystemExit(3)


class Hidden(Exception):
    """Does not say its class."""

    @property
    def __class__(self) -> Any:
        raise SystemExit(3)


class Shut(Exception):
    """Has nothing that can be had."""

    def __getattribute__(self, name: str) -> Any:
        raise ZeroDivisionError


class Lying(Exception):
    """Says that somebody at a terminal wants out."""

    __class__ = KeyboardInterrupt  # type: ignore[assignment] # what is meant to be tested


ODD = (Mute, Causeless, Harsh, Hidden, Shut, Lying)


def bound_by(error: Any, way: str = "inline", **world: Any) -> BoundConsumer:
    declared = {name: world.pop(name) for name in ("on_error", "fatal") if name in world}

    def raises(payload: dict) -> None:
        raise error

    async def coroutine(payload: dict) -> None:
        raise error

    handler = consumer(QUEUE, **{"fatal": (Declined,), **declared})(coroutine if way == "async" else raises)
    return bound_for(handler, parallel=1 + (way == "threads"), **{"store": MemoryStore(), **world})


def outcome(bound: BoundConsumer, **delivery: Any) -> Any:
    (settled,) = engine.run(bound, [message({}, **delivery)])
    return settled.outcome


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error", ODD)
def test_one_that_cannot_be_printed_is_a_failure_like_any_other(way, error, caplog):
    """It is delayed and counted, and its line is in the log; it is exhausted after its attempts (trials 1.7)."""
    dead_letters = Outbox()
    bound = bound_by(error(), way, dead_letters=dead_letters)
    first = outcome(bound)
    assert (first.reason, first.attempt) == (Reason.RETRY, 1)
    assert first.delay is not None
    assert "peeklock.fault" not in caplog.text
    assert "reason=retry" in caplog.text
    assert [outcome(bound).reason for _ in range(2)] == ["retry", "exhausted"]
    assert dead_letters.outgoing_messages[0].attributes["peeklock-detail"].startswith(error.__name__)


def test_one_is_what_its_type_says():
    """The `__class__` of an exception is user code (trials 1.7)."""

    class Posing(Exception):
        __class__ = property(lambda _: Retry)  # type: ignore[assignment] # it poses

    assert not is_a(Posing(), Retry)
    assert is_a(Posing(), Posing)


@pytest.mark.parametrize("error", ODD)
def test_one_that_cannot_be_printed_may_be_fatal(error):
    """(trials 1.7)"""
    assert outcome(bound_by(error(), fatal=(error,))).reason == Reason.FATAL


@pytest.mark.usefixtures("fast_pauses")
@pytest.mark.parametrize("error", ODD)
def test_a_store_and_a_queue_may_raise_it(error):
    """(trials 1.7)"""

    class Failing:
        def swap(self, changes: Any, /) -> Any:
            raise error

        def send(self, outgoing_messages: Any, /) -> Any:
            raise error

    assert outcome(bound_by(ValueError(), store=Failing())).reason == Reason.UNAVAILABLE
    (delivery,) = engine.run(bound_by(ValueError(), dead_letters=Failing()), [message(b"{")])
    assert delivery.outcome.reason == Reason.UNAVAILABLE


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("hook", ["key", "decode", "on_error"])
@pytest.mark.parametrize("error", [Hidden, Shut, Lying])
def test_a_hook_may_raise_it(error, hook, way):
    """A body that cannot be read is invalid; a hook that cannot answer leaves the usual delay."""

    def fail(_: Any) -> Any:
        raise error

    async def coroutine(payload: dict) -> None:
        raise ValueError

    @consumer(QUEUE, **{hook: fail})
    def handler(payload: dict) -> None:
        raise ValueError

    declared = consumer(QUEUE, **{hook: fail})(coroutine) if way == "async" else handler
    bound = bound_for(declared, parallel=1 + (way == "threads"), store=MemoryStore())
    assert outcome(bound).reason == (Reason.RETRY if hook == "on_error" else Reason.INVALID)


@pytest.mark.parametrize("way", WAYS)
def test_a_value_that_hides_its_class_is_nobody_s_business(way):
    """Such as a proxy of an object that is gone; the handler has done its work."""

    class Gone:
        @property
        def __class__(self) -> Any:
            raise RuntimeError("working outside of a request")

    @consumer(QUEUE)
    def handler(payload: dict) -> Any:
        return Gone()

    async def coroutine(payload: dict) -> Any:
        return Gone()

    declared = consumer(QUEUE)(coroutine) if way == "async" else handler
    assert outcome(bound_for(declared, parallel=1 + (way == "threads"))).reason == Reason.DONE


def test_a_line_of_the_log_is_written_without_a_traceback_that_cannot_be(caplog):
    """Rather than not at all (trials 1.7)."""
    assert text_of(Mute()) == ""
    log_event("peeklock.test %s", {"queue": "orders"}, error=Causeless())
    (line,) = caplog.records
    assert (line.getMessage(), line.exc_info) == ("peeklock.test queue=orders", None)


def group(*members: BaseException) -> BaseExceptionGroup:
    return BaseExceptionGroup("together", members)


HOUR = timedelta(hours=1)

GROUPS = {
    "a dead letter": (group(ValueError(), DeadLetter("no")), "fatal", None, 1),
    "a fatal one, nested": (group(ValueError(), group(group(Declined()))), "fatal", None, 1),
    "a dead letter beside retries": (group(Retry(after=5), DeadLetter("no")), "fatal", None, 1),
    "a retry": (group(Retry(after=60)), "retry", 60, 1),
    "the longest of the retries": (group(Retry(after=60), group(Retry(after=90)), Retry()), "retry", 90, 1),
    "uncounted retries": (group(Retry(after=60, counts=False), Retry(counts=False)), None, 60, 0),
    "retries of which one counts": (group(Retry(after=60, counts=False), Retry()), "retry", 60, 1),
    "a retry beside a failure": (group(Retry(after=60, counts=False), ValueError()), "retry", 60, 1),
    "a retry beside a fatal one": (group(Retry(after=60), Declined()), "fatal", None, 1),
    "failures": (group(ValueError(), KeyError()), "retry", None, 1),
    "one that ends a process": (group(SystemExit(3), KeyboardInterrupt()), "retry", None, 1),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", GROUPS)
def test_a_group_is_judged_by_its_members(name, way):
    """(trials 1.7)"""
    error, reason, after, attempts = GROUPS[name]
    store = MemoryStore()
    ended = outcome(bound_by(error, way, store=store))
    assert reason in (None, ended.reason.value)
    assert store.records["orders#m-1"].attempts == attempts
    if after is not None:
        assert ended.delay == timedelta(seconds=after)


@pytest.mark.parametrize(
    "error", [Retry(after=60, counts=False), group(Retry(after=60, counts=False), Retry(counts=False))]
)
def test_a_retry_is_no_failure_of_any_class(error):
    """With `fatal=(Exception,)` all is fatal, and a Retry is an instruction."""
    assert outcome(bound_by(error, fatal=(Exception,))).reason == "rescheduled"
    assert outcome(bound_by(group(error, ValueError()), fatal=(Exception,))).reason == "fatal"


def test_a_group_of_a_task_group_is_one():
    """A real TaskGroup creates it (trials 1.7)."""

    @consumer(QUEUE)
    async def handler(payload: dict) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_refuse())

    assert outcome(bound_for(handler, store=MemoryStore())).reason == Reason.FATAL


async def _refuse() -> None:
    raise DeadLetter("not this one")


def test_the_dead_letter_of_a_group_names_its_members():
    """(trials 1.7)"""
    dead_letters = Outbox()
    outcome(bound_by(group(ValueError("a"), DeadLetter("why")), fatal=(ValueError,), dead_letters=dead_letters))
    assert "why" in dead_letters.outgoing_messages[0].attributes["peeklock-detail"]
    outcome(bound_by(group(ValueError("a"), Declined("b")), dead_letters=dead_letters))
    detail = dead_letters.outgoing_messages[1].attributes["peeklock-detail"]
    assert "ValueError: a" in detail
    assert "Declined: b" in detail


def test_a_group_may_be_fatal_itself():
    assert outcome(bound_by(group(ValueError()), fatal=(BaseExceptionGroup,))).reason == Reason.FATAL


def test_the_hook_is_asked_once_and_with_the_group():
    """Unless all of its members are decisions (trials 1.7)."""
    asked: list[BaseException] = []

    def hook(error: BaseException) -> Retry | None:
        asked.append(error)
        return Retry(after=7) if len(asked) == 1 else None

    error = group(ValueError(), Retry(after=60))
    bound = bound_by(error, on_error=hook)
    assert outcome(bound).delay == timedelta(seconds=7)
    assert outcome(bound).delay == timedelta(seconds=60)
    assert asked == [error, error]
    outcome(bound_by(group(Retry()), on_error=hook))
    assert len(asked) == 2


@pytest.mark.parametrize("raised", [ValueError, SystemExit, GeneratorExit])
def test_a_hook_that_fails_decides_nothing(raised, caplog):
    """Whatever it raises (trials 1.7)."""

    def hook(error: BaseException) -> None:
        raise raised

    assert outcome(bound_by(KeyError(), on_error=hook)).reason == Reason.RETRY
    assert "peeklock.on_error_failed" in caplog.text


def test_a_keyboard_interrupt_leaves_a_hook_on_the_main_thread():
    def hook(error: BaseException) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        outcome(bound_by(KeyError(), on_error=hook))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "error", [GeneratorExit, asyncio.CancelledError, SystemExit, StopIteration, StopAsyncIteration]
)
def test_what_ends_a_generator_a_task_or_a_process_is_a_failure_of_its_message(way, error):
    """And leaves the others of its event alone (trials 1.7)."""
    runs: list[Any] = []

    def act(payload: dict[str, Any]) -> None:
        runs.append(payload)
        if payload.get("raise"):
            raise error

    @consumer(QUEUE)
    def handler(payload: dict) -> None:
        act(payload)

    @consumer(QUEUE)
    async def coroutine(payload: dict) -> None:
        act(payload)

    bound = bound_for(coroutine if way == "async" else handler, store=MemoryStore(), parallel=1 + (way == "threads"))
    settled = engine.run(bound, [message({"raise": 1}, id="a"), message({}, id="b")])
    assert [delivery.outcome.reason.value for delivery in settled] == ["retry", "done"]
    assert len(runs) == 2


@pytest.mark.parametrize("way", ["threads", "async", "host thread"])
def test_only_on_the_main_thread_a_keyboard_interrupt_leaves(way):
    """Elsewhere nobody pressed a key (trials 1.7)."""
    bound = bound_by(KeyboardInterrupt(), way)
    if way == "host thread":
        ended = Pool(1, "test").submit(lambda: outcome(bound)).result(10)
    else:
        ended = outcome(bound)
    assert ended.reason == Reason.RETRY


def test_on_the_main_thread_it_leaves():
    with pytest.raises(KeyboardInterrupt):
        outcome(bound_by(KeyboardInterrupt()))


def test_it_leaves_an_event_loop_of_the_main_thread():
    """Somebody who runs a function at a terminal expects that."""

    async def host() -> None:
        await engine.handle_async(bound_by(KeyboardInterrupt(), "async"), [message({})])

    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(host())


class Broken(dict[str, Any]):
    """A mapping that cannot be read."""

    def keys(self) -> Any:
        raise ZeroDivisionError

    __iter__ = keys


ANSWERS = {
    "another id": {"order-7": ValueError()},
    "one of them another": {"m-0": ValueError(), "order-7": ValueError()},
    "keys that are no text": {0: ValueError()},
    "a value that is no exception": {"m-0": "declined"},
    "False": {"m-0": False},
    "a class": {"m-0": ValueError},
    "a list": ["m-0"],
    "text": "m-0",
    "one that cannot be read": Broken(),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_of_a_batch_handler_that_says_nothing(name, way):
    """All count as failed, and nothing is lost (trials 1.11)."""

    @consumer(QUEUE)
    def handler(rows: Batch[dict]) -> Any:
        return ANSWERS[name]

    @consumer(QUEUE)
    async def coroutine(rows: Batch[dict]) -> Any:
        return ANSWERS[name]

    bound = bound_for(coroutine if way == "async" else handler, store=MemoryStore(), parallel=1 + (way == "threads"))
    settled = engine.run(bound, [message({}, id=f"m-{n}") for n in range(3)])
    assert [delivery.outcome.reason.value for delivery in settled] == ["retry"] * 3


def test_the_error_of_such_an_answer_names_the_fix():
    """(trials 1.11)"""

    @consumer(QUEUE)
    def handler(rows: Batch[dict]) -> Any:
        return {"order-7": ValueError()}

    assert "batch.messages" in str(outcome(bound_for(handler)).error)


def test_a_loop_of_the_process_survives_what_its_handlers_raise():
    """The next event runs on it."""
    for error in (SystemExit(3), KeyboardInterrupt(), GeneratorExit()):
        assert outcome(bound_by(error, "async")).reason == Reason.RETRY
    assert event_loop.run(_answer()) == 7


async def _answer() -> int:
    return 7


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("way", ["gather", "group", "forgotten"])
def test_a_child_task_that_wants_to_end_the_process_fails_its_message(way, error):
    """And no other: asyncio stops its loop for it, which goes on."""

    async def leave() -> None:
        raise error

    async def work() -> None:
        if way == "gather":
            await asyncio.gather(leave(), asyncio.sleep(0.01))
        elif way == "group":
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(leave())
        else:
            task = asyncio.ensure_future(leave())
            await asyncio.sleep(0.01)
            task.exception()

    @consumer(QUEUE)
    async def handler(payload: dict) -> None:
        if payload:
            await work()

    bound = bound_for(handler, parallel=2)
    settled = engine.run(bound, [message({"n": 1}, id="a"), message({}, id="b")], timedelta(seconds=40))
    assert [delivery.outcome.reason for delivery in settled] == ["done" if way == "forgotten" else "retry", "done"]
    assert engine.run(bound, [message({})], timedelta(seconds=40))[0].outcome.reason == "done"

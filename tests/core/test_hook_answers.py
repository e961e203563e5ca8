"""Answers of the user's hooks, and when the hooks are called."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from peeklock import Batch, Message, Queue, consumer
from peeklock.engine.bound_consumer import Deadline, Delays
from peeklock.engine.failures import judge
from peeklock.engine.run import run
from peeklock.errors import NothingToHandle
from peeklock.stores.memory import MemoryStore
from peeklock.testing import FakeClock, Outbox
from tests.core.test_hooks import WAYS, bound_by, hang, reasons
from tests.core.world import bound_for, message


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("raised", [ValueError, NothingToHandle])
def test_what_a_hook_makes_of_its_interruption_is_not_believed(way, raised):
    """It was cut off: the message is neither invalid nor empty."""

    def cut(_: bytes) -> Any:
        try:
            hang()
        except BaseException as exc:
            raise raised("cut off") from exc

    assert reasons(run(bound_by(way, store=MemoryStore(), decode=cut), [message(b"{}")], timedelta(seconds=20))) == [
        "timeout"
    ]


@pytest.mark.parametrize("way", WAYS)
def test_nobody_is_asked_when_the_time_is_over(way):
    """An event has to record what ran, however many of its messages have failed."""
    clock, asked = FakeClock(), list[str]()

    def on_error(error: BaseException) -> None:
        asked.append(str(error))
        clock.advance(timedelta(seconds=3))

    queue = Queue("orders", timeout=30)

    @consumer(queue, on_error=on_error)
    def handler(_: Batch[dict]) -> None:
        raise ValueError("once")

    @consumer(queue, on_error=on_error)
    async def coroutine(_: Batch[dict]) -> None:
        raise ValueError("once")

    declared: Any = coroutine if way == "async" else handler
    bound = bound_for(declared, store=MemoryStore(), clock=clock, parallel=1 + (way == "threads"))
    settled = run(bound, [message({}, id=str(n)) for n in range(20)], timedelta(seconds=40))
    assert reasons(settled) == ["retry"] * 20
    assert len(asked) == 14, "13 of them took 39 seconds, and 0.75 of the last are for recording and settling"


def test_a_keyboard_interrupt_of_a_hook_in_a_thread_is_its_message_s():
    """Nobody at a terminal raised it; and it counts, so that it ends some time."""

    def decode(_: bytes) -> Any:
        raise KeyboardInterrupt

    try:
        (settled,) = run(
            bound_by("threads", store=MemoryStore(), decode=decode), [message(b"{}")], timedelta(seconds=20)
        )
    except KeyboardInterrupt:  # which would end the tests
        pytest.fail("it ended its event")
    assert (settled.outcome.reason, settled.outcome.attempt) == ("retry", 1)


def fresh(arrived: Message) -> Message:
    return Message(
        "another id", arrived.body[1:-1], "another queue", attributes={"inner": "1"}, content_type="text/plain"
    )


def in_place(arrived: Message) -> Message:
    arrived.body = arrived.body[1:-1]
    arrived.attributes, arrived.content_type = {"inner": "1"}, "text/plain"
    return arrived


def changing(arrived: Message) -> Message:
    arrived.attributes["inner"] = "1"  # type: ignore[index] # what is a dict can be changed
    return replace(arrived, body=arrived.body[1:-1], content_type="text/plain")


@pytest.mark.parametrize("unwrap", [fresh, in_place, changing])
def test_an_envelope_gives_a_body_and_attributes_and_nothing_else(unwrap):
    """Id, lineage and group are the message's as it arrived, and so is all of its copy: or it would be taken for an old one."""
    seen: list[Message] = []

    @consumer(Queue("orders", timeout=30), decode=bytes.decode)
    def handler(_: str, message: Message) -> None:
        seen.append(message)
        if len(seen) == 1:
            raise ValueError

    clock, copies = FakeClock(), Outbox()
    bound = bound_for(handler, store=MemoryStore(), clock=clock, copies=copies, delays=Delays.COPY)
    bound = replace(bound, unwrap=unwrap, has_hooks=True)
    run(bound, [message(b"<1>", id="a")], timedelta(seconds=100))
    (copy,) = copies.outgoing_messages
    assert (copy.body, dict(copy.attributes)) == (b"<1>", {})
    clock.advance(timedelta(seconds=100))
    (settled,) = run(bound, [message(copy.body, id="a", lineage=copy.lineage)], timedelta(seconds=100))
    assert settled.outcome.reason == "done"
    assert [(message.id, message.body, dict(message.attributes)) for message in seen] == [
        ("a", b"1", {"inner": "1"})
    ] * 2
    assert {message.content_type for message in seen} == {"text/plain"}


@pytest.mark.parametrize(("inner", "arrived", "seen"), [(1, 3, 3), (5, 1, 5)])
def test_an_envelope_may_only_raise_the_attempt(inner, arrived, seen):
    """`replay --attempt` raises it; the 1 of a new Message does not override the platform's count."""
    attempts: list[int] = []

    @consumer(Queue("orders", timeout=30))
    def handler(_: dict, message: Message) -> None:
        attempts.append(message.attempt)

    def unwrap(outer: Message) -> Message:
        return Message("another id", outer.body, "another queue", attempt=inner)

    bound = replace(bound_for(handler), unwrap=unwrap, has_hooks=True)
    run(bound, [message({}, delivery=arrived)], timedelta(seconds=100))
    assert attempts == [seen]


class Asked:
    """A window that says how long it was told to wait for a hook."""

    def __init__(self, left: float) -> None:
        self.left = left
        self.waits: list[float] = []

    def seconds_for_on_error(self) -> float:
        return self.left

    def call_within(self, call: Any, seconds: float) -> Any:
        self.waits.append(seconds)
        return call()


@pytest.mark.parametrize(("left", "waits"), [(7.5, [7.5]), (0.001, [0.001]), (0, []), (-1, [])])
def test_an_on_error_has_the_time_that_is_left(left, waits):
    deadline: Any = Asked(left)
    bound = bound_by("main", on_error=lambda _: None)
    assert judge(ValueError(), bound, deadline) is None
    assert deadline.waits == waits


@pytest.mark.parametrize(("remaining", "seconds"), [(900, 30), (31.75, 30), (11, 10.25), (1, 0.25), (0.5, -0.25)])
def test_what_is_left_for_an_on_error(remaining, seconds):
    """A time-out; less where the event has to record and to settle."""
    bound = replace(bound_by("main", clock=FakeClock()), queue=Queue("orders", timeout=30))
    assert Deadline(bound, timedelta(seconds=remaining), 1).seconds_for_on_error() == pytest.approx(seconds)

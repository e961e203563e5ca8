"""Calls that were given up and succeed all the same, later: they make nothing wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from peeklock import DeadLetter, Message, Queue, consumer
from peeklock.engine import run as engine
from peeklock.errors import SendError
from peeklock.idempotency.record import State
from peeklock.idempotency.store import Answer, Change
from peeklock.observability.observer import Settled
from peeklock.outcome import Disposition, Reason
from peeklock.outgoing import OutgoingMessage
from peeklock.stores.memory import MemoryStore
from peeklock.testing import Outbox
from peeklock.timing.clock import SystemClock
from tests.core.world import bound_for, message

QUEUE = Queue("orders", max_attempts=3, timeout=0.2, first_delay=0.5, max_delay=1)

LEFT = timedelta(seconds=2)
"""For an event: half of it until what does not answer is given up."""

PATIENCE = 30.0


class Late:
    """Calls of the kinds that a test names wait until it opens the gate, and are made then."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.made = threading.Event()
        self.caught = 0

    def hold(self, act: Callable[[], Any]) -> Any:
        self.caught += 1
        assert self.gate.wait(PATIENCE)
        try:
            return act()
        finally:
            self.made.set()

    def let_go(self) -> None:
        """Have them made now."""
        self.gate.set()
        assert self.made.wait(PATIENCE)


class LateStore(Late):
    """Holds the first change that leads to `state`."""

    def __init__(self, state: State) -> None:
        super().__init__()
        self.state = state
        self.memory = MemoryStore()

    def swap(self, changes: Sequence[Change], /) -> Sequence[Answer]:
        states = [change.record.state for change in changes if change.record is not None]
        if self.state in states and not self.caught:
            answers: Sequence[Answer] = self.hold(lambda: self.memory.swap(changes))
            return answers
        return self.memory.swap(changes)

    def state_of_key(self) -> State:
        (record,) = self.memory.records.values()
        return record.state


class LateSender(Late):
    """Holds its first call."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox()

    def send(self, outgoing_messages: Sequence[OutgoingMessage], /) -> Sequence[SendError | None]:
        if not self.caught:
            answers: Sequence[SendError | None] = self.hold(lambda: self.outbox.send(outgoing_messages))
            return answers
        return self.outbox.send(outgoing_messages)


class Shifted(SystemClock):
    """The machine's clock, which a test may move on."""

    def __init__(self) -> None:
        self.shift = timedelta(0)

    def now(self) -> datetime:  # type: ignore[override] # the system's is static
        return SystemClock.now() + self.shift


class Shop:
    """A handler whose runs are counted, and the events that reach it."""

    def __init__(self, error: Exception | None = None, **world: Any) -> None:
        self.clock = Shifted()
        self.attempts: list[int] = []

        @consumer(QUEUE)
        def handle(payload: dict, message: Message) -> None:  # type: ignore[type-arg] # the bare annotation is the documented one
            self.attempts.append(message.attempt)
            if error is not None:
                raise error

        self.bound = bound_for(handle, clock=self.clock, **world)

    def deliver(self) -> tuple[Disposition, Reason]:
        (settled,) = self._run()
        return settled.outcome.disposition, settled.outcome.reason

    def _run(self) -> Sequence[Settled]:
        return engine.run(self.bound, [message({})], LEFT)


def test_a_late_claim_makes_its_key_busy_until_its_lease_ends():
    """Then it counts as a start that was lost. (trials 1.15)"""
    store = LateStore(State.RUNNING)
    shop = Shop(store=store)
    assert shop.deliver() == (Disposition.ABANDON, Reason.UNAVAILABLE)
    store.let_go()
    assert store.state_of_key() is State.RUNNING
    assert shop.deliver() == (Disposition.ABANDON, Reason.BUSY)
    shop.clock.shift = timedelta(minutes=5)
    assert shop.deliver() == (Disposition.COMPLETE, Reason.DONE)
    assert shop.attempts == [2]


def test_a_late_record_of_a_success_overwrites_nothing():
    """The message was completed, and delivered once more after its lease: that run's record stays. (trials 1.15)"""
    store = LateStore(State.DONE)
    shop = Shop(store=store)
    assert shop.deliver() == (Disposition.COMPLETE, Reason.DONE)
    shop.clock.shift = timedelta(minutes=5)
    assert shop.deliver() == (Disposition.COMPLETE, Reason.DONE)
    before = dict(store.memory.records)
    store.let_go()
    assert (store.memory.records, shop.attempts) == (before, [1, 2])


def test_a_late_record_of_a_success_is_a_record():
    """Before anybody else has the key: what comes again is a duplicate. (trials 1.15)"""
    store = LateStore(State.DONE)
    shop = Shop(store=store)
    assert shop.deliver() == (Disposition.COMPLETE, Reason.DONE)
    store.let_go()
    assert shop.deliver() == (Disposition.COMPLETE, Reason.DUPLICATE)
    assert shop.attempts == [1]


def test_a_late_dead_letter_is_one_more_of_the_same():
    """The message came back in the meantime, and is completed only when a dead letter is certain. (trials 1.15)"""
    dead_letters = LateSender()
    shop = Shop(DeadLetter("no"), store=MemoryStore(), dead_letters=dead_letters)
    disposition, _ = shop.deliver()
    assert (disposition, dead_letters.outbox.outgoing_messages) == (Disposition.ABANDON, [])
    assert shop.deliver() == (Disposition.DEAD_LETTER, Reason.FATAL)
    dead_letters.let_go()
    first, second = (outgoing.lineage for outgoing in dead_letters.outbox.outgoing_messages)
    assert (first, shop.attempts) == (second, [1])


@pytest.mark.parametrize("state", [State.RUNNING, State.DONE])
def test_an_answer_that_never_comes_is_no_answer(state):
    """The event ends all the same, twice."""
    store = LateStore(state)
    shop = Shop(store=store)
    before = shop.deliver()
    assert before[0] is (Disposition.ABANDON if state is State.RUNNING else Disposition.COMPLETE)
    assert shop.deliver()[0] in set(Disposition)
    store.gate.set()

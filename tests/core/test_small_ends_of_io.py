"""Small ends of what an event writes, sends and reads, that a planted fault could change unseen; and of its timers."""

from __future__ import annotations

from collections import deque
from contextvars import ContextVar
from typing import Any

import pytest

from peeklock import Queue, Reason, consumer
from peeklock.concurrency.interrupt import Target
from peeklock.concurrency.thread_pool import Pool, Retire
from peeklock.concurrency.timer import Timer
from peeklock.consuming.hooks import _perform, call_within
from peeklock.engine.delivery import Delivery
from peeklock.engine.effects import Flush
from peeklock.engine.run import handle
from peeklock.errors import StoreError
from peeklock.idempotency.store import WON, Answer, Change
from peeklock.stores.memory import MemoryStore
from peeklock.testing import FakeClock, Outbox
from tests.core.world import CountingStore, bound_for, message, recording

# -- answers


def test_an_answer_that_comes_after_its_round_was_given_up_is_ignored():
    """The delivery has already been given an error."""
    delivery, answers = Delivery(message({})), []

    def ask(steps: Any) -> Any:
        answers.extend(late.give_up("no time"))
        yield [(delivery, WON)]

    change = Change(key="orders#m-1", expected=None, record=None)
    late = Flush("store", deque([(delivery, change)]), ask)
    late.perform()
    ((_, answer),) = answers
    assert (answer.won, isinstance(answer.error, StoreError)) == (False, True)
    assert late.results == []


class Talkative:
    """A store and a queue that answer for more than they were asked."""

    def __init__(self) -> None:
        self.inner = MemoryStore()

    def swap(self, changes: Any, /) -> Any:
        return [*self.inner.swap(changes), Answer(won=False, error=StoreError("down"))]

    def send(self, outgoing_messages: Any, /) -> Any:
        return [None] * (len(outgoing_messages) + 1)


def test_a_store_that_answers_too_much_is_believed_as_far_as_it_was_asked():
    """Answers are in the order of the changes."""
    handler, seen = recording()
    (settled,) = handle(bound_for(handler, store=Talkative()), [message({})])
    assert (settled.outcome.reason, settled.outcome.unrecorded, seen) == (Reason.DONE, False, [{}])


def test_a_queue_that_answers_too_much_is_believed_as_far_as_it_was_asked():
    """The same holds for a store."""
    handler, _ = recording()
    (settled,) = handle(bound_for(handler, dead_letters=Talkative()), [message({"error": "fatal"})])
    assert settled.outcome.reason is Reason.FATAL


def test_a_twin_knows_the_last_record_of_its_key():
    """So its claim wins at once, and no call to the store is made in vain."""
    handler, seen = recording()
    store = CountingStore()
    settled = handle(bound_for(handler, store=store), [message({"error": "x"}), message({})])
    assert [delivery.outcome.reason for delivery in settled] == [Reason.RETRY, Reason.DONE]
    assert (len(seen), store.sizes) == (2, [1, 1, 1, 1])


def test_without_a_store_a_success_has_the_attempt_of_the_platform():
    """Nobody else counts."""
    handler, _ = recording()
    settled = handle(bound_for(handler), [message({}, id="a", delivery=3), message({}, id="b")])
    assert [(delivery.outcome.reason, delivery.outcome.attempt) for delivery in settled] == [
        (Reason.DONE, 3),
        (Reason.DONE, 1),
    ]


# -- what cannot be read


AGED = Queue("orders", max_age=60)

SENT = int(FakeClock().now().timestamp() * 1000) - 60_001
"""Milliseconds: a message that was sent then is too old."""


def test_a_message_that_is_too_old_is_dead_lettered_although_it_cannot_be_fetched():
    """Without a store, too: it does not come back for what is of no use any more."""

    def fetch(_: bytes) -> Any:
        raise ConnectionError("down")

    @consumer(AGED, decode=fetch)
    def handler(payload: Any) -> None:
        raise AssertionError

    dead_letters = Outbox()
    (settled,) = handle(bound_for(handler, dead_letters=dead_letters), [message({}, sent_ms=SENT)])
    assert (settled.outcome.reason, len(dead_letters.outgoing_messages)) == (Reason.EXPIRED, 1)


@pytest.mark.parametrize(
    ("body", "sent_ms", "reason"),
    [({"order": "o"}, SENT, Reason.EXPIRED), ({}, None, Reason.INVALID)],
    ids=["too old", "no key"],
)
def test_a_verdict_on_arrival_stands_for_no_body(body, sent_ms, reason):
    """It was read, and never judged: what is recorded under the message's own id contradicts no other body. That of one
    which runs does."""

    @consumer(AGED, key="order", check_body=True)
    def handler(payload: dict) -> None:  # type: ignore[type-arg] # the bare annotation is the documented one
        return

    store = MemoryStore()
    settled = handle(
        bound_for(handler, store=store), [message(body, sent_ms=sent_ms), message({"order": "p"}, id="m-2")]
    )
    assert [delivery.outcome.reason for delivery in settled] == [reason, Reason.DONE]
    assert store.records["orders#m-1"].body == ""
    assert store.records["orders/p"].body


# -- hooks and timers


HOST: ContextVar[str] = ContextVar("host", default="nobody")


def test_a_hook_in_a_thread_sees_what_its_host_set():
    """And its host sees nothing of what the hook sets."""

    def hook() -> str:
        before = HOST.get()
        HOST.set("the hook")
        return before

    token = HOST.set("the host")
    try:
        assert call_within(Pool(1, "test"), hook, 30) == "the host"
        assert HOST.get() == "the host"
    finally:
        HOST.reset(token)


def test_a_thread_whose_hook_was_interrupted_ends():
    """State that the hook left in the thread must not affect others."""
    target = Target()

    def interrupted() -> None:
        target.interrupted = True

    with pytest.raises(Retire):
        _perform(target, interrupted)
    assert _perform(Target(), lambda: "kept") == "kept"


def test_a_timer_that_stood_still_ends_at_its_limit_all_the_same():
    """The pause is added, up to the limit."""
    timer = Timer(latest=100)
    timer.due, timer.paused_at = 90, 50
    timer.resume(now=55)
    assert timer.due == 95
    timer.paused_at = 60
    timer.resume(now=80)
    assert timer.due == 100


def test_a_timer_that_stands_still_is_over_at_its_limit():
    """It does not stand still for ever."""
    timer = Timer(latest=100)
    timer.due, timer.paused_at = 90, 50
    assert timer.left(now=70) == 30
    assert timer.left(now=100) <= 0

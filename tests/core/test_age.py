"""How old a message is, and what becomes of one that is too old."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from peeklock import Queue, Retry, consumer
from peeklock.engine.bound_consumer import Delays
from peeklock.engine.run import handle
from peeklock.idempotency.record import State
from peeklock.message import Lineage, Message
from peeklock.observability.observer import fields, latency_ms
from peeklock.stores.memory import MemoryStore
from peeklock.testing import FakeClock, Outbox
from tests.core.world import FlakySender, FlakyStore, Script, bound_for, message

QUEUE = Queue("orders", max_attempts=9, max_age=600)


class World:
    """A queue whose copies and dead letters the platform stamps with the time of their own sending."""

    def __init__(self, *, key: str | None = None, fails: bool = True, delays: Delays = Delays.COPY) -> None:
        self.clock, self.store = FakeClock(), MemoryStore()
        self.copies, self.dead_letters = Outbox(), Outbox()
        self.seen: list[Message] = []
        self.fails = fails

        @consumer(QUEUE, key=key)
        def handler(payload: dict, message: Message) -> None:
            self.seen.append(message)
            if self.fails:
                raise Retry(after=300)

        self.bound = bound_for(
            handler,
            store=self.store,
            copies=self.copies,
            dead_letters=self.dead_letters,
            delays=delays,
            clock=self.clock,
        )
        self.began = self.clock.now()

    def now(self) -> int:
        return int(self.clock.now().timestamp() * 1000)

    def send(self, body: Any = None, **about: Any) -> Message:
        return message({} if body is None else body, sent_ms=self.now(), **about)

    def deliver(self, *messages: Message) -> list[tuple[str, str]]:
        return [
            (delivery.outcome.disposition.value, delivery.outcome.reason.value)
            for delivery in handle(self.bound, messages)
        ]

    def receive(self, outgoing: Any, after: float) -> Message:
        """Return the message as a platform delivers it: with a new timestamp, and its lineage as text."""
        self.clock.advance(after)
        lineage = Lineage.load(outgoing.lineage.dump())
        assert lineage is not None
        return replace(
            self.send(json.loads(outgoing.body)), id=lineage.id, lineage=lineage, attempt=1 + lineage.attempts
        )


def test_the_age_counts_from_the_first_sending_also_after_copies():
    """Three copies later it is too old, and not as old as its last copy (trials 1.5)."""
    world = World()
    first = world.send()
    assert world.deliver(first) == [("abandon", "retry")]
    ends = []
    for _ in range(3):
        ends += world.deliver(world.receive(world.copies.outgoing_messages[-1], 300))
    assert ends == [("abandon", "retry"), ("abandon", "retry"), ("dead_letter", "expired")]
    assert [message.sent_at for message in world.seen] == [world.began] * 3
    assert "older than 0:10:00" in str(world.dead_letters.outgoing_messages[0].attributes["peeklock-detail"])


def test_latency_counts_from_the_first_sending(monkeypatch):
    """The log's number, too (trials 1.5)."""
    sent = Lineage(id="m", copy_number=2, sent=1_000)
    late = Message("m", b"", "orders", lineage=sent, sent_ms=999_000_000_000_000)
    early = Message("m", b"", "orders", sent_ms=1_000)
    assert latency_ms(late) is not None
    assert abs((latency_ms(late) or 0) - (latency_ms(early) or 0)) < 60_000


def test_a_redriven_dead_letter_never_expires():
    """However long it lay there: whoever brings it back wants it to run (trials 1.5)."""
    world = World(fails=False)
    old = world.send()
    world.clock.advance(601)
    assert world.deliver(old) == [("dead_letter", "expired")]
    dead_letter = world.dead_letters.outgoing_messages[0]
    assert (dead_letter.lineage.generation, dead_letter.lineage.sent) == (1, old.sent_ms)
    assert world.deliver(world.receive(dead_letter, 9_000)) == [("complete", "done")]
    assert world.seen[0].sent_at == world.began


@pytest.mark.parametrize("lineage", [Lineage(id="m", copy_number=1), Lineage(id="m", generation=2)])
def test_without_a_known_time_nothing_expires(lineage):
    """The platform's time is that of the copy, and no age."""
    assert Message("m", b"", "q", lineage=lineage, sent_ms=5).sent_at is None
    assert Message("m", b"", "q", lineage=Lineage(id="m"), sent_ms=5).sent_at is not None
    assert Message("m", b"", "q").sent_at is None
    assert "latency_ms" not in fields("test", _Settled(Message("m", b"", "q", lineage=lineage, sent_ms=5)))


class _Settled:
    key, duration = "m", 0.0

    def __init__(self, message: Message) -> None:
        from peeklock.outcome import DONE

        self.message, self.outcome = message, DONE


# -- a business key


def test_a_done_message_that_comes_back_too_old_is_a_duplicate():
    """No dead letter is published, because its work is done (trials 1.25)."""
    world = World(key="order", fails=False)
    first = world.send({"order": "o"})
    assert world.deliver(first) == [("complete", "done")]
    world.clock.advance(601)
    assert world.deliver(first) == [("complete", "duplicate")]
    assert world.dead_letters.outgoing_messages == []


def test_an_expired_message_leaves_its_key_to_others():
    """Also while its dead letter cannot be published (trials 1.25)."""
    world = World(key="order", fails=False, delays=Delays.NATIVE)
    world.bound = replace(world.bound, dead_letters=FlakySender(world.dead_letters, Script({1: "before"})))
    old = world.send({"order": "o"}, id="old")
    world.clock.advance(601)
    assert world.deliver(old) == [("abandon", "unavailable")]
    assert world.deliver(world.send({"order": "o"}, id="young")) == [("complete", "done")]
    assert world.deliver(old) == [("complete", "duplicate")], "its key's work is done"
    assert world.store.records["orders#old"].state is State.DEAD_LETTERING


def test_an_expired_message_is_dead_lettered_once():
    """Delivered again, it completes with its verdict, and its key is free."""
    world = World(key="order", fails=False)
    old = world.send({"order": "o"}, id="old")
    world.clock.advance(601)
    assert world.deliver(old) == world.deliver(old) == [("dead_letter", "expired")]
    assert len(world.dead_letters.outgoing_messages) == 1
    assert "orders/o" not in world.store.records


def test_a_message_that_ran_and_grew_too_old_ends_its_own_record():
    """The record is about this message, so its attempts end with it; another one of the key may run at once."""
    world = World(key="order", delays=Delays.NATIVE)
    old = world.send({"order": "o"}, id="old")
    assert world.deliver(old) == [("abandon", "retry")]
    world.clock.advance(601)
    world.bound = replace(world.bound, dead_letters=FlakySender(world.dead_letters, Script({1: "before"})))
    assert world.deliver(old) == [("abandon", "unavailable")]
    assert world.store.records["orders/o"].state is State.DEAD_LETTERING
    world.fails = False
    assert world.deliver(world.send({"order": "o"}, id="young")) == [("complete", "done")]


def test_another_messages_attempts_are_kept():
    """An expired message of the key takes nothing from the one that waits (trials 1.25)."""
    world = World(key="order", delays=Delays.NATIVE)
    old = world.send({"order": "o"}, id="old")
    world.clock.advance(500)
    young = world.send({"order": "o"}, id="young")
    assert world.deliver(young) == [("abandon", "retry")]
    world.clock.advance(400)
    assert world.deliver(old) == [("dead_letter", "expired")]
    assert (world.store.records["orders/o"].message, world.store.records["orders/o"].attempts) == ("young", 1)


def test_a_record_that_changes_after_it_was_looked_at_is_judged_again():
    """Another message took the key over between the two: its attempts stay, too."""
    world = World(key="order", delays=Delays.NATIVE)
    old = world.send({"order": "o"}, id="old")
    assert world.deliver(old) == [("abandon", "retry")]
    world.clock.advance(601)

    class TakenOver(MemoryStore):
        def swap(self, changes: Any, /) -> Any:
            answers = world.store.swap(changes)
            if changes[0].record is None:  # the look
                mine = world.store.records["orders/o"]
                world.store.records["orders/o"] = replace(mine, message="young", version=mine.version + 1)
            return answers

    world.bound = replace(world.bound, store=TakenOver())
    assert world.deliver(old) == [("dead_letter", "expired")]
    record = world.store.records["orders/o"]
    assert (record.message, record.state, record.attempts) == ("young", State.WAITING, 1)
    assert world.store.records["orders#old"].state is State.DEAD_LETTERED


def test_an_expired_message_waits_for_who_runs_its_key():
    """The one that runs may be itself."""
    world = World(key="order", fails=False)
    old = world.send({"order": "o"})
    world.clock.advance(601)
    assert world.deliver(world.send({"order": "o"}, id="other")) == [("complete", "done")]
    held = replace(
        world.store.records["orders/o"], state=State.RUNNING, lease_until=world.clock.now() + timedelta(minutes=1)
    )
    world.store.records["orders/o"] = held
    assert world.deliver(old) == [("abandon", "busy")]
    world.store.records["orders/o"] = replace(held, expires_at=world.clock.now())
    assert world.deliver(old) == [("dead_letter", "expired")]


def test_an_expired_message_whose_store_is_down_comes_back():
    """Nobody knows whether its work is done."""
    world = World(key="order", fails=False)
    old = world.send({"order": "o"})
    world.clock.advance(601)
    world.bound = replace(world.bound, store=FlakyStore(world.store, Script({1: "before", 2: "before", 3: "before"})))
    assert world.deliver(old) == [("abandon", "unavailable")]
    assert world.deliver(old) == [("dead_letter", "expired")]

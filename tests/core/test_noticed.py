"""Values that a planted fault could change unseen: how long a lease and a record last, and what travels with a message."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from peeklock import Batch, Queue, Retry, consumer
from peeklock.concurrency import event_loop
from peeklock.engine import runaways as late
from peeklock.engine.bound_consumer import SKEW, Deadline, Delays
from peeklock.engine.delivery import Delivery
from peeklock.engine.run import handle, handle_async
from peeklock.engine.scheduler import Schedule
from peeklock.errors import InvalidMessage, StoreError
from peeklock.idempotency import arrival
from peeklock.idempotency.decision import Action, Verdict
from peeklock.idempotency.record import UNSETTLED_KEEP, Record, Stamp, State, next_version
from peeklock.idempotency.store import Answer
from peeklock.message import Lineage, Message
from peeklock.observability.follow import followed
from peeklock.observability.observer import fields
from peeklock.outcome import DONE, Disposition, Outcome, Reason
from peeklock.stores.memory import MemoryStore
from peeklock.testing import FakeClock, Outbox
from peeklock.timing.clock import SystemClock
from peeklock.timing.delays import backoff
from peeklock.unwrap import cloudevents, sns
from tests.core.world import QUEUE, Declined, FlakySender, Script, bound_for, message, recording

START = datetime(2026, 1, 1, tzinfo=UTC)
"""When a `FakeClock` begins."""


class Seen(MemoryStore):
    """Remembers every record that was written, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[Record] = []

    def swap(self, changes: Any, /) -> Any:
        answers = super().swap(changes)
        self.written += [change.record for change, answer in zip(changes, answers, strict=True) if answer.won]
        return answers


# -- how long


@pytest.mark.parametrize(
    ("left", "messages", "lease"),
    [
        (timedelta(seconds=900), 1, timedelta(seconds=905)),
        (timedelta(milliseconds=31_500), 10, timedelta(seconds=36.5)),
        (None, 1, timedelta(seconds=30 * 2 + 1 + 5)),
        (None, 10, timedelta(seconds=30 * 11 + 1 + 5)),
    ],
)
def test_a_lease_ends_after_the_event_and_the_skew(left, messages, lease):
    """When the platform says how long it leaves; else each message may take its time-out, and one is for store and queue.
    (trials 6)"""
    handler, _ = recording()
    clock = FakeClock()
    deadline = Deadline(bound_for(handler, clock=clock), left, messages)
    assert deadline.lease_until == START + lease
    assert timedelta(seconds=5) == SKEW


def test_a_lease_does_not_move_with_the_clock():
    """The event's limit stands, however late the first claim is made. (trials 6)"""
    handler, _ = recording()
    clock = FakeClock()
    deadline = Deadline(bound_for(handler, clock=clock), timedelta(seconds=100), 1)
    clock.advance(40)
    assert deadline.lease_until == START + timedelta(seconds=105)
    assert deadline.stamp(None).lease_until == START + timedelta(seconds=105)


def test_no_handler_starts_without_its_whole_time():
    """The reserve of a second included, but for the moment in which the clock is looked at. (trials 6)"""
    handler, seen = recording()
    for left, runs in ((30.89, 0), (30.9, 1)):
        settled = handle(bound_for(handler, store=MemoryStore()), [message({})], timedelta(seconds=left))
        assert [delivery.outcome.reason for delivery in settled] == [Reason.DONE if runs else Reason.HALTED]
        assert len(seen) == runs


def test_the_lease_of_each_record():
    """The claim's, the verdict's before its dead letter, and that of one whose dead letter failed: over at once. (trials 6)"""
    handler, _ = recording()
    store, clock = Seen(), FakeClock()
    bound = bound_for(handler, store=store, clock=clock, dead_letters=FlakySender(Outbox(), Script({1: "before"})))
    handle(bound, [message({"error": "fatal"})], timedelta(seconds=60))
    assert [(record.state, record.lease_until - START) for record in store.written] == [
        (State.RUNNING, timedelta(seconds=65)),
        (State.DEAD_LETTERING, timedelta(seconds=65)),
        (State.DEAD_LETTERING, timedelta()),
    ]


def test_a_verdict_on_arrival_is_held_while_its_dead_letter_is_published():
    """Else a second delivery publishes it beside the first; and one that takes it over holds it anew. (trials 6)"""
    handler, _ = recording()
    store, clock = Seen(), FakeClock()
    bound = bound_for(handler, store=store, clock=clock, dead_letters=FlakySender(Outbox(), Script({1: "before"})))
    handle(bound, [message(b"{")], timedelta(seconds=60))
    clock.advance(10)
    handle(bound, [message(b"{")], timedelta(seconds=60))
    assert [(record.state, record.lease_until - START) for record in store.written] == [
        (State.DEAD_LETTERING, timedelta(seconds=65)),
        (State.DEAD_LETTERING, timedelta()),
        (State.DEAD_LETTERING, timedelta(seconds=75)),
        (State.DEAD_LETTERED, timedelta(seconds=75)),
    ]


def test_how_long_each_record_is_kept():
    """An unsettled one longer than its message, one that moved too, since its copy is a message; a finished one as the
    queue says. (trials 6)"""
    queue = Queue("orders", max_attempts=2, keep=timedelta(days=3))
    handler, _ = recording(queue=queue)
    store, copies = Seen(), Outbox()
    bound = bound_for(handler, store=store, copies=copies, delays=Delays.COPY)
    handle(bound, [message({"error": "x"})])
    handle(bound, [message({"error": "x"}, lineage=copies.outgoing_messages[0].lineage)])
    handle(bound, [message({}, id="m-2")])
    delay = copies.outgoing_messages[0].delay
    assert delay > timedelta()
    assert [(record.state, record.expires_at - START) for record in store.written] == [
        (State.RUNNING, UNSETTLED_KEEP),
        (State.DELAYING, UNSETTLED_KEEP + delay),
        (State.DELAYED, UNSETTLED_KEEP + delay),
        (State.RUNNING, UNSETTLED_KEEP),
        (State.DEAD_LETTERING, UNSETTLED_KEEP),
        (State.DEAD_LETTERED, timedelta(days=3)),
        (State.RUNNING, UNSETTLED_KEEP),
        (State.DONE, timedelta(days=3)),
    ]
    assert timedelta(days=31) < UNSETTLED_KEEP, "as long as Cloud Tasks keeps a task"


def test_an_expired_record_counts_as_absent_from_its_moment_on():
    """Not a moment before. (trials 6)"""
    stamp = Stamp(version=9, owner="w", now=START, lease_until=START, keep=timedelta(days=7))
    done = Record(state=State.DONE, version=1, owner="w", message="m", expires_at=START, lease_until=START)
    assert arrival.arrive(done, Lineage(id="m"), stamp, 3).action is Action.RUN
    later = replace(done, expires_at=START + timedelta(microseconds=1))
    assert arrival.arrive(later, Lineage(id="m"), stamp, 3).reason is Reason.DUPLICATE


@pytest.mark.parametrize("state", [State.RUNNING, State.DEAD_LETTERING])
def test_a_lease_is_over_from_its_moment_on(state):
    """A microsecond before it the key is busy. (trials 6)"""
    stamp = Stamp(version=9, owner="w", now=START, lease_until=START, keep=timedelta(days=7))
    held = Record(
        state=state,
        version=1,
        owner="v",
        message="m",
        expires_at=START + timedelta(days=1),
        lease_until=START,
        reason=Reason.FATAL if state is State.DEAD_LETTERING else "",
    )
    assert arrival.arrive(held, Lineage(id="m"), stamp, 3).action is not Action.ABANDON
    live = replace(held, lease_until=START + timedelta(microseconds=1))
    assert arrival.arrive(live, Lineage(id="m"), stamp, 3).reason is Reason.BUSY


def test_a_busy_key_comes_back_when_the_lease_ends():
    """Where the platform can delay it. (trials 6)"""
    handler, _ = recording()
    store, clock = MemoryStore(), FakeClock()
    bound = bound_for(handler, store=store, clock=clock)
    store.records["orders#m-1"] = Record(
        state=State.RUNNING,
        version=1,
        owner="v",
        message="m-1",
        expires_at=START + timedelta(days=1),
        lease_until=START + timedelta(seconds=77),
    )
    clock.advance(7)
    (settled,) = handle(bound, [message({})])
    assert (settled.outcome.reason, settled.outcome.delay) == (Reason.BUSY, timedelta(seconds=70))


class Longest:
    """No jitter: the whole delay."""

    def uniform(self, a: float, b: float, /) -> float:
        assert a == 0
        return b


@pytest.mark.parametrize(("failures", "delay"), [(0, 3), (1, 3), (2, 6), (3, 12), (5, 48), (6, 50), (99, 50)])
def test_a_delay_doubles_from_the_first(failures, delay):
    """Up to the longest, from nothing. (trials 6)"""
    assert backoff(failures, timedelta(seconds=3), timedelta(seconds=50), Longest()) == timedelta(seconds=delay)
    spread = [
        backoff(2, timedelta(seconds=3), timedelta(seconds=50), random.Random(n)).total_seconds() for n in range(50)
    ]
    assert min(spread) < 1
    assert max(spread) > 5


# -- what travels


def test_a_dead_letter_keeps_its_group():
    """And body, type and attributes, beside why it is one. (trials 6)"""
    handler, _ = recording()
    dead_letters = Outbox()
    arrived = replace(
        message(b'{"error": "fatal"}', group="customer-7"),
        attributes={"tenant": "blue", "raw": b"\x00"},
        content_type="application/json",
    )
    handle(bound_for(handler, store=MemoryStore(), dead_letters=dead_letters), [arrived])
    (dead_letter,) = dead_letters.outgoing_messages
    assert (dead_letter.group, dead_letter.body, dead_letter.content_type) == (
        "customer-7",
        arrived.body,
        "application/json",
    )
    assert (dead_letter.attributes["tenant"], dead_letter.attributes["raw"]) == ("blue", b"\x00")
    assert dead_letter.attributes["peeklock-reason"] == "fatal"
    assert dead_letter.attributes["peeklock-queue"] == "orders"
    assert dead_letter.attributes["peeklock-at"] == "2026-01-01T00:00:00.000+00:00"
    assert dead_letter.dead_letter


NOTIFICATION = b'{"Type": "Notification", "Message": "{\\"error\\": \\"%s\\"}"}'


@pytest.mark.parametrize(("error", "box"), [(b"x", "copies"), (b"fatal", "dead_letters")])
def test_a_copy_and_a_dead_letter_are_what_arrived(error, box):
    """With the envelope that the binding opens, since it opens it again. (trials 6)"""
    handler, seen = recording()
    boxes = {"copies": Outbox(), "dead_letters": Outbox()}
    bound = bound_for(handler, store=MemoryStore(), delays=Delays.COPY, **boxes)
    handle(replace(bound, unwrap=sns), [message(NOTIFICATION % error)])
    assert seen == [{"error": error.decode()}]
    (outgoing,) = boxes[box].outgoing_messages
    assert outgoing.body == NOTIFICATION % error


@pytest.mark.parametrize("stored", [True, False])
def test_a_redriven_exhausted_dead_letter_starts_with_no_attempts(stored):
    """It has all of its attempts again. (trials 6)"""
    attempts: list[int] = []

    @consumer(QUEUE)
    def handler(payload: dict, message: Message) -> None:
        attempts.append(message.attempt)
        raise ValueError

    dead_letters = Outbox()
    bound = bound_for(handler, store=MemoryStore() if stored else None, dead_letters=dead_letters)
    for delivery in (1, 2, 3):
        handle(bound, [message({}, delivery=delivery)])
    (dead_letter,) = dead_letters.outgoing_messages
    assert (dead_letter.lineage.generation, dead_letter.lineage.attempts) == (1, 0)
    for delivery in (1, 2, 3):
        handle(bound, [message({}, lineage=dead_letter.lineage, delivery=delivery)])
    assert attempts == [1, 2, 3, 1, 2, 3]
    assert dead_letters.outgoing_messages[1].lineage.generation == 2
    assert dead_letters.outgoing_messages[1].attributes["peeklock-attempts"] == "3"


# -- the order of the writes


class Journal:
    """A store and a queue that write down, in one list, what reached them."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.inner = MemoryStore()

    def swap(self, changes: Any, /) -> Any:
        self.lines += [str(change.record.state) for change in changes]
        return self.inner.swap(changes)

    def send(self, outgoing_messages: Any, /) -> Any:
        self.lines += ["dead_letter" if outgoing.dead_letter else "copy" for outgoing in outgoing_messages]
        return [None] * len(outgoing_messages)


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        ({}, ["running", "done"]),
        ({"error": "x"}, ["running", "delaying", "copy", "delayed"]),
        ({"error": "fatal"}, ["running", "dead_lettering", "dead_letter", "dead_lettered"]),
        (b"{", ["dead_lettering", "dead_letter", "dead_lettered"]),
    ],
)
def test_a_record_announces_a_publication_and_another_confirms_it(body, lines):
    """In this order, so that a process which dies in between leaves what ends well. (trials 6)"""
    handler, _ = recording()
    journal = Journal()
    handle(bound_for(handler, store=journal, dead_letters=journal, copies=journal, delays=Delays.COPY), [message(body)])
    assert journal.lines == lines


# -- faults that were noticed by a hang


def test_two_messages_with_one_key_make_one_claim():
    """The second waits for the first. Seen in the schedule itself, so no driver waits for what never comes. (trials 6)"""
    handler, _ = recording()
    bound = bound_for(handler, store=MemoryStore())
    bodies = [message({"n": n}) for n in range(3)]
    schedule = Schedule(bodies, bound, Deadline(bound, None, len(bodies)))
    assert [delivery.message.body for delivery, _ in schedule.changes] == [bodies[0].body]
    assert [delivery.next_of_key for delivery in schedule.deliveries] == [*schedule.deliveries[1:], None]


def test_a_slot_that_cannot_be_had_back_stays_taken():
    """A coroutine that refuses to be cancelled keeps it, and there is time enough for what waits. (trials 6)"""
    release = asyncio.Event()
    runs: list[int] = []

    @consumer(Queue("orders", timeout=0.1))
    async def handler(payload: dict) -> None:
        runs.append(payload["n"])
        while not release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await release.wait()

    async def host() -> Any:
        bound = bound_for(handler, store=MemoryStore(), clock=SystemClock())
        settled = await handle_async(bound, [message({"n": n}, id=f"m-{n}") for n in (1, 2)], timedelta(seconds=30))
        release.set()
        return settled

    reasons = [delivery.outcome.reason for delivery in event_loop.run(host())]
    assert (reasons, runs) == ([Reason.TIMEOUT, Reason.HALTED], [1])


def test_an_item_has_the_key_of_a_verdict_only_under_its_own_id():
    """A body that nobody could read has no key, and stands in nobody's way. (trials 6)"""
    handler, _ = recording(key="order_id")
    store = MemoryStore()
    handle(bound_for(handler, store=store), [message({"order_id": "o"}, id="a"), message(b"{", id="b")])
    assert {key: record.state for key, record in store.records.items()} == {
        "orders/o": State.DONE,
        "orders#b": State.DEAD_LETTERED,
    }


def test_the_attempt_of_an_item_is_its_records():
    """Once there is one; before, the platform's. (trials 6)"""
    delivery = Delivery(message({}, delivery=4))
    assert delivery.attempt == 4
    stamp = Stamp(version=1, owner="w", now=START, lease_until=START, keep=timedelta(days=7))
    delivery.claim = arrival.arrive(None, Lineage(id="m", attempts=1), stamp, 3).record
    assert delivery.attempt == 2
    delivery.claim = arrival.arrive(None, Lineage(id="m", attempts=1), stamp, 3, Verdict(reason=Reason.INVALID)).record
    assert delivery.claim is not None
    assert delivery.claim.attempts == 1


# -- each rule by itself


def stamp_at(now: datetime = START) -> Stamp:
    return Stamp(
        version=9, owner="w", now=now, lease_until=now + timedelta(seconds=60), keep=timedelta(days=7), body=""
    )


def held(state: State, **changes: Any) -> Record:
    """A record whose lease is over."""
    basic: dict[str, Any] = {
        "version": 1,
        "owner": "v",
        "message": "m",
        "expires_at": START + timedelta(days=1),
        "lease_until": START,
    }
    return Record(state=state, **{**basic, **changes})


def test_the_larger_of_two_counts_of_attempts_holds():
    """The record's and the copy's: either may be the older one. (trials 6)"""
    waiting = held(State.WAITING, attempts=1)
    for remembered, attempts in ((0, 1), (2, 2)):
        decision = arrival.arrive(waiting, Lineage(id="m", attempts=remembered), stamp_at(), 5)
        assert decision.record is not None
        assert decision.record.attempts == attempts


def test_another_message_does_not_take_over_a_verdict():
    """The dead letter is not published yet; after that the key is free, with new attempts. (trials 6)"""
    condemned = held(State.DEAD_LETTERING, attempts=3, reason="exhausted")
    assert arrival.arrive(condemned, Lineage(id="other"), stamp_at(), 3).reason is Reason.BUSY
    dead = held(State.DEAD_LETTERED, attempts=3, reason="exhausted")
    decision = arrival.arrive(dead, Lineage(id="other"), stamp_at(), 3)
    assert decision.action is Action.RUN
    assert decision.record is not None
    assert decision.record.attempts == 0


def test_a_message_expires_after_its_age_and_not_at_it():
    """To the millisecond. (trials 6)"""
    handler, _ = recording(queue=Queue("orders", max_age=60))
    for age, reason in ((60_000, Reason.DONE), (60_001, Reason.EXPIRED)):
        sent = int(START.timestamp() * 1000) - age
        (settled,) = handle(bound_for(handler, store=MemoryStore()), [message({}, sent_ms=sent)])
        assert settled.outcome.reason is reason


class Contended:
    """A store in which another process is always quicker."""

    def __init__(self) -> None:
        self.calls = 0

    def swap(self, changes: Any, /) -> Any:
        self.calls += 1
        return [Answer(won=False, record=held(State.WAITING, version=self.calls)) for _ in changes]


def test_a_contended_key_is_asked_for_a_few_times():
    """Then it counts as busy. (trials 6)"""
    handler, seen = recording()
    store = Contended()
    (settled,) = handle(bound_for(handler, store=store), [message({})])
    assert (settled.outcome.reason, store.calls, seen) == (Reason.BUSY, 5, [])


@pytest.mark.usefixtures("fast_pauses")
def test_a_store_that_answers_too_little_has_not_won():
    """Nothing is known of the change, so nothing runs. (trials 6)"""
    handler, seen = recording()

    class Short:
        def swap(self, changes: Any, /) -> Any:
            return []

    (settled,) = handle(bound_for(handler, store=Short()), [message({})])
    assert (settled.outcome.reason, seen) == (Reason.UNAVAILABLE, [])


def test_a_body_that_is_no_message_needs_no_time():
    """The dead letter is published although no handler could start any more. (trials 6)"""
    handler, _ = recording()
    settled = handle(bound_for(handler, store=MemoryStore()), [message(b"{")], timedelta(seconds=10))
    assert [delivery.outcome.reason for delivery in settled] == [Reason.INVALID]


def test_all_that_have_no_time_hear_the_same():
    """The one whose turn it was and those behind it. (trials 6)"""
    clock = FakeClock()

    @consumer(QUEUE)
    def handler(payload: dict) -> None:  # type: ignore[type-arg] # the bare annotation is the documented one
        clock.advance(60)

    bodies = [message({}, id=f"m-{n}") for n in range(4)]
    settled = handle(bound_for(handler, store=MemoryStore(), clock=clock), bodies, timedelta(seconds=80))
    assert [(delivery.outcome.reason, delivery.outcome.detail) for delivery in settled[1:]] == [
        (Reason.HALTED, "no time left to start")
    ] * 3


class Spanning:
    """An observer with a span."""

    def __init__(self) -> None:
        self.span = contextlib.nullcontext()
        self.heard: list[Any] = []

    def running(self, _: Message, /) -> Any:
        return self.span

    def settled(self, platform: str, settled: Any, /) -> None:
        self.heard += settled


def test_a_follower_keeps_nothing_from_the_observer():
    """Neither a run's span nor a settlement. (trials 6)"""
    observer = Spanning()
    follower = followed(observer, "sqs", "127.0.0.1:9")
    assert follower.running(message({})) is observer.span
    delivery = Delivery(message({}))
    delivery.outcome = DONE
    follower.settled("sqs", [delivery])
    assert observer.heard == [delivery]


def test_a_batch_handler_s_errors_keep_their_class():
    """So a fatal one is fatal. (trials 6)"""

    @consumer(QUEUE, fatal=(Declined,))
    def handler(rows: Batch[dict]) -> dict[str, Any]:  # type: ignore[type-arg] # the bare annotation is the documented one
        return {"a": Declined("no"), "b": ValueError()}

    bodies = [message({}, id=name) for name in ("a", "b", "c")]
    settled = handle(bound_for(handler, store=MemoryStore()), bodies)
    assert [delivery.outcome.reason for delivery in settled] == [Reason.FATAL, Reason.RETRY, Reason.DONE]


@pytest.mark.parametrize("missing", ["specversion", "id", "source", "type"])
def test_a_cloudevent_has_four_parts(missing):
    """Each is needed. (trials 6)"""
    parts = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": {"n": 1}}
    del parts[missing]
    with pytest.raises(InvalidMessage, match=missing):
        cloudevents(message(parts))


def test_a_lineage_comes_back_as_it_was():
    """Every part of it. (trials 6)"""
    lineage = Lineage(id="m", generation=1, copy_number=2, attempts=3, sent=1_795_571_683_209)
    assert Lineage.load(lineage.dump()) == lineage


@pytest.mark.parametrize(
    "changes",
    [
        {"max_attempts": 4},
        {"timeout": 31},
        {"first_delay": 3},
        {"max_delay": 901},
        {"fifo": True},
        {"max_age": 60},
        {"keep": 60},
    ],
    ids=str,
)
def test_every_number_is_in_the_fingerprint(changes):
    """Code and infrastructure that disagree on it differ there. (trials 6)"""
    basic = {"max_attempts": 5, "timeout": 30, "first_delay": 2, "max_delay": 900}
    assert Queue("orders", **basic).fingerprint != Queue("orders", **{**basic, **changes}).fingerprint


def test_what_a_log_record_says():
    """Milliseconds, seconds, and how grave it is. (trials 6)"""
    delivery = Delivery(message({}, group="g"))
    delivery.duration = 1.5
    delivery.outcome = Outcome(
        disposition=Disposition.ABANDON, reason=Reason.RETRY, attempt=2, delay=timedelta(seconds=2.5), detail="why"
    )
    said = fields("sqs", delivery)
    assert (said["duration_ms"], said["delay_s"], said["group"], said["attempt"]) == (1500.0, 2.5, "g", 2)
    assert (said["detail"], said["disposition"], said["reason"]) == ("why", "abandon", "retry")


@pytest.mark.parametrize(
    ("body", "level"), [({}, logging.INFO), ({"error": "x"}, logging.WARNING), ({"error": "fatal"}, logging.ERROR)]
)
def test_how_grave_a_settlement_is(caplog, body, level):
    """A dead letter is an error, and what comes back a warning. (trials 6)"""
    caplog.set_level(logging.INFO, "peeklock")
    handler, _ = recording()
    handle(bound_for(handler, store=MemoryStore()), [message(body)])
    (record,) = [record for record in caplog.records if record.message.startswith("peeklock.settled")]
    assert record.levelno == level


def test_a_version_is_above_the_last_one():
    """Although the clock of this machine is behind, and also within one millisecond. (trials 6)"""
    last = next_version(0, START, 5)
    for now in (START, START - timedelta(days=1), START + timedelta(days=1)):
        assert next_version(last, now, 0) > last


def test_a_copy_says_when_its_message_was_first_sent():
    """So that ages count from there, also after the next copy. (trials 6)"""
    handler, _ = recording()
    copies = Outbox()
    sent = int(START.timestamp() * 1000) - 5_000
    bound = bound_for(handler, store=MemoryStore(), copies=copies, delays=Delays.COPY)
    handle(bound, [message({"error": "x"}, sent_ms=sent)])
    handle(bound, [message({"error": "x"}, lineage=copies.outgoing_messages[0].lineage, sent_ms=sent + 60_000)])
    assert [outgoing.lineage.sent for outgoing in copies.outgoing_messages] == [sent, sent]


def test_a_lineage_keeps_what_a_newer_release_added():
    """It is written back. (trials 6)"""
    lineage = Lineage.load('{"id":"m","attempts":1,"colour":"blue"}')
    assert lineage is not None
    assert json.loads(lineage.copy(copy_number=1, attempts=2).dump())["colour"] == "blue"
    assert json.loads(lineage.dead_letter().dump())["colour"] == "blue"


def test_a_delay_is_no_longer_than_the_platform_s_longest():
    """A copy that asks for more would be refused. (trials 6)"""

    @consumer(Queue("orders", max_delay=90_000))
    def handler(payload: dict) -> None:  # type: ignore[type-arg] # the bare annotation is the documented one
        raise Retry(after=80_000)

    copies = Outbox()
    bound = bound_for(handler, store=MemoryStore(), copies=copies, delays=Delays.COPY)
    (settled,) = handle(replace(bound, longest_delay=timedelta(seconds=60)), [message({})])
    assert copies.outgoing_messages[0].delay == settled.outcome.delay == timedelta(seconds=60)


def test_a_late_end_without_an_answer_is_not_written():
    """It is tried again; one that lost to another process is over. (trials 6)"""
    handler, _ = recording()
    deadline = Deadline(bound_for(handler), None, 1)
    delivery = Delivery(message({}))
    assert not late._is_over(delivery, deadline, Answer(won=False, error=StoreError("down")))
    assert late._is_over(delivery, deadline, Answer(won=True))
    assert late._is_over(delivery, deadline, Answer(won=False, record=held(State.DONE)))


def test_a_new_life_begins_without_copies():
    """The dead letter carries the next generation, and nothing of this one but the id and the first sending. (trials 6)"""
    lineage = Lineage(id="m", generation=1, copy_number=2, attempts=3, sent=5)
    assert lineage.dead_letter() == Lineage(id="m", generation=2, sent=5)


class Full(Outbox):
    """A queue whose messages are as large as it takes, so that no copy fits."""

    def accepts(self, outgoing: Any) -> bool:
        return False


def test_where_no_copy_fits_none_is_announced():
    """The message itself comes back, and its record says nothing of a copy. (trials 6)"""
    handler, _ = recording()
    store = Seen()
    bound = bound_for(handler, store=store, copies=Full(), delays=Delays.COPY)
    (settled,) = handle(bound, [message({"error": "x"})])
    assert (settled.outcome.reason, settled.outcome.copied) == (Reason.RETRY, False)
    assert [record.state for record in store.written] == [State.RUNNING, State.WAITING]

"""How many runs a message gets: what counts, what does not, and what its dead letter says in the end."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from peeklock import Batch, DeadLetter, Queue, Retry, consumer
from peeklock.engine.bound_consumer import Delays
from peeklock.engine.run import handle, run
from peeklock.idempotency.record import State
from peeklock.message import Lineage, Message
from peeklock.outcome import FAILED, NOT_AN_ATTEMPT, Outcome, Reason
from peeklock.stores.memory import MemoryStore
from peeklock.testing import FakeClock, Outbox, deliver
from tests.core.world import FlakySender, Script, bound_for, message

HOUR = timedelta(hours=1)


@dataclass
class Mortal:
    """A process that a handler may kill: what happened in it, and a plan for the next one."""

    queue: Queue
    kills: Callable[[str], bool] = lambda _: False
    clock: FakeClock = field(default_factory=FakeClock)
    store: MemoryStore = field(default_factory=MemoryStore)
    dead_letters: Outbox = field(default_factory=Outbox)
    runs: list[tuple[str, int]] = field(default_factory=list)
    """Message id and attempt."""
    calls: list[list[str]] = field(default_factory=list)

    def event(self, ids: Sequence[str], *, batch: bool = False, **world: Any) -> list[Outcome] | None:
        """Outcomes of an event an hour later, and None when it killed its process: a KeyboardInterrupt is what leaves the
        engine in between, as a kill does."""
        self.clock.advance(HOUR)
        handler = self._of_batches() if batch else self._of_one()
        bound = bound_for(handler, store=self.store, dead_letters=self.dead_letters, clock=self.clock, **world)
        try:
            return [delivery.outcome for delivery in handle(bound, [message({"id": name}, id=name) for name in ids])]
        except KeyboardInterrupt:
            return None

    def _start(self, name: str, attempt: int) -> None:
        self.runs.append((name, attempt))

    def _of_one(self) -> Callable[..., Any]:
        @consumer(self.queue)
        def handler(payload: dict, message: Message) -> None:
            self._start(message.id, message.attempt)
            if self.kills(message.id):
                raise KeyboardInterrupt

        return handler

    def _of_batches(self) -> Callable[..., Any]:
        @consumer(self.queue)
        def handler(rows: Batch[dict]) -> None:
            self.calls.append([row.id for row in rows.messages])
            for row in rows.messages:
                self._start(row.id, row.attempt)
            if any(self.kills(row.id) for row in rows.messages):
                raise KeyboardInterrupt

        return handler


@pytest.mark.parametrize("most", [1, 2, 3])
def test_a_handler_that_kills_its_process_starts_max_attempts_times(most):
    """Each start counts although nothing is left that could count it, and the dead letter says so (trials 1.10)."""
    world = Mortal(Queue("orders", max_attempts=most), kills=lambda _: True)
    for _ in range(most):
        assert world.event(["m-1"]) is None
    (outcome,) = world.event(["m-1"])
    assert (outcome.disposition, outcome.reason, outcome.attempt) == ("dead_letter", "exhausted", most)
    assert world.runs == [("m-1", n) for n in range(1, most + 1)]
    times = "once" if most == 1 else f"{most} times"
    assert outcome.detail == f"its process ended or was killed {times} while it ran"
    (dead_letter,) = world.dead_letters.outgoing_messages
    assert dead_letter.attributes["peeklock-detail"] == outcome.detail
    assert dead_letter.attributes["peeklock-attempts"] == str(most)


DIES = """
import os, sys
from datetime import UTC, datetime, timedelta
from peeklock import Queue, consumer, sqs
from peeklock.testing import FakeClock

@consumer(Queue("orders", max_attempts=int(sys.argv[2])))
def handler(payload: dict) -> None:
    with open("starts", "a") as file:
        file.write("x")
    os._exit(1)

options = {"store": "sqlite://keys.db", "dead_letter": "file://dead-letters.jsonl"}
clock = FakeClock(datetime.now(UTC) + timedelta(hours=int(sys.argv[1])))
record = {"messageId": "m-1", "receiptHandle": "r", "body": "{}", "eventSource": "aws:sqs", "eventSourceARN": "arn:::::orders"}
print(sqs.run_sample(handler, {"Records": [record]}, clock=clock, **options))
"""


@pytest.mark.parametrize("most", [1, 2])
def test_a_process_that_really_ends_starts_max_attempts_times(most, tmp_path):
    """`os._exit(1)`, and a store that survives it (trials 1.10)."""
    codes, answers = [], []
    for hour in range(most + 1):
        command = [sys.executable, "-c", DIES, str(hour), str(most)]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
        codes.append(ended.returncode)
        answers.append(ended.stdout)
    assert codes == [1] * most + [0], ended.stderr
    assert "'batchItemFailures': []" in answers[-1]
    assert (tmp_path / "starts").read_text() == "x" * most
    assert "its process ended or was killed" in (tmp_path / "dead-letters.jsonl").read_text()


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("most", [1, 2, 4])
def test_a_neighbour_that_kills_never_exhausts(most, batch):
    """Whoever is claimed with it loses attempts at most down to the last, which it has by itself (trials 1.10)."""
    ids = ["a", "killer", "b", "c"]
    world = Mortal(Queue("orders", max_attempts=most), kills=lambda name: name == "killer")
    left = list(ids)
    for _ in range(3 * most):
        outcomes = world.event(left, batch=batch)
        if outcomes is not None:
            left = [name for name, outcome in zip(left, outcomes, strict=True) if not outcome.finished]
    assert left == []
    assert [dead_letter.lineage.id for dead_letter in world.dead_letters.outgoing_messages] == ["killer"]
    assert sum(name == "killer" for name, _ in world.runs) == most
    assert world.store.records["orders#b"].state is State.DONE


def test_the_last_start_of_a_batch_handler_has_a_call_of_its_own():
    """The others share theirs."""
    world = Mortal(Queue("orders", max_attempts=2), kills=lambda _: len(world.runs) == 3)
    assert world.event(["a", "b", "c"], batch=True) is None
    outcomes = world.event(["a", "b", "c", "d"], batch=True)
    assert [outcome.reason for outcome in outcomes or ()] == ["done"] * 4
    assert world.calls == [["a", "b", "c"], ["d"], ["a"], ["b"], ["c"]]


def test_a_suspect_that_was_halted_is_still_one():
    """It does not run beside others only because there was once no time for it (trials 1.27)."""
    world = Mortal(Queue("orders", max_attempts=5), kills=lambda _: len(world.runs) == 1)
    assert world.event(["suspect"]) is None
    world.clock.advance(HOUR)
    short = timedelta(seconds=1)
    bound = bound_for(world._of_one(), store=world.store, clock=world.clock)
    (halted,) = handle(bound, [message({}, id="suspect")], short)
    assert halted.outcome.reason == Reason.HALTED
    world.event(["suspect", "other"])
    assert world.runs == [("suspect", 1), ("other", 1), ("suspect", 2)]


def test_a_suspect_that_was_claimed_and_halted_is_still_one():
    """Also when its group kept it from starting, after its claim (trials 1.27)."""
    store, clock = MemoryStore(), FakeClock()
    world = Mortal(Queue("orders", max_attempts=5), kills=lambda _: len(world.runs) == 1, store=store, clock=clock)
    assert world.event(["suspect"]) is None
    lost = store.records["orders#suspect"]
    assert not lost.suspect, "nobody has found out yet"
    from peeklock.engine.bound_consumer import Deadline
    from peeklock.idempotency import arrival, claims

    clock.advance(HOUR)
    deadline = Deadline(bound_for(world._of_one(), store=store, clock=clock), None, 1)
    claim = arrival.arrive(lost, Lineage(id="suspect"), deadline.stamp(lost), 5)
    assert claim.record is not None
    back = claims.give_back(claim.record, deadline.stamp(claim.record))
    assert (back.state, back.suspect, back.attempts) == (State.WAITING, True, 1)
    again = arrival.arrive(back, Lineage(id="suspect"), deadline.stamp(back), 5)
    assert again.alone
    ended = claims.failed(again.record, deadline.stamp(again.record), 5, copies=False)
    assert ended.record is not None
    assert not ended.record.suspect


@pytest.mark.parametrize("is_async", [False, True])
def test_a_message_that_only_waits_is_no_failure(caplog, is_async):
    """`Retry(counts=False)` has a reason of its own, at INFO and without a traceback (trials 1.16)."""
    caplog.set_level(logging.DEBUG, "peeklock")
    queue = Queue("orders", max_attempts=1)
    if is_async:

        @consumer(queue)
        async def poll(payload: dict) -> None:
            raise Retry("not yet", after=60, counts=False)

    else:

        @consumer(queue)
        def poll(payload: dict) -> None:
            raise Retry("not yet", after=60, counts=False)

    store, clock = MemoryStore(), FakeClock()
    for _ in range(20):
        (delivery,) = run(bound_for(poll, store=store, clock=clock), [message({})])
        assert (delivery.outcome.disposition, delivery.outcome.reason, delivery.outcome.attempt) == (
            "abandon",
            "rescheduled",
            1,
        )
        assert delivery.outcome.delay == timedelta(seconds=60)
        clock.advance(60)
    assert {(entry.levelname, entry.exc_info) for entry in caplog.records} == {("INFO", None)}
    assert Reason.RESCHEDULED in NOT_AN_ATTEMPT
    assert Reason.RESCHEDULED not in FAILED


def test_a_rescheduled_copy_keeps_its_attempts():
    """Where a copy carries on, it counts nothing either (trials 1.16)."""

    @consumer(Queue("orders", max_attempts=1))
    def poll(payload: dict) -> None:
        raise Retry(after=3600, counts=False)

    copies = Outbox()
    bound = bound_for(poll, store=MemoryStore(), copies=copies, delays=Delays.COPY)
    (delivery,) = handle(bound, [message({})])
    assert (delivery.outcome.reason, delivery.outcome.copied, delivery.outcome.delay) == ("rescheduled", True, HOUR)
    assert (copies.outgoing_messages[0].lineage.attempts, copies.outgoing_messages[0].lineage.copy_number) == (0, 1)


def test_without_a_store_it_counts_and_that_is_said_once(caplog):
    """Only the platform counts there (trials 1.16)."""
    queue = Queue("polled-without-a-store", max_attempts=2)

    @consumer(queue)
    def poll(payload: dict) -> None:
        raise Retry(counts=False)

    reasons = [handle(bound_for(poll), [message({}, delivery=n)])[0].outcome.reason for n in (1, 1, 2)]
    assert reasons == ["rescheduled", "rescheduled", "exhausted"]
    assert caplog.text.count("peeklock.weaker") == 1
    assert "counts as an attempt" in caplog.text


@pytest.mark.parametrize("hooked", [False, True])
def test_a_decision_has_no_traceback(caplog, hooked):
    """A DeadLetter that the handler raises is a decision; what a hook judged is an exception all the same (trials 1.16)."""

    @consumer(Queue("orders"), on_error=lambda exc: DeadLetter("hooked") if hooked else None)
    def handler(payload: dict) -> None:
        raise ValueError if hooked else DeadLetter("never")

    assert deliver(handler, {}).reason == "fatal"
    (entry,) = [entry for entry in caplog.records if entry.levelname == "ERROR"]
    assert bool(entry.exc_info) is hooked


@pytest.mark.parametrize("delivery", [41, 50])
def test_without_a_store_many_deliveries_are_not_many_attempts(delivery):
    """Forty answers of 503 ran nothing: the message runs, and is exhausted only by that run's failure (trials 1.17)."""
    seen = []

    @consumer(Queue("orders", max_attempts=5))
    def handler(payload: dict) -> None:
        seen.append(payload)
        if payload:
            raise ValueError("no")

    dead_letters = Outbox()
    for body, reason in (({}, "done"), ({"fail": 1}, "exhausted")):
        (settled,) = handle(bound_for(handler, dead_letters=dead_letters), [message(body, delivery=delivery)])
        assert settled.outcome.reason == reason
    assert len(seen) == 2
    assert dead_letters.outgoing_messages[0].attributes["peeklock-detail"] == "ValueError: no"


def test_without_a_store_no_time_is_halted():
    """However often it was delivered (trials 1.17)."""

    @consumer(Queue("orders", max_attempts=5))
    def handler(payload: dict) -> None:
        raise AssertionError

    (handled,) = handle(bound_for(handler), [message({}, delivery=9)], timedelta(seconds=5))
    assert handled.outcome.reason == Reason.HALTED


def test_without_a_store_ten_times_max_attempts_are_enough():
    """A message that kills its process must end some time, and its dead letter says why."""

    @consumer(Queue("orders", max_attempts=5))
    def handler(payload: dict) -> None:
        raise AssertionError

    (handled,) = handle(bound_for(handler), [message({}, delivery=51)])
    assert handled.outcome.reason == Reason.EXHAUSTED
    assert handled.outcome.detail.startswith("delivered more than 10 times")


@pytest.mark.parametrize("ends", [True, False])
def test_the_dead_letter_after_time_outs_says_so(ends):
    """And is not empty (trials 1.10). It is decided at once where the handler has ended, else when its lease is over."""
    clock, store, dead_letters = FakeClock(), MemoryStore(), Outbox()
    release = threading.Event()

    @consumer(Queue("orders", max_attempts=1, timeout=0.05))
    async def handler(payload: dict) -> None:
        while not release.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                if ends:
                    raise

    bound = bound_for(handler, store=store, dead_letters=dead_letters, clock=clock)
    (late,) = run(bound, [message({})])
    assert late.outcome.reason == (Reason.EXHAUSTED if ends else Reason.TIMEOUT)
    clock.advance(HOUR)
    (dead,) = run(bound, [message({})])
    release.set()
    assert dead.outcome.reason == Reason.EXHAUSTED
    assert "ran past its 0.05 s" in str(dead_letters.outgoing_messages[0].attributes["peeklock-detail"])


def test_a_retry_is_published_again_with_what_is_left_of_its_delay():
    """The queue was down when the copy was to be published, for 20 minutes of its hour (trials 1.26)."""

    @consumer(Queue("orders", first_delay=2))
    def handler(payload: dict) -> None:
        raise Retry(after=3600)

    clock, store, copies = FakeClock(), MemoryStore(), Outbox()
    down = FlakySender(copies, Script({1: "before"}))
    bound = bound_for(handler, store=store, copies=down, delays=Delays.COPY, clock=clock)
    (refused,) = handle(bound, [message({})])
    assert (refused.outcome.disposition, refused.outcome.copied) == ("abandon", False)
    clock.advance(1200)
    (moved,) = handle(bound, [message({})])
    assert moved.outcome.reason == Reason.SUPERSEDED
    assert [copy.delay for copy in copies.outgoing_messages] == [timedelta(seconds=2400)]
    clock.advance(4000)
    store.records["orders#m-1"] = store.records["orders#m-1"]
    assert store.records["orders#m-1"].state is State.DELAYED


def test_a_copy_whose_time_has_passed_is_published_at_once():
    """And never with a delay below nothing (trials 1.26)."""

    @consumer(Queue("orders"))
    def handler(payload: dict) -> None:
        raise Retry(after=60)

    clock, copies = FakeClock(), Outbox()
    bound = bound_for(
        handler,
        store=MemoryStore(),
        copies=FlakySender(copies, Script({1: "before"})),
        delays=Delays.COPY,
        clock=clock,
    )
    handle(bound, [message({})])
    clock.advance(7200)
    handle(bound, [message({})])
    assert [copy.delay for copy in copies.outgoing_messages] == [timedelta(0)]

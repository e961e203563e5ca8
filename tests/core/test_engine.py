"""The outcome table of the contract, row by row, and who runs when."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from peeklock import Batch, DeadLetter, Disposition, Message, Queue, Reason, Retry, consumer
from peeklock.concurrency import event_loop
from peeklock.engine.bound_consumer import Delays
from peeklock.engine.run import handle, handle_async
from peeklock.idempotency.record import State
from peeklock.message import Lineage
from peeklock.observability.observer import Settled
from peeklock.outgoing import REASON
from peeklock.stores.memory import MemoryStore
from peeklock.testing import FakeClock, Outbox
from tests.core.world import QUEUE, CountingStore, FlakySender, FlakyStore, Script, bound_for, message, recording

HOUR = timedelta(hours=1)


def outcomes(settled: Any) -> list[tuple[str, str]]:
    return [(delivery.outcome.disposition.value, delivery.outcome.reason.value) for delivery in settled]


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"n": 1}, ("complete", "done")),
        ({"error": "fatal"}, ("dead_letter", "fatal")),
        ({"error": "x"}, ("abandon", "retry")),
        ({"error": "exit"}, ("abandon", "retry")),
        (b"{", ("dead_letter", "invalid")),
        (b"\xff", ("dead_letter", "invalid")),
        (b"", ("dead_letter", "invalid")),
        ([1], ("dead_letter", "invalid")),
    ],
)
def test_what_becomes_of_a_message(stored, body, expected):
    """Each kind of end, with a store and without."""
    handler, _ = recording()
    dead_letters = Outbox()
    bound = bound_for(handler, store=MemoryStore() if stored else None, dead_letters=dead_letters)
    settled = handle(bound, [message(body)])
    assert outcomes(settled) == [expected]
    assert [outgoing.attributes[REASON] for outgoing in dead_letters.outgoing_messages] == (
        [expected[1]] if expected[0] == "dead_letter" else []
    )


@pytest.mark.parametrize("stored", [True, False])
def test_the_last_attempt_is_dead_lettered_with_the_reason(stored):
    """At max_attempts a failure is exhausted; its dead letter says what was raised and carries the next life."""
    handler, seen = recording()
    dead_letters = Outbox()
    bound = bound_for(handler, store=MemoryStore() if stored else None, dead_letters=dead_letters)
    (delivery,) = handle(bound, [message({"error": "boom"}, lineage=Lineage(id="m", attempts=2))])
    assert (delivery.outcome.reason, delivery.outcome.attempt, len(seen)) == (Reason.EXHAUSTED, 3, 1)
    (dead_letter,) = dead_letters.outgoing_messages
    assert dead_letter.attributes["peeklock-detail"] == "ValueError: boom"
    assert dead_letter.attributes["peeklock-attempts"] == "3"
    assert dead_letter.lineage == Lineage(id="m", generation=1)


@pytest.mark.parametrize("stored", [True, False])
def test_over_the_limit_it_does_not_run(stored):
    """A message that spent its attempts elsewhere is dead-lettered without running."""
    handler, seen = recording()
    bound = bound_for(handler, store=MemoryStore() if stored else None)
    settled = handle(bound, [message({}, lineage=Lineage(id="m", attempts=3))])
    assert outcomes(settled) == [("dead_letter", "exhausted")]
    assert seen == []


def test_older_than_max_age_is_expired():
    """A message past its age is a dead letter, not a run."""
    clock = FakeClock()
    handler, seen = recording(queue=Queue("orders", max_age=60))
    now = int(clock.now().timestamp() * 1000)
    settled = handle(
        bound_for(handler, clock=clock), [message({}, sent_ms=now - 61_000), message({}, sent_ms=now - 59_000)]
    )
    assert outcomes(settled) == [("dead_letter", "expired"), ("complete", "done")]
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("decision", "reason", "delay", "attempts"),
    [
        (Retry("later", after=40), "retry", 40, 1),
        (Retry("not yet", after=40, counts=False), "rescheduled", 40, 0),
        (DeadLetter("never"), "fatal", None, 1),
    ],
)
@pytest.mark.parametrize("by_hook", [True, False])
def test_a_handler_or_a_hook_decides(decision, reason, delay, attempts, by_hook):
    """Retry and DeadLetter, raised or returned by on_error, overrule the usual."""

    @consumer(QUEUE, on_error=lambda exc: decision if by_hook else None)
    def handler(payload: dict) -> None:
        raise ValueError if by_hook else decision

    store = MemoryStore()
    (delivery,) = handle(bound_for(handler, store=store), [message({})])
    assert delivery.outcome.reason == reason
    assert delivery.outcome.delay == (None if delay is None else timedelta(seconds=delay))
    assert store.records["orders#m-1"].attempts == attempts


def test_a_hook_that_fails_decides_nothing(caplog):
    """When on_error raises, the failure is the usual retry."""

    def hook(exc: BaseException) -> None:
        raise RuntimeError("the hook is broken")

    @consumer(QUEUE, on_error=hook)
    def handler(payload: dict) -> None:
        raise ValueError("x")

    (delivery,) = handle(bound_for(handler), [message({})])
    assert delivery.outcome.reason == Reason.RETRY
    assert "peeklock.on_error_failed" in caplog.text


def test_a_second_delivery_is_a_duplicate():
    """A message that is recorded as done is completed without a run."""
    handler, seen = recording()
    bound = bound_for(handler, store=MemoryStore())
    assert outcomes(handle(bound, [message({})])) == [("complete", "done")]
    assert outcomes(handle(bound, [message({})])) == [("complete", "duplicate")]
    assert len(seen) == 1


def test_a_redriven_dead_letter_really_runs_again():
    """A dead record stops its own life only."""
    handler, seen = recording()
    dead_letters = Outbox()
    bound = bound_for(handler, store=MemoryStore(), dead_letters=dead_letters)
    handle(bound, [message({"error": "fatal"})])
    assert outcomes(handle(bound, [message({"error": "fatal"})])) == [("dead_letter", "fatal")]
    assert len(seen) == 1
    (dead_letter,) = dead_letters.outgoing_messages
    assert outcomes(handle(bound, [message({}, lineage=dead_letter.lineage)])) == [("complete", "done")]
    assert len(seen) == 2


def test_a_busy_key_is_given_back_until_its_lease_ends():
    """A live lease is not an attempt; a dead owner's message runs again, counted before it runs."""
    clock, store = FakeClock(), MemoryStore()
    seen: list[int] = []

    @consumer(QUEUE, key="order_id")
    def handler(payload: dict, message: Message) -> None:
        seen.append(message.attempt)
        if payload.get("die"):
            raise KeyboardInterrupt

    bound = bound_for(handler, store=store, clock=clock)
    with pytest.raises(KeyboardInterrupt):
        handle(bound, [message({"order_id": "o", "die": True})])
    (delivery,) = handle(bound, [message({"order_id": "o"})])
    assert delivery.outcome.reason == Reason.BUSY
    assert delivery.outcome.delay is not None
    clock.advance(delivery.outcome.delay)
    assert outcomes(handle(bound, [message({"order_id": "o"})])) == [("complete", "done")]
    assert seen == [1, 2]


def test_the_store_is_down_before_the_handler():
    """Unavailable: not run, not counted, given back."""
    handler, seen = recording()
    script = Script({1: "before", 2: "before", 3: "before"})
    (delivery,) = handle(bound_for(handler, store=FlakyStore(MemoryStore(), script)), [message({})])
    assert (delivery.outcome.disposition, delivery.outcome.reason) == (Disposition.ABANDON, Reason.UNAVAILABLE)
    assert seen == []


def test_a_lost_response_is_asked_for_again():
    """The same change, made twice, has won once."""
    handler, seen = recording()
    store = MemoryStore()
    settled = handle(bound_for(handler, store=FlakyStore(store, Script({1: "after", 3: "after"}))), [message({})])
    assert outcomes(settled) == [("complete", "done")]
    assert store.records["orders#m-1"].state is State.DONE
    assert len(seen) == 1


def test_a_success_that_cannot_be_recorded_is_completed_all_the_same(caplog):
    """The effect has happened; the missing record is logged as an error."""
    handler, _ = recording()
    script = Script(dict.fromkeys((2, 3, 4), "before"))
    settled = handle(bound_for(handler, store=FlakyStore(MemoryStore(), script)), [message({})])
    assert outcomes(settled) == [("complete", "done")]
    assert "peeklock.unrecorded" in caplog.text
    assert caplog.records[0].levelno == logging.ERROR


def test_a_dead_letter_that_cannot_be_published_brings_the_message_back():
    """The verdict stands: the next delivery publishes the dead letter and does not run the handler."""
    handler, seen = recording()
    clock, store, outbox = FakeClock(), MemoryStore(), Outbox()
    bound = bound_for(
        handler, store=store, clock=clock, dead_letters=FlakySender(outbox, Script({1: "before", 2: "short"}))
    )
    (delivery,) = handle(bound, [message({"error": "fatal"})])
    assert (delivery.outcome.disposition, delivery.outcome.reason) == (Disposition.ABANDON, Reason.RETRY)
    assert store.records["orders#m-1"].state is State.DEAD_LETTERING
    assert outcomes(handle(bound, [message({"error": "fatal"})])) == [("abandon", "unavailable")]
    assert outcomes(handle(bound, [message({"error": "fatal"})])) == [("dead_letter", "fatal")]
    assert len(seen) == 1
    assert outcomes(handle(bound, [message({"error": "fatal"})])) == [("dead_letter", "fatal")]


class TestCopies:
    """Where the platform cannot delay, a copy carries on."""

    def bound(self, handler, **world):
        self.copies = Outbox()
        self.store = MemoryStore()
        world.setdefault("store", self.store)
        return bound_for(handler, copies=self.copies, delays=Delays.COPY, **world)

    def test_a_failure_leaves_as_a_copy(self):
        """The copy carries its attempts, copy number and delay; the platform is told that this delivery is finished."""
        handler, seen = recording()
        bound = self.bound(handler)
        (delivery,) = handle(bound, [message({"error": "x"})])
        assert (delivery.outcome.reason, delivery.outcome.copied, delivery.outcome.finished) == (
            Reason.RETRY,
            True,
            True,
        )
        (copy,) = self.copies.outgoing_messages
        assert copy.lineage == Lineage(id="m-1", copy_number=1, attempts=1)
        assert copy.id == "m-1.0.1.peeklock"
        assert copy.delay == delivery.outcome.delay
        assert outcomes(handle(bound, [message({"error": "x"})])) == [("complete", "superseded")]
        assert outcomes(handle(bound, [message({}, lineage=copy.lineage)])) == [("complete", "done")]
        assert len(seen) == 2

    def test_a_copy_that_was_not_published_is_published_by_the_next_delivery(self):
        """The record says moving, so the older copy publishes and does not run."""
        handler, seen = recording()
        bound = self.bound(handler)
        bound = replace(bound, copies=FlakySender(self.copies, Script({1: "before", 2: "before"})))
        (delivery,) = handle(bound, [message({"error": "x"})])
        assert (delivery.outcome.reason, delivery.outcome.copied) == (Reason.RETRY, False)
        assert outcomes(handle(bound, [message({"error": "x"})])) == [("abandon", "unavailable")]
        assert outcomes(handle(bound, [message({"error": "x"})])) == [("complete", "superseded")]
        assert [outgoing.lineage.copy_number for outgoing in self.copies.outgoing_messages] == [1]
        assert len(seen) == 1

    def test_nothing_is_published_when_the_record_cannot_announce_it(self):
        """A copy without its record could run beside the original."""
        handler, _ = recording()
        store = FlakyStore(MemoryStore(), Script(dict.fromkeys((2, 3, 4), "before")))
        (delivery,) = handle(self.bound(handler, store=store), [message({"error": "x"})])
        assert (delivery.outcome.reason, delivery.outcome.copied) == (Reason.RETRY, False)
        assert self.copies.outgoing_messages == []

    def test_a_grouped_message_is_never_copied(self):
        """A copy would be overtaken by its group."""
        handler, _ = recording()
        (delivery,) = handle(self.bound(handler), [message({"error": "x"}, group="g")])
        assert (delivery.outcome.copied, self.copies.outgoing_messages) == (False, [])

    @pytest.mark.parametrize("published", [True, False])
    def test_a_binding_that_lost_its_copies_runs_the_message(self, published):
        """A record left by an earlier deployment announces a copy: nobody can publish it any more, and if it is there after
        all, it carries on."""
        handler, seen = recording()
        script = Script({1: "after" if published else "before"})
        bound = replace(self.bound(handler), copies=FlakySender(self.copies, script))
        handle(bound, [message({"error": "x"})])
        bare = replace(bound, copies=None, delays=Delays.NATIVE)
        assert outcomes(handle(bare, [message({"error": "x"})])) == [("abandon", "retry")]
        assert self.store.records["orders#m-1"].attempts == 2
        if published:
            (copy,) = self.copies.outgoing_messages
            assert outcomes(handle(bare, [message({}, lineage=copy.lineage)])) == [("complete", "done")]
        else:
            assert outcomes(handle(bare, [message({})])) == [("complete", "done")]
        assert outcomes(handle(bare, [message({})])) == [("complete", "duplicate")]
        assert len(seen) == 3


class TestOrder:
    """Groups, twins and suspects."""

    def test_a_group_halts_after_a_message_that_was_not_completed(self):
        """Later members are given back unrun; other groups go on."""
        handler, seen = recording()
        store = MemoryStore()
        bodies = [({"error": "x"}, "a"), ({"n": 2}, "a"), ({"n": 3}, "b"), ({"n": 4}, "a")]
        messages = [message(body, id=f"m-{n}", group=group) for n, (body, group) in enumerate(bodies)]
        settled = handle(bound_for(handler, store=store), messages)
        assert [delivery.outcome.reason.value for delivery in settled] == ["retry", "halted", "done", "halted"]
        assert [payload.get("n") for payload in seen] == [None, 3]
        assert store.records["orders#m-1"].state is State.WAITING
        assert store.records["orders#m-1"].attempts == 0

    @pytest.mark.parametrize("stored", [True, False])
    def test_a_group_goes_on_after_a_dead_letter(self, stored):
        """A dead letter is out of the way."""
        handler, seen = recording()
        messages = [
            message(body, id=f"m-{n}", group="a") for n, body in enumerate([{"error": "fatal"}, b"{", {"n": 2}])
        ]
        settled = handle(bound_for(handler, store=MemoryStore() if stored else None), messages)
        assert [delivery.outcome.reason.value for delivery in settled] == ["fatal", "invalid", "done"]
        assert len(seen) == 2

    def test_the_second_of_two_with_one_key_waits_and_is_a_duplicate(self):
        """And it asks the store nothing."""
        handler, seen = recording(key="k")
        store = CountingStore()
        settled = handle(bound_for(handler, store=store), [message({"k": 1}, id="a"), message({"k": 1}, id="b")])
        assert [delivery.outcome.reason.value for delivery in settled] == ["done", "duplicate"]
        assert (store.sizes, len(seen)) == ([1, 1], 1)
        assert [delivery.key for delivery in settled] == ["1", "1"]

    def test_a_suspect_runs_last_and_alone(self):
        """A message that may have killed its process is claimed on its own, after all others have ended."""
        clock, store = FakeClock(), MemoryStore()
        order: list[int] = []

        @consumer(QUEUE)
        def handler(payload: dict) -> None:
            if payload.get("die"):
                raise KeyboardInterrupt
            order.append(payload["n"])

        bound = bound_for(handler, store=store, clock=clock, parallel=2)
        with pytest.raises(KeyboardInterrupt):
            handle(replace(bound, parallel=1), [message({"die": 1}, id="m-0")])
        clock.advance(HOUR)
        counting = CountingStore()
        counting.inner = store
        settled = handle(
            replace(bound, store=counting),
            [message({"n": 0}, id="m-0"), message({"n": 1}, id="m-1"), message({"n": 2}, id="m-2")],
        )
        assert [delivery.outcome.reason.value for delivery in settled] == ["done"] * 3
        assert order[-1] == 0
        assert counting.sizes[0] == 3

    def test_one_claim_call_a_batch_and_grouped_records(self):
        """While one record is written, other handlers run, and theirs leave together."""
        store = CountingStore()
        store.gate, store.hold_call = threading.Event(), 2
        ran: list[int] = []

        @consumer(QUEUE)
        def handler(payload: dict) -> None:
            ran.append(payload["n"])
            if payload["n"] == 2:
                assert store.gated.wait(10)
            if payload["n"] == 9:
                store.gate.set()

        settled = handle(bound_for(handler, store=store), [message({"n": n}, id=f"m-{n}") for n in range(10)])
        assert [delivery.outcome.reason.value for delivery in settled] == ["done"] * 10
        assert store.sizes[0] == 10
        assert sum(store.sizes) == 20
        assert len(store.sizes) <= 4
        assert ran == list(range(10))


class TestDeadline:
    """No message starts that cannot finish."""

    def test_what_has_no_time_is_given_back(self):
        """Two messages of thirty seconds fit into seventy; the third goes back uncounted."""
        clock, store = FakeClock(), MemoryStore()

        @consumer(QUEUE)
        def handler(payload: dict) -> None:
            clock.advance(20)

        bound = bound_for(handler, store=store, clock=clock)
        settled = handle(bound, [message({}, id=f"m-{n}") for n in range(4)], timedelta(seconds=70))
        assert [delivery.outcome.reason.value for delivery in settled] == ["done", "done", "halted", "halted"]
        assert settled[2].outcome.delay == timedelta()
        record = store.records["orders#m-2"]
        assert (record.state, record.attempts) == (State.WAITING, 0)

    @pytest.mark.parametrize("stored", [True, False])
    def test_without_any_time_nothing_is_claimed(self, stored):
        """All go back, and the store is not even asked."""
        handler, seen = recording()
        store = CountingStore()
        settled = handle(bound_for(handler, store=store if stored else None), [message({})] * 2, timedelta(seconds=3))
        assert outcomes(settled) == [("abandon", "halted")] * 2
        assert (seen, store.sizes) == ([], [])

    def test_a_suspect_without_time_is_given_back(self):
        """The record is unchanged."""
        clock, store = FakeClock(), MemoryStore()

        @consumer(QUEUE)
        def handler(payload: dict) -> None:
            if payload.get("die"):
                raise KeyboardInterrupt
            clock.advance(40)

        bound = bound_for(handler, store=store, clock=clock)
        with pytest.raises(KeyboardInterrupt):
            handle(bound, [message({"die": 1}, id="a")])
        clock.advance(HOUR)
        before = store.records["orders#a"]
        settled = handle(bound, [message({}, id="a"), message({}, id="b")], timedelta(seconds=50))
        assert [delivery.outcome.reason.value for delivery in settled] == ["halted", "done"]
        assert store.records["orders#a"] == before


class TestBatchHandler:
    """One call with all that may run."""

    def test_it_reports_who_failed(self):
        """Failures are given by message id; None and a missing id mean success."""
        calls: list[int] = []

        @consumer(QUEUE)
        def handler(rows: Batch[dict]) -> dict[str, Any]:
            calls.append(len(rows))
            return {"m-1": ValueError("x"), "m-2": None}

        settled = handle(bound_for(handler, store=MemoryStore()), [message({"n": n}, id=f"m-{n}") for n in range(3)])
        assert [delivery.outcome.reason.value for delivery in settled] == ["done", "retry", "done"]
        assert calls == [3]

    def test_what_it_raises_is_the_failure_of_all(self):
        """So is a return value that says nothing."""

        @consumer(QUEUE)
        def raises(rows: Batch[dict]) -> None:
            raise ValueError("x")

        @consumer(QUEUE)
        def odd(rows: Batch[dict]) -> list[str]:
            return ["m-0"]

        for handler in (raises, odd):
            settled = handle(bound_for(handler), [message({}, id=f"m-{n}") for n in range(2)])
            assert outcomes(settled) == [("abandon", "retry")] * 2

    def test_one_of_a_group_at_a_time(self):
        """The next of a group runs in a later call, once the one before is completed."""
        calls: list[list[int]] = []

        @consumer(QUEUE)
        async def handler(rows: Batch[dict]) -> None:
            calls.append([row["n"] for row in rows])

        messages = [message({"n": n}, id=f"m-{n}", group=group) for n, group in enumerate(["a", "a", "b", None])]
        settled = event_loop.run(handle_async(bound_for(handler, store=MemoryStore()), messages))
        assert [delivery.outcome.reason.value for delivery in settled] == ["done"] * 4
        assert calls == [[0, 2, 3], [1]]

    @pytest.mark.parametrize("stored", [True, False])
    def test_a_dead_letter_in_the_batch_does_not_halt_the_others(self, stored):
        """The call waits for what the store and the queue still have to say, and no longer."""
        calls: list[int] = []

        @consumer(QUEUE)
        def handler(rows: Batch[dict]) -> None:
            calls.append(len(rows))

        messages = [message({}, id="a"), message(b"{", id="b"), message({}, id="c")]
        settled = handle(bound_for(handler, store=MemoryStore() if stored else None), messages)
        assert [delivery.outcome.reason.value for delivery in settled] == ["done", "invalid", "done"]
        assert sum(calls) == 2

    def test_an_empty_batch_is_never_called(self):
        """Nor with only messages that must not run."""

        @consumer(QUEUE)
        def handler(rows: Batch[dict]) -> None:
            raise AssertionError

        assert outcomes(handle(bound_for(handler), [message(b"{")])) == [("dead_letter", "invalid")]
        assert list(handle(bound_for(handler), [])) == []


@pytest.mark.parametrize("driver", ["inline", "thread", "threads", "async", "async4"])
def test_every_driver_comes_to_the_same(driver):
    """Main thread, another thread, several threads, one coroutine, several."""
    parallel = 4 if driver in ("threads", "async4") else 1
    store, dead_letters = MemoryStore(), Outbox()
    bodies = [{"n": 0}, {"error": "x"}, {"error": "fatal"}, b"{", {"n": 4}]
    messages = [message(body, id=f"m-{n}", group="g" if n > 3 else None) for n, body in enumerate(bodies)]

    if driver.startswith("async"):

        @consumer(QUEUE, fatal=(RuntimeError,))
        async def handler(payload: dict) -> None:
            if "error" in payload:
                raise RuntimeError if payload["error"] == "fatal" else ValueError

        settled: Any = event_loop.run(
            handle_async(bound_for(handler, store=store, dead_letters=dead_letters, parallel=parallel), messages)
        )
    else:
        sync_handler, _ = recording()
        bound = bound_for(sync_handler, store=store, dead_letters=dead_letters, parallel=parallel)
        if driver == "thread":
            results: list[Any] = []
            thread = threading.Thread(target=lambda: results.append(handle(bound, messages)))
            thread.start()
            thread.join(20)
            (settled,) = results
        else:
            settled = handle(bound, messages)
    assert [delivery.outcome.reason.value for delivery in settled] == ["done", "retry", "fatal", "invalid", "done"]
    assert len(dead_letters.outgoing_messages) == 2


@pytest.mark.parametrize("count", [0, 1, 10_000])
@pytest.mark.parametrize("stored", [True, False])
def test_sizes(count, stored):
    """Nothing, one, and ten thousand in one group, which would end a recursion."""
    handler, seen = recording()
    messages = [message({"n": n}, id=f"m-{n}", group="g") for n in range(count)]
    settled = handle(bound_for(handler, store=MemoryStore() if stored else None), messages)
    assert len(settled) == count
    assert [payload["n"] for payload in seen] == list(range(count))


def test_a_halted_group_of_ten_thousand():
    """One failure at its head gives all of it back."""
    handler, seen = recording()
    messages = [message({"error": "x"}, id=f"m-{n}", group="g") for n in range(10_000)]
    settled = handle(bound_for(handler, store=MemoryStore()), messages)
    assert [delivery.outcome.reason.value for delivery in settled] == ["retry"] + ["halted"] * 9_999
    assert len(seen) == 1


def test_the_message_tells_attempt_and_a_growing_fence():
    """The second parameter is the message under its claim."""
    messages: list[Message] = []

    @consumer(QUEUE)
    def handler(payload: dict, message: Message) -> None:
        messages.append(message)
        raise ValueError

    bound = bound_for(handler, store=MemoryStore())
    handle(bound, [message({})])
    handle(bound, [message({})])
    assert [message.attempt for message in messages] == [1, 2]
    assert 0 < messages[0].fence < messages[1].fence


class Broken:
    """An observer whose every word fails."""

    def running(self, message: Message, /) -> None:
        return None

    def settled(self, platform: str, settled: Any, /) -> None:
        raise RuntimeError


def test_an_observer_that_fails_decides_nothing(caplog):
    """Telemetry is not work."""
    handler, _ = recording()
    assert outcomes(handle(bound_for(handler, observer=Broken()), [message({})])) == [("complete", "done")]
    assert "peeklock.observer_failed" in caplog.text


class Spans:
    """Remembers its spans."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def running(self, message: Message, /) -> Spans:
        self.calls.append(f"run {message.id}")
        return self

    def __enter__(self) -> None:
        self.calls.append("enter")

    def __exit__(self, *exc: object) -> None:
        self.calls.append("exit")

    def settled(self, platform: str, settled: Any, /) -> None:
        delivery: Settled = settled[0]
        self.calls.append(f"{platform} {delivery.outcome.reason}")


@pytest.mark.parametrize("batch", [True, False])
def test_a_span_is_around_each_run(batch):
    """And the settlement is told after it."""
    spans = Spans()
    single, _ = recording()

    @consumer(QUEUE)
    def many(rows: Batch[dict]) -> None:
        return None

    handle(bound_for(many if batch else single, observer=spans), [message({})])
    assert spans.calls == ["run m-1", "enter", "exit", "test done"]


def test_a_fault_of_ours_costs_one_message_only(caplog):
    """A life that breaks is given back, and the others go on."""

    class Odd:
        def uniform(self, a: float, b: float) -> float:
            raise ZeroDivisionError

    handler, _ = recording()
    bound = replace(bound_for(handler, store=MemoryStore()), random=Odd())
    settled = handle(bound, [message({"error": "x"}, id="a"), message({}, id="b")])
    assert outcomes(settled) == [("abandon", "retry"), ("complete", "done")]
    assert "peeklock.fault" in caplog.text

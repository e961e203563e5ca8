"""How a message ends whose copy or dead letter finds little room, or none."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from aws_lambda_powertools import Metrics

from peeklock import DeadLetter, Queue, SendError, consumer
from peeklock.engine import run as engine
from peeklock.engine.bound_consumer import Delays
from peeklock.engine.run import run
from peeklock.idempotency.record import State
from peeklock.message import Message
from peeklock.observability.observer import fields
from peeklock.observability.powertools import PowertoolsObserver
from peeklock.outcome import Reason
from peeklock.outgoing import OutgoingMessage
from peeklock.stores.memory import MemoryStore
from peeklock.testing import FakeClock, Outbox
from peeklock.testing.deliver import bound_for
from tests.core.world import FlakyStore, Script, recording
from tests.core.world import message as arriving

QUEUE = Queue("orders", max_attempts=3, timeout=20, first_delay=2)
NOISE = random.Random(5).randbytes(2000)


class Narrow:
    """A queue that takes messages of `size` bytes. Its sender hopes for more until it is refused."""

    def __init__(self, size: int, *, hopes: int | None = None) -> None:
        self.size = size
        self.limit = size if hopes is None else hopes
        self.sent: list[OutgoingMessage] = []
        self.refused = 0

    def weigh(self, outgoing: OutgoingMessage, /) -> int:
        lineage = 0 if outgoing.bare else len(outgoing.lineage.dump())
        return (
            lineage
            + len(outgoing.body)
            + sum(len(str(part)) for delivery in outgoing.attributes.items() for part in delivery)
        )

    def accepts(self, outgoing: OutgoingMessage, /) -> bool:
        return self.weigh(outgoing) <= self.limit

    def send(self, outgoing_messages: Sequence[OutgoingMessage], /) -> Sequence[SendError | None]:
        (outgoing,) = outgoing_messages
        if self.weigh(outgoing) > self.size:
            self.limit = self.size
            self.refused += 1
            return [SendError("too large")]
        self.sent.append(outgoing)
        return [None]


@consumer(QUEUE)
def refuse(body: bytes) -> None:
    raise DeadLetter("no such customer")


@consumer(QUEUE)
def fail(body: bytes) -> None:
    raise ValueError


@consumer(QUEUE)
def accept(body: bytes) -> None:
    return None


def deliver(function: Any, message: Message, **bound_by: Any) -> Any:
    (settled,) = engine.run(bound_for(function, **bound_by), [message], None)
    return settled


def message(**more: Any) -> Message:
    return Message("m-1", NOISE, "orders", **more)


@pytest.mark.parametrize("hopes", [None, 10_000])
def test_a_dead_letter_without_room_goes_out_as_it_came(hopes, caplog):
    """With the reason in log, metric and record; and its redrive runs, though it carries no lineage (trials 1.1)."""
    store, queue = MemoryStore(), Narrow(len(NOISE), hopes=hopes)
    settled = deliver(refuse, message(), store=store, dead_letters=queue)
    assert settled.outcome.reason is Reason.FATAL
    assert queue.refused == (0 if hopes is None else 1)
    (sent,) = queue.sent
    assert (sent.body, sent.bare, dict(sent.attributes)) == (NOISE, True, {})
    record = store.records["orders#m-1"]
    assert (record.state, record.reason, record.bare) == ("dead_lettered", "fatal", True)
    assert "peeklock.dead_letter_bare" in caplog.text
    assert "reason=fatal" in caplog.text
    assert fields("test", settled)["unexplained"] == 1
    assert deliver(accept, message(), store=store).outcome.reason is Reason.DONE
    assert deliver(accept, message(), store=store).outcome.reason is Reason.DUPLICATE


def test_the_metric_of_dead_letters_without_a_reason(capsys):
    """Counts them, and is not there without any."""
    metrics = Metrics(namespace="Orders", service="orders")
    observer = PowertoolsObserver(metrics=metrics)
    settled = deliver(refuse, message(), store=MemoryStore(), dead_letters=Narrow(len(NOISE)))
    observer.settled("test", [settled])
    assert '"Unexplained":[1.0]' in capsys.readouterr().out.replace(" ", "")
    observer.settled("test", [deliver(refuse, message(), store=MemoryStore())])
    assert "Unexplained" not in capsys.readouterr().out


def test_the_lineage_stays_as_long_as_it_fits(caplog):
    """Only the reason is left out, and that is said as well."""
    queue = Narrow(len(NOISE) + 40)
    store = MemoryStore()
    deliver(refuse, message(), store=store, dead_letters=queue)
    (sent,) = queue.sent
    assert (sent.bare, sent.unexplained, sent.lineage.generation) == (False, True, 1)
    assert not store.records["orders#m-1"].bare
    assert "lineage=True" in caplog.text


def test_a_dead_letter_that_no_form_lets_in():
    """Keeps its message: it is not acknowledged."""
    queue, store = Narrow(100), MemoryStore()
    outcome = deliver(refuse, message(), store=store, dead_letters=queue).outcome
    assert not outcome.finished
    assert "could not be published: too large" in outcome.detail
    assert store.records["orders#m-1"].state == "dead_lettering"


def test_no_lineage_is_left_out_unrecorded():
    """When the store does not take that, the dead letter is not published."""
    queue = Narrow(len(NOISE))
    store = FlakyStore(MemoryStore(), Script(dict.fromkeys(range(3, 9), "before")))
    outcome = deliver(refuse, message(), store=store, dead_letters=queue).outcome
    assert not outcome.finished
    assert queue.sent == []
    assert "the store did not record" in outcome.detail


@pytest.mark.parametrize("hopes", [None, 10_000])
def test_a_copy_without_room_leaves_the_message_where_it_is(hopes):
    """It comes back, runs again, and its attempts are counted (trials 1.1, 1.23)."""
    store, queue, clock = MemoryStore(), Narrow(len(NOISE), hopes=hopes), FakeClock()
    world: dict[str, Any] = {"store": store, "copies": queue, "delays": Delays.COPY, "clock": clock}
    for attempt in (1, 2):
        outcome = deliver(fail, message(), **world).outcome
        assert (outcome.finished, outcome.reason, outcome.attempt) == (False, Reason.RETRY, attempt)
        record = store.records["orders#m-1"]
        assert (record.state, record.copy_number, record.attempts) == ("waiting", 0, attempt)
        clock.advance(60)
    assert deliver(fail, message(), **world).outcome.reason is Reason.EXHAUSTED
    assert queue.sent == []
    assert (queue.refused == 0) == (hopes is None)


def test_a_copy_that_was_announced_and_does_not_fit():
    """Another process, whose sender assumed more room, announced it: the next delivery cancels it, and the one after
    that runs."""
    store, clock = MemoryStore(), FakeClock()
    world: dict[str, Any] = {"store": store, "delays": Delays.COPY, "clock": clock}

    class Dying(Narrow):
        def send(self, outgoing_messages: Sequence[OutgoingMessage], /) -> Sequence[SendError | None]:
            raise SendError("the process dies here")

    deliver(fail, message(), copies=Dying(0, hopes=10_000), **world)
    assert store.records["orders#m-1"].state == "delaying"
    queue = Narrow(len(NOISE))
    outcome = deliver(accept, message(), copies=queue, **world).outcome
    assert (outcome.finished, outcome.reason) == (False, Reason.UNAVAILABLE)
    assert deliver(accept, message(), copies=queue, **world).outcome.reason is Reason.DONE


class OnlyBare:
    """A queue that has room for the bare message, and takes nothing."""

    def accepts(self, outgoing: OutgoingMessage, /) -> bool:
        return outgoing.bare

    def send(self, outgoing_messages: Sequence[OutgoingMessage], /) -> Sequence[SendError | None]:
        return [SendError("the response was lost")] * len(outgoing_messages)


def test_a_bare_dead_letter_that_may_be_there_after_all_is_remembered():
    """It carries no lineage, so only its record says that the next delivery of its id may be it, redriven."""
    handler, _ = recording()
    store = MemoryStore()
    run(bound_for(handler, store=store, dead_letters=OnlyBare()), [arriving({"error": "fatal"})])
    (record,) = store.records.values()
    assert (record.state, record.bare) == (State.DEAD_LETTERING, True)


def test_a_copy_of_a_dead_letter_that_was_redriven_without_lineage_runs():
    """It says the life that it is of, or it would be taken for a copy of the one before."""
    handler, seen = recording()
    store, clock, copies = MemoryStore(), FakeClock(), Outbox()
    bound = bound_for(handler, store=store, clock=clock, copies=copies, delays=Delays.COPY)
    run(bound, [arriving({"error": "fatal"})])
    ((key, dead),) = store.records.items()
    store.records[key] = replace(dead, bare=True)
    run(bound, [arriving({"error": "once more"})])
    (copy,) = copies.outgoing_messages
    clock.advance(timedelta(minutes=10))
    (settled,) = run(bound, [arriving({}, lineage=copy.lineage)])
    assert settled.outcome.reason == "done"
    assert len(seen) == 3

"""Errors while a body is fetched, and the order in which a message is read: envelope, body, key, age."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from peeklock import (
    Batch,
    DeadLetter,
    InvalidMessage,
    Message,
    Queue,
    Retry,
    cloudtasks,
    consumer,
    pubsub,
    servicebus,
    sqs,
)
from peeklock.binding.bind import Binding
from peeklock.engine.bound_consumer import BoundConsumer, Delays
from peeklock.engine.run import run
from peeklock.idempotency.record import State
from peeklock.message import Lineage
from peeklock.outcome import Outcome
from peeklock.stores.memory import MemoryStore
from peeklock.testing import FakeClock, Outbox, deliver
from tests.core.world import FlakySender, Script, bound_for, message
from tests.support import ROOT

QUEUE = Queue("orders", max_attempts=3, timeout=30, first_delay=2)
ran: list[Any] = []


class PoolTimeout(TimeoutError):
    """An error as SDKs derive theirs."""


class NotFound(Exception):
    """An SDK's own, which is no OSError."""


@pytest.fixture(autouse=True)
def _nothing_ran_yet():
    ran.clear()


def handling(**declared: Any) -> Any:
    @consumer(declared.pop("queue", QUEUE), **declared)
    def handle(payload) -> None:  # type: ignore[no-untyped-def] # decode= says what it is
        ran.append(payload)

    return handle


def failing(*errors: BaseException | None) -> Any:
    """A decoder that raises these, one after the other, and then decodes."""
    waiting = list(errors)

    def decode(body: bytes) -> dict[str, str]:
        error = waiting.pop(0) if waiting else None
        if error is not None:
            raise error
        return {"id": body.decode()}

    return decode


def settle(bound: BoundConsumer, *messages: Message) -> list[Outcome]:
    return [delivery.outcome for delivery in run(bound, messages)]


FETCHING = [
    ConnectionError("reset"),
    ConnectionRefusedError("refused"),
    TimeoutError("slow"),
    PoolTimeout("slow"),
    OSError("disk"),
    MemoryError(),
    ExceptionGroup("all", [ValueError("v"), ConnectionError("reset")]),
    Retry("not there yet"),
    SystemExit(3),
    GeneratorExit(),
]


@pytest.mark.parametrize("error", FETCHING, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("store", [True, False])
def test_what_could_not_be_fetched_comes_back(error, store):
    """The outcome is that of an exception of the handler, with its delay, and the handler does not run. (trials 1.9)"""
    handle = handling(decode=failing(error))
    bound = bound_for(handle, store=MemoryStore() if store else None)
    (outcome,) = settle(bound, message(b"a"))
    assert (outcome.reason, outcome.attempt, outcome.error) == ("retry", 1, error)
    assert outcome.delay is not None
    assert settle(bound, message(b"a", delivery=2))[0].reason == "done"
    assert ran == [{"id": "a"}]


def test_where_the_message_is_read():
    """An envelope and a key function may fetch, too. (trials 1.9)"""

    def unreachable(_: Any) -> Any:
        raise ConnectionError("reset")

    by_key = handling(decode=failing(), key=unreachable)
    assert deliver(by_key, b"a").reason == "retry"
    binding = Binding(
        handling(decode=failing()),
        "test",
        delays=Delays.NATIVE,
        longest=timedelta(seconds=60),
        options={"unwrap": unreachable, "dead_letter": Outbox(), "store": MemoryStore()},
    )
    (settled,) = binding.run([message(b"a")])
    assert (settled.outcome.reason, ran) == ("retry", [])


@pytest.mark.parametrize("store", [True, False])
def test_a_fetch_that_never_succeeds_ends(store):
    """Each try is an attempt, so that the message is dead-lettered some day. (trials 1.9)"""
    dead_letters = Outbox()
    handle = handling(decode=failing(*[ConnectionError("reset")] * 9))
    bound = bound_for(handle, store=MemoryStore() if store else None, dead_letters=dead_letters)
    reasons = [settle(bound, message(b"a", delivery=n))[0].reason for n in (1, 2, 3)]
    assert (reasons, ran) == (["retry", "retry", "exhausted"], [])
    assert [outgoing.body for outgoing in dead_letters.outgoing_messages] == [b"a"]


def test_retry_and_dead_letter_mean_what_they_mean_in_a_handler():
    """With their delay, whether they count, and their reason. (trials 1.9)"""
    later = deliver(handling(decode=failing(Retry(after=60, counts=False))), b"a")
    assert (later.disposition, later.delay) == ("abandon", timedelta(seconds=60))
    dead_letters = Outbox()
    never = deliver(handling(decode=failing(DeadLetter("gone for good"))), b"a", dead_letters=dead_letters)
    assert (never.reason, len(dead_letters.outgoing_messages)) == ("fatal", 1)
    assert "gone for good" in never.detail
    fatal = handling(decode=failing(ConnectionError("reset")), fatal=(ConnectionError,))
    assert deliver(fatal, b"a").reason == "fatal"


@pytest.mark.parametrize(
    "error", [ValueError("bad"), KeyError("k"), NotFound("n"), InvalidMessage("no"), ExceptionGroup("g", [KeyError()])]
)
def test_what_cannot_be_decoded_is_invalid(error):
    """No later attempt could change it."""
    outcome = deliver(handling(decode=failing(error)), b"a")
    assert (outcome.disposition, outcome.reason, ran) == ("dead_letter", "invalid", [])


def test_somebody_at_a_terminal_wants_out():
    """A KeyboardInterrupt leaves, as it does from a handler."""
    with pytest.raises(KeyboardInterrupt):
        deliver(handling(decode=failing(KeyboardInterrupt())), b"a")


@pytest.mark.parametrize("store", [True, False])
def test_a_fetch_that_fails_halts_its_group(store):
    """Order holds: what comes after it in its group waits. (trials 1.9)"""
    handle = handling(decode=failing(None, ConnectionError("reset")))
    bound = bound_for(handle, store=MemoryStore() if store else None)
    messages = [message(name.encode(), id=name, group="g") for name in ("a", "b", "c")]
    assert [outcome.reason for outcome in settle(bound, *messages)] == ["done", "retry", "halted"]
    assert ran == [{"id": "a"}]


@pytest.mark.parametrize("store", [True, False])
def test_an_async_handler(store):
    """Has its bodies read the same way. (trials 1.9)"""

    @consumer(QUEUE, decode=failing(ConnectionError("reset"), Retry(after=5)))
    async def handle(payload: Any) -> None:
        ran.append(payload)

    bound = bound_for(handle, store=MemoryStore() if store else None)
    first, second = settle(bound, message(b"a", id="a"), message(b"b", id="b"))
    assert (first.reason, second.reason, second.delay) == ("retry", "retry", timedelta(seconds=5))
    assert [outcome.reason for outcome in settle(bound, message(b"a", id="a", delivery=2))] == ["done"]
    assert ran == [{"id": "a"}]


@pytest.mark.parametrize(
    ("platform", "answer", "copies"),
    [
        (sqs, {"batchItemFailures"}, 0),
        (servicebus, None, 1),
        (cloudtasks, {"status": 204}, 1),
        (pubsub, {"status": 500}, 0),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_every_platform_delivers_it_again(platform, answer, copies):
    """Each has its own way, and none forgets the message. (trials 1.9)"""
    name = platform.__name__.split(".")[-2]
    event = json.loads((ROOT / "events" / name / "single.json").read_text())
    dead_letters, box = Outbox(), Outbox()
    said = platform.run_sample(
        handling(decode=failing(ConnectionError("reset"))),
        event,
        store=MemoryStore(),
        dead_letter=dead_letters,
        queue=box,
    )
    if name == "sqs":
        assert len(said["batchItemFailures"]) == 1
    else:
        assert said == answer
    assert (len(box.outgoing_messages), dead_letters.outgoing_messages, ran) == (copies, [], [])


def test_its_neighbours_in_a_batch_handler_run():
    """It is no part of the call."""

    @consumer(QUEUE, decode=failing(ConnectionError("reset")))
    def handle(rows: Batch[Any]) -> None:
        ran.extend(rows)

    bound = bound_for(handle, store=MemoryStore())
    assert [outcome.reason for outcome in settle(bound, message(b"a", id="a"), message(b"b", id="b"))] == [
        "retry",
        "done",
    ]
    assert ran == [{"id": "b"}]


# -- the key is found before the age is judged


AGED = Queue("orders", max_attempts=3, timeout=30, max_age=60)


def keyed(**declared: Any) -> Any:
    return handling(queue=AGED, key="id", decode=declared.pop("decode", failing()), **declared)


def aged(body: bytes, clock: FakeClock, seconds: float, **more: Any) -> Message:
    sent = int((clock.now() - timedelta(seconds=seconds)).timestamp() * 1000)
    return message(body, sent_ms=sent, **more)


def test_a_done_message_is_a_duplicate_however_old():
    """It is not dead-lettered for its age: its work is done. (trials 1.25)"""
    clock, store, dead_letters = FakeClock(), MemoryStore(), Outbox()
    bound = bound_for(keyed(), store=store, dead_letters=dead_letters, clock=clock)
    assert settle(bound, aged(b"a", clock, 0))[0].reason == "done"
    assert settle(bound, aged(b"a", clock, 3600, delivery=2))[0].reason == "duplicate"
    assert dead_letters.outgoing_messages == []


def test_an_expired_message_leaves_its_key_free():
    """Also while its dead letter cannot be published: another message with the key runs. (trials 1.25)"""
    clock, store = FakeClock(), MemoryStore()
    dead_letters = FlakySender(Outbox(), Script({1: "before"}))
    bound = bound_for(keyed(), store=store, dead_letters=dead_letters, clock=clock)
    assert settle(bound, aged(b"a", clock, 3600))[0].reason == "unavailable"
    assert settle(bound, aged(b"a", clock, 0, id="m-2"))[0].reason == "done"
    assert store.records["orders/a"].state is State.DONE


def test_an_expired_message_is_dead_lettered_once():
    """Under its id, when its key stands for nothing. (trials 1.25)"""
    clock, store = FakeClock(), MemoryStore()
    dead_letters = FlakySender(Outbox(), Script({1: "before"}))
    bound = bound_for(keyed(), store=store, dead_letters=dead_letters, clock=clock)
    reasons = [settle(bound, aged(b"a", clock, 3600, delivery=n))[0].reason for n in (1, 2, 3)]
    assert reasons == ["unavailable", "expired", "expired"]
    assert len(dead_letters.outbox.outgoing_messages) == 1
    assert {key: record.state for key, record in store.records.items()} == {"orders#m-1": State.DEAD_LETTERED}


@pytest.mark.parametrize("error", [ValueError("bad"), ConnectionError("reset")])
def test_too_old_and_unreadable_is_expired_under_its_id(error):
    """The key cannot be read, and another attempt would not make the message younger. (trials 1.25)"""
    clock, store, dead_letters = FakeClock(), MemoryStore(), Outbox()
    bound = bound_for(keyed(decode=failing(error)), store=store, dead_letters=dead_letters, clock=clock)
    assert settle(bound, aged(b"a", clock, 3600))[0].reason == "expired"
    assert list(store.records) == ["orders#m-1"]
    assert len(dead_letters.outgoing_messages) == 1


def test_a_redriven_fetch_runs():
    """A dead letter of a body that could not be fetched starts a new life."""
    store, dead_letters = MemoryStore(), Outbox()
    handle = handling(decode=failing(*[ConnectionError("reset")] * 3), key="id")
    bound = bound_for(handle, store=store, dead_letters=dead_letters)
    for n in (1, 2, 3):
        settle(bound, message(b"a", delivery=n))
    (dead_letter,) = dead_letters.outgoing_messages
    assert isinstance(dead_letter.lineage, Lineage)
    assert settle(bound, message(dead_letter.body, lineage=dead_letter.lineage))[0].reason == "done"

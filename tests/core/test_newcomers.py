"""Mistakes of users who know only the documentation. Each lost a message, or had an outcome without a cause."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from peeklock import ConfigError, DeadLetter, Queue, Retry, StoreError, consumer, send
from peeklock.engine.run import handle as handle_event
from peeklock.idempotency.store import Answer, Change
from peeklock.message import Lineage
from peeklock.outcome import Reason
from peeklock.outgoing import OutgoingMessage
from peeklock.platforms.sqs.sender import SQSSender
from peeklock.sending.file import FileSender, read
from peeklock.sending.send import routed
from peeklock.stores.memory import MemoryStore
from peeklock.testing import Outbox, deliver, deliver_all
from tests.core.world import FlakySender, Script, bound_for, message

QUEUE = Queue("orders")
GROWN = Queue("orders", first_delay=2, max_delay=900)


class Down:
    """A store that is not there, from a number of calls on."""

    def __init__(self, after: int = 0) -> None:
        self.after = after
        self.inner = MemoryStore()

    def swap(self, changes: list[Change], /) -> Any:
        self.after -= 1
        if self.after >= 0:
            return self.inner.swap(changes)
        return [Answer(won=False, error=StoreError("no table 'leases'"))] * len(changes)


@consumer(QUEUE)
def handle(payload: dict) -> None:
    """Succeed."""


def test_an_outage_of_the_store_says_what_is_wrong(caplog):
    with caplog.at_level(logging.INFO, "peeklock"):
        outcome = deliver(handle, {}, store=Down())
    assert (outcome.reason, outcome.detail) == (Reason.UNAVAILABLE, "no table 'leases'")
    assert "no table 'leases'" in caplog.text


def test_a_success_that_is_not_recorded_says_why(caplog):
    with caplog.at_level(logging.INFO, "peeklock"):
        assert deliver(handle, {}, store=Down(after=1)).reason == "done"
    (unrecorded,) = [record for record in caplog.records if record.msg.startswith("peeklock.unrecorded")]
    assert unrecorded.peeklock["detail"] == "no table 'leases'"


@pytest.mark.parametrize(
    "wrong", [{"id": 7}, {"id": ""}, {"group": 7}, {"attributes": {"n": 7}}, {"attributes": {7: "n"}}]
)
def test_what_would_be_lost_on_its_way_is_refused(wrong):
    """An id of a number is no id for the receiver, so a message that is sent twice would run twice."""
    outbox = Outbox()
    with routed(lambda _: outbox), pytest.raises(ConfigError, match="text"):
        send(QUEUE, {}, **wrong)
    assert outbox.outgoing_messages == []


class Order(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)
    order_id: str


@consumer(QUEUE)
def take(order: Order) -> None:
    assert order.order_id == "o-1"


def test_a_model_with_aliases_arrives():
    assert deliver(take, Order(orderId="o-1")).reason == "done"


@pytest.mark.parametrize(
    ("decision", "reason"),
    [(Retry("later"), "retry"), (Retry(counts=False), "rescheduled"), (DeadLetter("no"), "fatal")],
)
def test_a_decision_that_is_returned_is_one(decision, reason):
    """It counts as if `on_error` had returned it: to complete the message would lose it."""

    @consumer(QUEUE)
    def returns(payload: dict) -> object:
        return decision

    @consumer(QUEUE)
    async def returns_async(payload: dict) -> object:
        return decision

    assert [deliver(each, {}).reason for each in (returns, returns_async)] == [reason, reason]
    assert [outcome.reason for outcome in deliver_all(returns, [{}, {}], parallel=2)] == [reason, reason]


async def later(_: Any) -> None:
    """A hook that nobody would await."""


@pytest.mark.parametrize("option", ["decode", "on_error"])
@pytest.mark.parametrize("hook", ["json", later])
def test_a_hook_that_cannot_be_called_is_refused(option, hook):
    @consumer(QUEUE, **{option: hook})
    def handler(payload: dict) -> None:
        """Never run."""

    with pytest.raises(ConfigError, match=f"{option}="):
        deliver(handler, {})


def test_a_file_keeps_the_whole_lineage(tmp_path):
    lineage = Lineage(
        id="m-1", generation=1, copy_number=2, attempts=3, sent=1_795_000_000_000, source="mail", extra='{"new":7}'
    )
    FileSender(str(tmp_path / "dead-letters.jsonl")).send([OutgoingMessage(body=b"{}", lineage=lineage)])
    (outgoing,) = read(str(tmp_path / "dead-letters.jsonl"))
    assert outgoing.lineage == lineage


class NotYet(Retry):
    """A subclass that does not call the `__init__` of its base, as many are written."""

    def __init__(self) -> None:
        """Set nothing."""


def test_a_subclass_of_retry_needs_no_super():
    @consumer(QUEUE)
    def handler(payload: dict) -> None:
        raise NotYet

    outcome = deliver(handler, {})
    assert (outcome.reason, outcome.delay is None) == ("retry", False)


def test_without_a_store_the_last_time_out_is_the_end():
    """It has been a run that failed, and no record would tell the next delivery so."""

    @consumer(Queue("orders", timeout=0.05, max_attempts=2))
    def hangs(payload: dict) -> None:
        time.sleep(20)

    dead_letters = Outbox()
    bound = bound_for(hangs, dead_letters=dead_letters)
    outcomes = [handle_event(bound, [message({}, delivery=n)])[0].outcome for n in (1, 2)]
    assert [(outcome.disposition, outcome.reason) for outcome in outcomes] == [
        ("abandon", "timeout"),
        ("dead_letter", "exhausted"),
    ]
    assert len(dead_letters.outgoing_messages) == 1


class Longest:
    """Chance that always takes the most."""

    def uniform(self, _: float, most: float, /) -> float:
        return most


GROWING = pytest.mark.parametrize(("delivery", "seconds"), [(1, 2), (4, 16), (1000, 900)])


@GROWING
def test_a_twin_of_what_cannot_be_dead_lettered_waits(delivery, seconds):
    """There is no lease to wait for, and at once would be a loop. Longer each time, or the queue's own limit of deliveries
    is used up within the outage."""
    store = MemoryStore()

    @consumer(QUEUE, key="id")
    def refuses(payload: dict) -> None:
        raise DeadLetter("no")

    bound = bound_for(refuses, store=store, dead_letters=FlakySender(Outbox(), Script({1: "before", 2: "before"})))
    bound = replace(bound, queue=GROWN, random=Longest())
    handle_event(bound, [message({"id": "k"})])
    (neighbour,) = handle_event(bound, [message({"id": "k"}, id="m-2", delivery=delivery)])
    assert (neighbour.outcome.reason, neighbour.outcome.delay) == ("busy", timedelta(seconds=seconds))
    (again,) = handle_event(bound, [message({"id": "k"}, delivery=delivery)])
    assert (again.outcome.reason, again.outcome.delay) == ("unavailable", timedelta(seconds=seconds))


@GROWING
def test_a_store_that_is_down_is_asked_less_and_less(delivery, seconds):
    """The delay grows here, too."""

    @consumer(GROWN)
    def runs(payload: dict) -> None: ...

    bound = replace(bound_for(runs, store=Down()), random=Longest())
    (settled,) = handle_event(bound, [message({}, delivery=delivery)])
    assert (settled.outcome.reason, settled.outcome.delay) == ("unavailable", timedelta(seconds=seconds))


class Lowering:
    """SQS, while another thread of the process learns that the queue takes less."""

    def __init__(self) -> None:
        self.sender = SQSSender("https://sqs.eu-west-1.amazonaws.com/123456789012/orders", sqs=self)
        self.calls = 0

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict]) -> dict:  # noqa: N803 - boto3's
        self.calls += 1
        self.sender._batch_limit //= 2
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries]}


def test_a_batch_that_was_taken_is_not_sent_again():
    """Only its own refusal says that it was too long."""
    queue = Lowering()
    outgoing_messages = [OutgoingMessage(body=b"{}", lineage=Lineage(id=f"m-{n}")) for n in range(2)]
    assert (queue.sender.send(outgoing_messages), queue.calls) == ([None, None], 1)

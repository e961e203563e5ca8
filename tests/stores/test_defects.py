"""Ten ways in which an idempotency layer goes wrong, each reproduced in aws-lambda-powertools 3.37.0, and none of them here.

`benchmarks/defects.py` runs both side by side; it calls the tests of this module with a store.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from peeklock import Disposition, Outcome, Queue, consumer, sqs
from peeklock.cli.keys import read
from peeklock.idempotency.record import Record, State
from peeklock.idempotency.store import Store
from peeklock.testing import FakeClock, Outbox, deliver
from tests.contracts.stores import STORES, params

KEYS = 100
LINES = 4
"""Threads of each consumer."""

Handler = Callable[[dict[str, Any]], None]


@pytest.fixture(params=params())
def store(request, tmp_path):
    with STORES[request.param](tmp_path) as opened:
        yield opened


def keyed(queue: str, do: Callable[[dict[str, Any]], object], key: str = "id") -> Handler:
    @consumer(Queue(queue), key=key)
    def handler(payload: dict[str, Any]) -> None:
        do(payload)

    return handler


def held(store: Store, *keys: str) -> list[Record | None]:
    return [read(store, key) for key in keys]


def states(store: Store, *keys: str) -> list[str]:
    return [stored.state.value if stored else "none" for stored in held(store, *keys)]


def test_d1_a_call_within_a_call(store):
    """A handler that delivers to another consumer, with the same key and store: each has its own record, and is done."""
    ran: list[str] = []
    inner = keyed("charges", lambda _: ran.append("inner"))

    def call(payload: dict[str, Any]) -> None:
        ran.append("outer")
        assert deliver(inner, payload, store=store).reason == "done"

    outer = keyed("orders", call)
    assert deliver(outer, {"id": "7"}, store=store).reason == "done"
    assert states(store, "orders/7", "charges/7") == ["done", "done"]
    assert [deliver(handler, {"id": "7"}, store=store).reason for handler in (outer, inner)] == [
        "duplicate",
        "duplicate",
    ]
    assert ran == ["outer", "inner"]


def test_d2_two_consumers_on_many_threads(store):
    """One store object; all of them claim before any of them records. No key is left running, none is another's."""
    abreast = threading.Barrier(2 * LINES)
    ran: Counter[tuple[str, str]] = Counter()
    ended: Counter[tuple[str, bool]] = Counter()

    def line(queue: str, start: int) -> None:
        def note(payload: dict[str, Any]) -> str:
            abreast.wait(30)
            ran[queue, payload["id"]] += 1
            return f"{queue} {payload['id']}"

        handler = returning(queue, note)
        for n in range(start, KEYS, LINES):
            for _ in range(2):
                outcome = deliver(handler, {"id": f"{n}"}, store=store, id=f"{queue}-{n}")
                ended[outcome.reason, outcome.result == f"{queue} {n}"] += 1

    together([(line, queue, start) for queue in ("orders", "receipts") for start in range(LINES)])
    assert ended == {("done", True): 2 * KEYS, ("duplicate", True): 2 * KEYS}
    assert set(ran.values()) == {1}
    for queue in ("orders", "receipts"):
        records = held(store, *(f"{queue}/{n}" for n in range(KEYS)))
        assert {record.state if record else None for record in records} == {State.DONE}
        assert [record.message for record in records if record] == [f"{queue}-{n}" for n in range(KEYS)]


def together(jobs: Sequence[tuple[Any, ...]]) -> None:
    threads = [threading.Thread(target=job, args=arguments) for job, *arguments in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


def test_d3_two_consumers_with_different_keys(store):
    """Each reads its own field: neither declaration holds for the other."""
    ran: list[str] = []
    by_user = keyed("users", lambda payload: ran.append(f"user {payload['user']}"), key="user")
    by_article = keyed("articles", lambda payload: ran.append(f"article {payload['sku']}"), key="sku")
    for payload in ({"user": 1, "sku": "a"}, {"user": 1, "sku": "b"}):
        for handler in (by_user, by_article):
            deliver(handler, payload, store=store)
    assert ran == ["user 1", "article a", "article b"]
    assert states(store, "users/1", "articles/a", "articles/b", "articles/1") == ["done", "done", "done", "none"]


@pytest.mark.parametrize("late", ["success", "failure"])
def test_d4_a_late_first_owner(store, late):
    """A handler outlives its lease and another delivery succeeds meanwhile: that record stays, and no third run begins."""
    clock = FakeClock(datetime.now(UTC))
    ran: list[str] = []
    second: list[Record | None] = []

    def work(payload: dict[str, Any]) -> None:
        ran.append("run")
        if len(ran) > 1:
            return
        clock.advance(3600)
        assert again().reason == "done"
        second.extend(held(store, "orders/7"))
        if late == "failure":
            raise ValueError("too late")

    handler = keyed("orders", work)

    def again() -> Outcome:
        return deliver(handler, {"id": "7"}, store=store, clock=clock)

    again()
    assert second[0] is not None
    assert second[0].state is State.DONE
    assert held(store, "orders/7") == second, "the late owner changed what it no longer owned"
    assert again().reason == "duplicate"
    assert len(ran) == 2


def returning(queue: str, do: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], Any]:
    @consumer(Queue(queue), key="id", keep_result=True)
    def handler(payload: dict[str, Any]) -> Any:
        return do(payload)

    return handler


FALSY = (0, False, "", [], {}, None)


def test_d5_falsy_results(store):
    """A duplicate has the result of the first run, whatever it is, and does not run."""
    ran: list[str] = []
    for n, value in enumerate(FALSY):
        handler = returning("orders", lambda payload, value=value: (ran.append(payload["id"]), value)[1])
        results = [deliver(handler, {"id": f"{n}"}, store=store).result for _ in range(2)]
        assert results == [value, value]
        assert type(results[1]) is type(value)
    assert len(ran) == len(FALSY)


def test_d6_a_result_that_is_too_large(store):
    """The handler's success is recorded without it, so that no duplicate runs again."""
    ran: list[str] = []
    handler = returning("orders", lambda payload: (ran.append(payload["id"]), "x" * 500_000)[1])
    outcomes = [deliver(handler, {"id": "7"}, store=store) for _ in range(2)]
    assert [outcome.reason for outcome in outcomes] == ["done", "duplicate"]
    assert states(store, "orders/7") == ["done"]
    assert (outcomes[1].result, len(ran)) == (None, 1)


def test_d7_a_redelivery_whose_body_is_checked(store):
    """The same body, also in another order, is a duplicate; another body under the key is refused."""
    ran: list[str] = []
    dead_letters = Outbox()

    @consumer(Queue("orders"), key="id", check_body=True, keep_result=True)
    def handler(payload: dict[str, Any]) -> str:
        ran.append(payload["id"])
        return "charged"

    bodies = (
        b'{"id": "7", "cents": 5}',
        b'{"id": "7", "cents": 5}',
        b'{"cents":5,"id":"7"}',
        b'{"id": "7", "cents": 6}',
    )
    outcomes = [
        deliver(handler, body, store=store, dead_letters=dead_letters, id=f"m-{n}") for n, body in enumerate(bodies)
    ]
    assert [outcome.reason for outcome in outcomes] == ["done", "duplicate", "duplicate", "invalid"]
    assert [outcome.result for outcome in outcomes[:3]] == ["charged"] * 3
    assert (ran, len(dead_letters.outgoing_messages)) == (["7"], 1)


class Order(BaseModel):
    id: str
    cents: int


def event(queue: str, *bodies: object, groups: str = "", received: int = 1) -> dict[str, Any]:
    """Return Lambda's event with one message for each body."""
    return {"Records": [_record(queue, n, body, groups[n : n + 1], received) for n, body in enumerate(bodies)]}


def _record(queue: str, n: int, body: object, group: str, received: int) -> dict[str, Any]:
    ordered = {"MessageGroupId": group, "SequenceNumber": str(n), "MessageDeduplicationId": str(n)} if group else {}
    return {
        "messageId": f"059f36b4-87a3-44ab-83d2-00000000000{n}",
        "receiptHandle": f"receipt-{n}",
        "body": json.dumps(body),
        "attributes": {
            "ApproximateReceiveCount": str(received),
            "SentTimestamp": "1545082649183",
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": "1545082649185",
            **ordered,
        },
        "messageAttributes": {},
        "md5OfBody": "098f6bcd4621d373cade4e832627b4f6",
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:eu-west-1:123456789012:{queue}",
        "awsRegion": "eu-west-1",
    }


def failures(result: Any) -> list[int]:
    """The numbers of the messages that come back."""
    return [int(batch_item_failure["itemIdentifier"][-1]) for batch_item_failure in result["batchItemFailures"]]


GOOD, POISON = {"id": "1", "cents": 1}, {"id": "2", "cents": "many"}


def test_d8_a_poison_body_after_a_failure_in_fifo(store):
    """The batch ends as it should: what failed comes back, what succeeded does not, the poison is dead-lettered."""
    dead_letters = Outbox()

    @consumer(Queue("orders", fifo=True))
    def handler(order: Order) -> None:
        if order.id == "0":
            raise ValueError("boom")

    sqs_event = event("orders.fifo", {"id": "0", "cents": 1}, GOOD, POISON, GOOD, groups="abaa")
    result = sqs.run_sample(handler, sqs_event, store=store, dead_letter=dead_letters)
    assert failures(result) == [0, 3]
    assert [outgoing.attributes["peeklock-reason"] for outgoing in dead_letters.outgoing_messages] == ["invalid"]
    ids = [record["messageId"] for record in sqs_event["Records"]]
    assert states(store, *(f"orders#{name}" for name in ids)) == ["waiting", "done", "dead_lettered", "waiting"]


class Peculiar(BaseModel):
    cents: int

    @field_validator("cents", mode="before")
    @classmethod
    def look_up(cls, value: object) -> object:
        return {"one": 1}[value] if isinstance(value, str) else value  # what it raises is no ValidationError


def test_d9_a_validator_that_raises_anything(store):
    """The body is at fault, and no message beside it."""
    dead_letters, ran = Outbox(), []

    @consumer(Queue("orders"))
    def handler(payload: Peculiar) -> None:
        ran.append(payload.cents)

    sqs_event = event("orders", {"cents": 5}, {"cents": "two"}, {"cents": "one"})
    result = sqs.run_sample(handler, sqs_event, store=store, dead_letter=dead_letters)
    assert failures(result) == []
    assert ran == [5, 1]
    assert [outgoing.lineage.id for outgoing in dead_letters.outgoing_messages] == [
        sqs_event["Records"][1]["messageId"]
    ]


def test_d10_a_duplicate_that_meets_a_live_claim(store):
    """Is no failure: it comes back later, counts no attempt, is never dead-lettered, and completes after the first's success."""
    dead_letters, met = Outbox(), []

    def run(payload: dict[str, Any]) -> None:
        met.extend(duplicate(payload, received) for received in (1, 50))

    handler = keyed("orders", run)

    def duplicate(payload: dict[str, Any], received: int) -> Any:
        return sqs.run_sample(
            handler, event("orders", payload, received=received), store=store, dead_letter=dead_letters
        )

    first = deliver(handler, {"id": "7"}, store=store, dead_letters=dead_letters, id="first")
    assert (first.disposition, first.attempt) == (Disposition.COMPLETE, 1)
    assert [failures(result) for result in met] == [[0], [0]]
    assert all(result["changeMessageVisibility"][0]["visibilityTimeout"] > 30 for result in met), (
        "when the lease is over"
    )
    assert failures(duplicate({"id": "7"}, 51)) == []
    assert dead_letters.outgoing_messages == []


def test_d10_nor_is_it_after_a_failure(store):
    """However often it came back, the next run is the second attempt."""
    attempts: list[int] = []

    def run(payload: dict[str, Any]) -> None:
        if len(attempts) == 0:
            attempts.append(1)
            for _ in range(9):
                assert deliver(handler, payload, store=store, id="duplicate").reason == "busy"
            raise ValueError("boom")

    handler = keyed("orders", run)
    deliver(handler, {"id": "7"}, store=store, id="first")
    assert deliver(handler, {"id": "7"}, store=store, id="duplicate").attempt == 2

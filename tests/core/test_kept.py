"""Kept results for duplicates, and the hash of the body with which a key was used."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import math
import sys
import threading
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, Json, SecretStr, computed_field, field_serializer
from pydantic.alias_generators import to_camel

from peeklock import Batch, ConfigError, DeadLetter, Queue, Retry, consumer
from peeklock.consuming.body_hash import hash_of
from peeklock.consuming.results import MAX_RESULT, is_too_large
from peeklock.idempotency.record import State
from peeklock.outcome import Disposition, Reason
from peeklock.stores.memory import MemoryStore
from peeklock.testing import FakeClock, Outbox, deliver, deliver_all

QUEUE = Queue("orders", max_attempts=3)


class Receipt(BaseModel):
    number: str
    cents: int


@dataclass
class Pair:
    left: str
    right: list[int]


class Renamed(BaseModel):
    order_id: str = Field(serialization_alias="orderId")


class Forgotten(BaseModel):
    order_id: str = Field("unknown", serialization_alias="orderId")


class Encoded(BaseModel):
    model_config = ConfigDict(ser_json_bytes="hex")
    raw: bytes


def returning(value: Any, hint: Any) -> Any:
    def handle(order: dict) -> Any:  # type: ignore[type-arg] # the bare annotation is the documented one
        return value

    handle.__annotations__["return"] = hint
    return consumer(QUEUE, keep_result=True)(handle)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (Receipt(number="r-1", cents=100), Receipt),
        (Pair("ü 🚀", [1, 2]), Pair),
        ([Receipt(number="r-1", cents=1)], list[Receipt]),
        ({"a": [1, None, "ü"]}, dict),
        *[(falsy, Any) for falsy in (0, False, "", [], {}, 0.0)],
        (None, int | None),
        (7, int),
        (b"bytes", bytes),
    ],
)
def test_a_duplicate_has_the_result_of_the_first_run(value, hint):
    """The result is unchanged, including falsy values, and models stay models."""
    store, handle = MemoryStore(), returning(value, hint)
    first, second = (deliver(handle, {}, store=store) for _ in range(2))
    assert (first.reason, second.reason) == (Reason.DONE, Reason.DUPLICATE)
    assert first.result is value
    assert second.result == value
    assert type(second.result) is type(value)


class Camel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")
    order_id: str
    lines: Json[list[int]]

    @computed_field
    def label(self) -> str:
        return f"order {self.order_id}"


def test_a_result_is_read_as_it_was_written():
    """With aliases and JSON in texts, and without what is computed."""
    store, value = MemoryStore(), Camel.model_validate({"orderId": "o", "lines": "[1]"})
    handle = returning(value, Camel)
    assert [deliver(handle, {}, store=store).result for _ in range(2)] == [value, value]


turns = itertools.cycle([False, True])


class Turned(BaseModel):
    names: set[str]

    @field_serializer("names")
    def write(self, names: set[str]) -> list[str]:
        return sorted(names, reverse=next(turns))


def test_a_result_whose_text_varies_is_kept():
    """Sets have no order, so each time they are written may differ."""
    store, value = MemoryStore(), Turned(names={"a", "b"})
    handle = returning(value, Turned)
    assert [deliver(handle, {}, store=store).result for _ in range(2)] == [value, value]


@dataclass(eq=False)
class Alone:
    """Equals nothing but itself."""

    number: int


def test_a_result_that_equals_nothing_else_is_kept():
    """The texts are compared."""
    store, handle = MemoryStore(), returning(Alone(7), Alone)
    results = [deliver(handle, {}, store=store).result for _ in range(2)]
    assert [result.number for result in results] == [7, 7]


def test_a_result_is_kept_for_an_async_handler_and_for_its_twins():
    """Another message with the key, in the same event."""

    @consumer(QUEUE, key="id", keep_result=True)
    async def handle(order: dict) -> dict[str, int]:  # type: ignore[type-arg] # as above
        await asyncio.sleep(0)
        return {"run": 1}

    first, neighbour = deliver_all(handle, [{"id": "a"}, {"id": "a"}])
    assert (first.result, neighbour.result) == ({"run": 1}, {"run": 1})
    assert neighbour.reason is Reason.DUPLICATE


def test_nothing_is_kept_unless_asked():
    """Nor told."""

    @consumer(QUEUE)
    def handle(order: dict) -> int:  # type: ignore[type-arg] # as above
        return 7

    store = MemoryStore()
    assert [deliver(handle, {}, store=store).result for _ in range(2)] == [None, None]
    assert [record.result for record in store.records.values()] == [""]


def test_a_failed_run_keeps_nothing():
    """The next attempt keeps its result."""
    runs: list[int] = []

    @consumer(QUEUE, keep_result=True)
    def handle(order: dict) -> int:  # type: ignore[type-arg] # as above
        runs.append(1)
        if len(runs) == 1:
            raise Retry
        return 7

    store = MemoryStore()
    assert [deliver(handle, {}, store=store).result for _ in range(3)] == [None, 7, 7]


@pytest.mark.parametrize(
    ("value", "hint", "why"),
    [
        ("x" * (MAX_RESULT + 1), str, "too large"),
        ('"' * (MAX_RESULT // 2), str, "too large"),
        ("ü" * (MAX_RESULT // 6), str, "too large"),
        (math.nan, float, "ValueError"),
        (object(), Any, "TypeError"),
        ("seven", Receipt, "PydanticSerializationError"),
        (Renamed(order_id="o"), Renamed, "ValidationError"),
        (Forgotten(order_id="o"), Forgotten, "ValueError"),
        (Encoded(raw=b"raw"), Encoded, "ValueError"),
        (b"\xff", bytes, "PydanticSerializationError"),
        ({"key": SecretStr("s")}, dict[str, SecretStr], "ValueError"),
        ({1: 2}, dict, "ValueError"),
        ([1, (2, 3)], Any, "ValueError"),
        ({"at": Decimal("1.5")}, dict[str, Any], "ValueError"),
        ({"pair": (1, 2)}, dict[str, Any], "ValueError"),
    ],
)
def test_a_result_that_cannot_be_kept(value, hint, why, caplog):
    """Costs a warning, never the message: its effect has happened. Its duplicate is one all the same."""
    store, handle = MemoryStore(), returning(value, hint)
    with caplog.at_level(logging.WARNING, "peeklock"):
        first = deliver(handle, {}, store=store)
    assert (first.reason, first.result) == (Reason.DONE, value)
    (dropped,) = [record for record in caplog.records if record.msg == "peeklock.result_dropped %s"]
    assert why in dropped.peeklock["detail"]
    second = deliver(handle, {}, store=store)
    assert (second.reason, second.result) == (Reason.DUPLICATE, None)
    assert [record.state for record in store.records.values()] == [State.DONE]


def test_the_largest_result():
    """To the character, measured as it is stored."""
    assert not is_too_large(json.dumps("x" * (MAX_RESULT - 6)))
    assert is_too_large(json.dumps("x" * (MAX_RESULT - 5)))


def test_a_result_of_another_release(caplog):
    """Is not read as what it is not, and its message is a duplicate still."""
    store = MemoryStore()
    deliver(returning({"old": 1}, dict), {}, store=store)
    with caplog.at_level(logging.WARNING, "peeklock"):
        second = deliver(returning(Receipt(number="r", cents=1), Receipt), {}, store=store)
    assert (second.reason, second.result) == (Reason.DUPLICATE, None)
    assert "peeklock.result_unreadable %s" in [record.msg for record in caplog.records]


def test_a_late_result_is_kept():
    """The handler could not be stopped, and ended after its time."""
    go, store = threading.Event(), MemoryStore()

    @consumer(Queue("orders", timeout=0.05), keep_result=True)
    def handle(order: dict) -> int:  # type: ignore[type-arg] # as above
        go.wait(10)
        return 7

    (first,) = deliver_all(handle, [{}], store=store, parallel=2)
    assert first.reason is Reason.TIMEOUT
    recorded = threading.Event()
    swap = store.swap

    def watched(changes: Any, /) -> Any:
        answers = swap(changes)
        recorded.set()
        return answers

    store.swap = watched  # type: ignore[method-assign] # tells when the late record is there
    go.set()
    assert recorded.wait(10)
    assert deliver(handle, {}, store=store).result == 7


@pytest.mark.parametrize(
    ("hint", "fix"),
    [(None, "annotated to return"), (type(None), "annotated to return"), (threading.Lock, "JSON can hold")],
)
def test_what_cannot_be_kept_is_refused_at_bind(hint, fix):
    """Before any message is touched."""
    with pytest.raises(ConfigError, match=fix):
        deliver(returning(1, hint), {})


def test_no_annotation_at_all():
    """Is refused as well, and so is a batch handler."""

    @consumer(QUEUE, keep_result=True)
    def unsaid(order: dict):  # type: ignore[no-untyped-def,type-arg] # the point
        return 1

    @consumer(QUEUE, keep_result=True)
    def batch(orders: Batch[dict]) -> dict:  # type: ignore[type-arg] # as above
        return {}

    for handle, fix in ((unsaid, "-> Receipt"), (batch, "one message at a time")):
        with pytest.raises(ConfigError, match=fix):
            deliver(handle, {})


def test_pydantic_is_not_installed(monkeypatch):
    """Then the fix is named; plain JSON needs none."""
    monkeypatch.setitem(sys.modules, "pydantic", None)
    with pytest.raises(ConfigError, match=r"peeklock\[pydantic\]"):
        deliver(returning(1, list[int]), {})
    assert deliver(returning([1], list), {}).result == [1]


# -- check_body


@consumer(QUEUE, key="id", check_body=True)
def checked(order: dict) -> None:  # type: ignore[type-arg] # as above
    if order.get("fails"):
        raise ValueError("no")
    if order.get("bad"):
        raise DeadLetter("no")


def test_a_key_with_another_body_is_invalid():
    """Dead-lettered as it is, and the first one's record stays what it was."""
    store, dead_letters = MemoryStore(), Outbox()
    body = {"id": "a", "cents": 1}
    assert deliver(checked, body, id="m1", store=store).reason is Reason.DONE
    second = deliver(checked, {"id": "a", "cents": 2}, id="m2", store=store, dead_letters=dead_letters)
    assert (second.disposition, second.reason) == (Disposition.DEAD_LETTER, Reason.INVALID)
    assert "another body" in second.detail
    assert [json.loads(outgoing.body) for outgoing in dead_letters.outgoing_messages] == [{"id": "a", "cents": 2}]
    assert deliver(checked, body, id="m1", store=store).reason is Reason.DUPLICATE
    assert deliver(checked, body, id="m3", store=store).reason is Reason.DUPLICATE
    again = deliver(checked, {"id": "a", "cents": 2}, id="m2", store=store, dead_letters=dead_letters)
    assert again.reason is Reason.INVALID
    assert len(dead_letters.outgoing_messages) == 1, "its verdict is recorded"


def test_in_one_batch():
    """The second waits for the first; a third that says the same as the first is its duplicate."""
    bodies: list[Any] = [{"id": "a", "n": 1}, {"id": "a", "n": 2}, {"n": 1, "id": "a"}]
    dead_letters = Outbox()
    outcomes = deliver_all(checked, bodies, dead_letters=dead_letters)
    assert [outcome.reason for outcome in outcomes] == [Reason.DONE, Reason.INVALID, Reason.DUPLICATE]
    assert len(dead_letters.outgoing_messages) == 1


def test_while_the_first_is_still_to_be_tried_again():
    """It keeps the key; and its own deliveries are never taken for another's."""
    store = MemoryStore()
    for attempt in (1, 2):
        first = deliver(checked, {"id": "a", "fails": True}, id="m1", store=store)
        assert (first.reason, first.attempt) == (Reason.RETRY, attempt)
    assert deliver(checked, {"id": "a"}, id="m2", store=store).reason is Reason.INVALID
    assert deliver(checked, {"id": "a", "fails": True}, id="m1", store=store).reason is Reason.EXHAUSTED


def test_a_mended_order_may_take_the_key_of_a_dead_one():
    """And a key that was forgotten."""
    clock, store = FakeClock(), MemoryStore()
    assert deliver(checked, {"id": "a", "bad": 1}, id="m1", store=store, clock=clock).reason is Reason.FATAL
    assert deliver(checked, {"id": "a"}, id="m2", store=store, clock=clock).reason is Reason.DONE
    assert deliver(checked, {"id": "a", "n": 2}, id="m3", store=store, clock=clock).reason is Reason.INVALID
    clock.advance(QUEUE.keep.total_seconds() + 1)
    assert deliver(checked, {"id": "a", "n": 2}, id="m4", store=store, clock=clock).reason is Reason.DONE


def test_a_record_from_before_the_check():
    """Says nothing of its body, so it contradicts none."""

    @consumer(QUEUE, key="id")
    def unchecked(order: dict) -> None:  # type: ignore[type-arg] # as above
        return

    store = MemoryStore()
    deliver(unchecked, {"id": "a", "n": 1}, id="m1", store=store)
    assert deliver(checked, {"id": "a", "n": 2}, id="m2", store=store).reason is Reason.DUPLICATE


def test_check_body_without_a_key():
    """Compares nothing with nothing."""

    @consumer(QUEUE, check_body=True)
    def handle(order: dict) -> None: ...  # type: ignore[type-arg] # as above

    with pytest.raises(ConfigError, match="say which with key="):
        deliver(handle, {})


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (b'{"a": 1, "b": 2}', b'{"b":2,"a":1}', True),
        (b'{"a": 1}', b'{"a": 2}', False),
        (b"no json", b"no  json", False),
        (b"\xff", b"\xfe", False),
        (b"", b"", True),
        (b"[1, 2]", b"[2, 1]", False),
        (b"[" * 100_000, b"[" * 100_000, True),
        ('"ü"'.encode(), b'"\\u00fc"', True),
    ],
)
def test_what_says_the_same_has_the_same_hash(first, second, same):
    """White space and the order of names say nothing; in anything but JSON each byte does."""
    assert (hash_of(first) == hash_of(second)) is same


def test_an_annotation_that_says_more():
    """And cannot be looked up, since it has no hash."""
    assert deliver(returning({"n": 1}, Annotated[dict, {"doc": 1}]), {}).result == {"n": 1}

"""Bodies that say the same: the hash of `check_body`."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peeklock import InvalidMessage, Queue, consumer
from peeklock.consuming.body_hash import MAX_DEPTH, VERSION, hash_of
from peeklock.stores.memory import MemoryStore
from peeklock.testing import FakeClock, deliver


def nested(depth: int, inner: bytes = b"1") -> bytes:
    return b"[" * depth + inner + b"]" * depth


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (b"1", b"1.0"),
        (b"1", b"1e0"),
        (b"1", b"0.1E+1"),
        (b"100", b"1e2"),
        (b"0", b"-0"),
        (b"0", b"-0.000e7"),
        (b"-1.50", b"-15e-1"),
        (b"1e400", b"10e399"),
        (b"1e00000000000000000400", b"1e400"),
        (b"1e999999999", b"10e999999998"),
        ('"é"'.encode(), b'"\\u00e9"'),
        (b'"\\/"', b'"/"'),
        (b'{"a":[1,2.50],"b":{"c":null}}', b' { "b" : {"c":null}, "a" : [1.0, 25e-1] } '),
        (b'{"\\u00e9":1}', '{"é":1}'.encode()),
        (nested(MAX_DEPTH - 1), nested(MAX_DEPTH - 1, b" 1.0 ")),
    ],
)
def test_what_says_the_same(first, second):
    """Has one hash, however it is written. (trials 1.8)"""
    assert hash_of(first) == hash_of(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (b"1.123456789012345678", b"1.123456789012345679"),
        (b"1e400", b"1e500"),
        (b"-1e400", b"1e400"),
        (b"1e999999999", b"1e999999998"),
        (b"123456789012345678901234567890", b"123456789012345678901234567891"),
        (b"1", b'"1"'),
        (b"1", b'"1e0"'),
        (b"0", b'"0"'),
        (b"true", b'"true"'),
        (b"null", b'"null"'),
        (b"[]", b"{}"),
        (b"[[1],2]", b"[1,[2]]"),
        (b"[1,2]", b"[12]"),
        (b'["a","b"]', b'["a,b"]'),
        (b'{"a":1}', b'{"a":1,"b":null}'),
        (b"NaN", b" NaN"),
        (b"{'a':1}", b"{'a': 1}"),
        ("\ufeff1".encode(), b"1"),
        ("1".encode("utf-16"), b"1"),
        (nested(MAX_DEPTH + 1), nested(MAX_DEPTH + 1, b" 1")),
        (nested(100_000), nested(100_000, b" 1")),
        (b"1e" + b"9" * 5000, b"1e" + b"9" * 5000 + b" "),
    ],
)
def test_what_does_not(first, second):
    """Differs: numbers are exact, and what is no JSON is compared byte by byte. (trials 1.8)"""
    assert hash_of(first) != hash_of(second)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(values, values)
def test_only_equal_values_share_a_hash(first, second):
    """In whatever form they are written. (trials 1.8)"""
    compact = json.dumps(first, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    loose = json.dumps(first, indent=2, sort_keys=True).encode()
    assert hash_of(compact) == hash_of(loose)
    same = json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
    assert (hash_of(json.dumps(first).encode()) == hash_of(json.dumps(second).encode())) is same


@pytest.mark.parametrize("body", [b'{"a":1,"a":1}', b'[{"b":{"a":1,"\\u0061":2}}]'])
def test_a_repeated_name(body):
    """Which value counts depends on who reads it, so the message is invalid, and the name is not shown. (trials 1.8)"""
    with pytest.raises(InvalidMessage, match=r"^a name is repeated in an object$"):
        hash_of(body)


@consumer(Queue("orders", max_attempts=2), key="id", check_body=True)
def checked(order: dict) -> None: ...  # type: ignore[type-arg] # the bare annotation is what users write


def reasons(*bodies: bytes) -> list[Any]:
    store = MemoryStore()
    return [deliver(checked, body, id=f"m-{n}", store=store).reason for n, body in enumerate(bodies)]


def test_a_second_order_is_no_duplicate():
    """It differs in the last digit only, or beyond what a float holds. (trials 1.8)"""
    price = b'{"id":"a","price":1.12345678901234567%d}'
    assert reasons(price % 8, price % 9, price % 8) == ["done", "invalid", "duplicate"]
    whole = b'{"id":"a","count":%d}'
    assert reasons(whole % 10**400, whole % 10**401, whole % 10**400) == ["done", "invalid", "duplicate"]
    assert reasons(b'{"id":"a","n":1}', b'{"n":1.0,"id":"a"}') == ["done", "duplicate"]


def test_a_body_with_a_repeated_name_is_invalid():
    """And its key stays free. (trials 1.8)"""
    assert reasons(b'{"id":"a","n":1,"n":2}', b'{"id":"a","n":1}') == ["invalid", "done"]


def test_a_hash_of_another_version():
    """A hash of an older release cannot be compared: the message is a duplicate by its key alone. (trials 1.8)"""
    import dataclasses

    store, clock = MemoryStore(), FakeClock()
    assert deliver(checked, {"id": "a", "n": 1}, id="m-1", store=store, clock=clock).reason == "done"
    ((key, record),) = store.records.items()
    assert record.body.startswith(f"{VERSION}:")
    for older in ("0123456789abcdef0123456789abcdef", "1:0123456789abcdef0123456789abcdef", ""):
        store.records[key] = dataclasses.replace(record, body=older)
        assert deliver(checked, {"id": "a", "n": 2}, id="m-2", store=store, clock=clock).reason == "duplicate"
    store.records[key] = record
    assert deliver(checked, {"id": "a", "n": 2}, id="m-3", store=store, clock=clock).reason == "invalid"
    clock.advance(timedelta(days=8))
    assert deliver(checked, {"id": "a", "n": 2}, id="m-4", store=store, clock=clock).reason == "done"


def test_without_the_check_the_last_of_repeated_names_counts():
    """Python's own parser does the same."""
    seen: list[Any] = []

    @consumer(Queue("orders"))
    def handle(order: dict) -> None:  # type: ignore[type-arg] # as above
        seen.append(order)

    assert deliver(handle, b'{"n":1,"n":2}').reason == "done"
    assert seen == [{"n": 2}]

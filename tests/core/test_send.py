"""Payloads without a form, at their edges; the usual ones are in test_declaring.py."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from peeklock import ConfigError, Queue, send
from peeklock.sending.send import dump, routed
from peeklock.testing import Outbox


class Loose(BaseModel):
    """A model that may hold what JSON cannot."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    what: Any


@dataclass
class Row:
    what: Any


class Foreign:
    """No schema is known of it."""


@dataclass
class Typed:
    what: Foreign


NESTED: list[Any] = []
NESTED.append(NESTED)


@pytest.mark.parametrize(
    "payload",
    [
        "\ud800",
        {"a": "\ud800"},
        Row(object()),
        Typed(Foreign()),
        Loose(what=object()),
        Loose(what="\ud800"),
        Row,
        NESTED,
        bytearray(b"x"),
        10**5000,
    ],
    ids=lambda payload: type(payload).__name__,
)
def test_a_payload_without_a_form(payload):
    """Is one kind of error, whoever could not write it."""
    with pytest.raises(ConfigError, match=r"has no JSON form|cannot be encoded"):
        dump(payload)


def test_what_a_dataclass_may_hold():
    """Dates and decimals, where pydantic is installed."""
    body, kind = dump(Row({"at": datetime(2026, 1, 1, tzinfo=UTC), "cents": Decimal("1.50")}))
    assert (body, kind) == (b'{"what":{"at":"2026-01-01T00:00:00Z","cents":"1.50"}}', "application/json")


@pytest.mark.parametrize("delay", [-1, True, "3", float("nan"), 1e12])
def test_a_delay_that_is_none(delay):
    """Nothing is sent."""
    box = Outbox()
    with routed(lambda queue: box), pytest.raises((TypeError, ValueError), match="delay"):
        send(Queue("q"), {}, delay=delay)
    assert box.outgoing_messages == []


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ([("a", "b")], "attributes= takes a dict of texts, not list"),
        ([], "attributes= takes a dict of texts, not list"),
        ("a=b", "attributes= takes a dict of texts, not str"),
        ({"a": 1}, "names and values must be texts"),
        ({1: "a"}, "names and values must be texts"),
        ({"a": "\ud800"}, "names and values must be texts"),
        ({"peeklock-reason": "x"}, "names that begin with 'peeklock' are reserved"),
    ],
)
def test_attributes_that_are_none(attributes, problem):
    """Nothing is sent."""
    box = Outbox()
    with routed(lambda queue: box), pytest.raises(ConfigError, match=problem):
        send(Queue("q"), {}, attributes=attributes)
    assert box.outgoing_messages == []


def test_without_attributes():
    """None says so, as an empty dict does."""
    box = Outbox()
    with routed(lambda queue: box):
        send(Queue("q"), {}, attributes=None)
        send(Queue("q"), {}, attributes={})
    assert [dict(outgoing.attributes) for outgoing in box.outgoing_messages] == [{}, {}]

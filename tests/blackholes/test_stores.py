"""Stores that do not answer: an event answers before its limit, and nothing is completed that did not run."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from tests.blackholes.holes import Hole, Kind
from tests.blackholes.running import Case, run_all
from tests.blackholes.scenes import LIMIT, on_sqs
from tests.blackholes.worlds import STORES, Door

BATCH = ["succeeds"] * 3


def addresses(door: Door, stack: ExitStack) -> dict[str, tuple[str, bool]]:
    """A `host:port` for each way not to answer, and whether TLS is spoken there."""
    holes = {kind: stack.enter_context(Hole(kind, door.protocol)) for kind in door.kinds}
    reached = {str(kind): (hole.address, kind is Kind.TLS) for kind, hole in holes.items()}
    if door.name is not None:
        resolver = stack.enter_context(Hole(Kind.RESOLVER))
        reached["dns"] = (door.name(resolver.port), False)
    return reached


def late(told: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The cases that did not answer before the limit, and how long they took."""
    return {name: one.get("seconds", one) for name, one in told.items() if one.get("seconds", LIMIT + 1) > LIMIT}


@pytest.mark.parametrize("name", STORES)
def test_a_store_that_does_not_answer_gives_the_messages_back(name):
    """Before the event's limit, whatever the store does instead of answering. (trials 1.15)"""
    door = STORES[name]
    with ExitStack() as stack:
        cases = {
            kind: Case(
                scene=on_sqs,
                environ={**door.environ(address, tls), "PEEKLOCK_STORE": door.url(address, tls)},
                arguments={"whats": BATCH, "options": {"dead_letter": "memory://dead"}, "memory": False},
            )
            for kind, (address, tls) in addresses(door, stack).items()
        }
        told = run_all(cases)
    print(told)
    assert late(told) == {}
    for kind, one in told.items():
        assert one["ran"] == [], kind
        assert one["answer"] == [f"succeeds-{n}" for n in range(3)], kind
        assert set(one["reasons"].values()) == {"unavailable"}, kind

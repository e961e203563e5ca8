"""Stores that do not answer: an event answers before its limit, and nothing is completed that did not run."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.blackholes.running import Case, run_all
from tests.blackholes.worlds import STORES, addresses, late

BATCH = ["succeeds"] * 3


@pytest.mark.parametrize("name", STORES)
def test_a_store_that_does_not_answer_gives_the_messages_back(name):
    """Before the event's limit, whatever the store does instead of answering. (trials 1.15)"""
    door = STORES[name]
    with ExitStack() as stack:
        cases = {
            kind: Case(
                scene="on_sqs",
                environ={
                    **door.environ(address, tls),
                    "PEEKLOCK_STORE": door.url(address, tls),
                    "PEEKLOCK_ORDERS_DEAD_LETTER": "memory://dead",
                },
                arguments={"whats": BATCH, "store": ""},
            )
            for kind, (address, tls) in addresses(door, stack).items()
        }
        reports = run_all(cases)
    assert late(reports) == {}
    for kind, report in reports.items():
        assert report["ran"] == [], kind
        assert report["answer"] == [f"succeeds-{n}" for n in range(3)], kind
        assert set(report["reasons"].values()) <= {"unavailable", "halted"}, kind

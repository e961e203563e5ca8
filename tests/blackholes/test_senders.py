"""Dead-letter queues that do not answer: an event answers before its limit, and what is not certainly a dead letter comes
back."""

from __future__ import annotations

import os
from contextlib import ExitStack

import pytest

from tests.blackholes.running import Case, run_all
from tests.blackholes.worlds import QUEUES, addresses, late

BATCH = ["succeeds", "fatal", "succeeds"]


@pytest.mark.parametrize("name", QUEUES)
def test_a_queue_that_does_not_answer_costs_its_dead_letters_only(name):
    """The others of the batch are done; the event answers before its limit, whatever the queue does. (trials 1.15)"""
    door = QUEUES[name]
    with ExitStack() as stack:
        cases = {
            kind: Case(
                scene="on_sqs",
                environ={**door.environ(address, tls), "PEEKLOCK_ORDERS_DEAD_LETTER": door.url(address, tls)},
                arguments={"whats": BATCH},
            )
            for kind, (address, tls) in addresses(door, stack).items()
        }
        reports = run_all(cases)
    assert late(reports) == {}
    for kind, report in reports.items():
        assert report["ran"] == BATCH, kind
        assert report["answer"] == ["fatal-1"], kind
        assert report["reasons"]["succeeds-0"] == report["reasons"]["succeeds-2"] == "done", kind


def test_a_file_that_cannot_be_opened_costs_its_dead_letters_only(tmp_path):
    """A pipe that nobody reads. (trials 1.15)"""
    os.mkfifo(tmp_path / "dead.jsonl")
    environ = {"PEEKLOCK_ORDERS_DEAD_LETTER": f"file://{tmp_path}/dead.jsonl"}
    reports = run_all({"pipe": Case(scene="on_sqs", environ=environ, arguments={"whats": BATCH})})
    assert late(reports) == {}
    assert reports["pipe"]["answer"] == ["fatal-1"]

"""Stores that stop to answer in the middle: after a claim, behind another process, late."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from tests.blackholes.running import LIMIT, SLACK, Case, run_all
from tests.blackholes.worlds import late

DEAD = {"PEEKLOCK_ORDERS_DEAD_LETTER": "memory://dead"}


def test_a_file_that_another_process_writes_to_gives_the_messages_back(tmp_path):
    """The other process's transaction does not end. (trials 1.15)"""
    path = tmp_path / "keys.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        environ = {**DEAD, "PEEKLOCK_STORE": f"sqlite://{path}"}
        case = Case(scene="on_sqs", environ=environ, arguments={"whats": ["succeeds"] * 2, "store": ""})
        reports = run_all({"locked": case})
    assert late(reports) == {}
    assert (reports["locked"]["ran"], reports["locked"]["answer"]) == ([], ["succeeds-0", "succeeds-1"])


def test_a_success_that_cannot_be_recorded_is_complete():
    """The store answers claims and nothing after them: near the end recording gives way to settling. (trials 1.15)"""
    whats = ["succeeds", "fails", "succeeds"]
    reports = run_all({"deaf": Case(scene="on_sqs", environ=DEAD, arguments={"whats": whats, "store": "deaf"})})
    assert late(reports) == {}
    assert (reports["deaf"]["ran"], reports["deaf"]["answer"]) == (whats, ["fails-1"])
    assert "peeklock.unrecorded" in reports["deaf"]["logged"]


def test_a_store_that_is_slow_to_fail_is_asked_as_often_as_there_is_time():
    """Three seconds each time. (trials 1.15)"""
    limits = {"little": LIMIT, "more": 8.0}
    reports = run_all(
        {
            name: Case(
                scene="on_sqs", environ=DEAD, arguments={"whats": ["succeeds"] * 2, "store": "slow", "limit": limit}
            )
            for name, limit in limits.items()
        }
    )
    for name, report in reports.items():
        assert report["seconds"] < limits[name] + SLACK, name
        assert (report["ran"], report["answer"]) == ([], ["succeeds-0", "succeeds-1"]), name

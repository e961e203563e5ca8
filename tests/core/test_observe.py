"""Logging of values that a producer chose."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from peeklock.message import Message
from peeklock.observability.observer import MOST_REMEMBERED, LogObserver, log_event, log_event_once
from peeklock.outcome import Disposition, Outcome, Reason


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("order-7", "order-7"),
        ("ключ-7", "ключ-7"),
        ("projects/p:7#a+b,{c}", "projects/p:7#a+b,{c}"),
        ("ключ 7", '"ключ 7"'),
        ("", '""'),
        ("m-1 disposition=complete", '"m-1 disposition=complete"'),
        ("m-1\tx", r'"m-1\tx"'),
        ("reason=done", '"reason=done"'),
        ('a"b', r'"a\"b"'),
        ("a'b", '"a\'b"'),
        ("a\\b", r'"a\\b"'),
        ("x\npeeklock.settled reason=done", r'"x\npeeklock.settled reason=done"'),
        ("\x1b[2J", r'"\u001b[2J"'),
        ("a\x7f\x9b", r'"a\u007f\u009b"'),
        ("a\u2028b", r'"a\u2028b"'),
        ("a\u202eb", r'"a\u202eb"'),
        ("a\u00a0reason=b", r'"a\u00a0reason=b"'),
        ("\ud800", r'"\ud800"'),
        (3, "3"),
        (None, "None"),
    ],
)
def test_a_record_is_one_line_and_each_value_one_field(caplog, value, shown):
    """An id passes neither for a record of its own nor for a field; machines get it as it is. (trials 2.6)"""
    log_event("peeklock.settled %s", {"message_id": value})
    (record,) = caplog.records
    assert record.getMessage() == f"peeklock.settled message_id={shown}"
    assert record.peeklock == {"message_id": value}


@pytest.mark.parametrize("name", ["disposition", "reason", "queue", "delivery", "duration_ms", "latency_ms"])
def test_what_a_producer_chose_comes_last(caplog, name):
    """So who searches the text for a field, as an alarm does, finds ours. (trials 2.6)"""
    forged = f"m-1 {name}=forged "
    message = Message(id=forged, body=b"", queue="orders", group=forged, delivery=1, sent_ms=1_700_000_000_000)
    outcome = Outcome(disposition=Disposition.DEAD_LETTER, reason=Reason.FATAL, attempt=1, detail=forged)
    LogObserver().settled("sqs", [SimpleNamespace(message=message, outcome=outcome, key=forged, duration=0.5)])
    (record,) = caplog.records
    match = re.search(rf"\b{name}=(\S+)", record.getMessage())
    assert match is not None
    assert match[1] == str(record.peeklock[name]) != "forged"


def test_what_is_said_once_is_forgotten_in_the_end(caplog):
    """A process that meets a new fact each time does not remember all of them."""
    for n in range(MOST_REMEMBERED + 1):
        log_event_once("peeklock.test %s", {"queue": "said-once", "detail": str(n)})
        log_event_once("peeklock.test %s", {"queue": "said-once", "detail": str(n)})
    said = [entry for entry in caplog.records if entry.msg == "peeklock.test %s"]
    assert len(said) == MOST_REMEMBERED + 1
    log_event_once("peeklock.test %s", {"queue": "said-once", "detail": "0"})
    assert len([entry for entry in caplog.records if entry.msg == "peeklock.test %s"]) == MOST_REMEMBERED + 2

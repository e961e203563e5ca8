"""Another process hears of each run and each settlement."""

from __future__ import annotations

import json
import socket

import pytest

from peeklock import ConfigError, Queue, consumer, sqs
from peeklock.testing import Outbox
from tests.support import environment


@consumer(Queue("orders"))
def handle(payload: dict) -> None:
    if payload.get("fail"):
        raise ValueError("no")


def record(name: str, body: str) -> dict[str, object]:
    return {"messageId": name, "receiptHandle": name, "body": body, "eventSource": "aws:sqs", "eventSourceARN": "a:b:q"}


def told_to(listener: socket.socket, count: int) -> list[dict[str, dict[str, object]]]:
    return [json.loads(listener.recv(65536)) for _ in range(count)]


def test_runs_and_settlements_are_told():
    """In their order, and nothing of the body. The observer that was given hears of them as well."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(10)
        with environment(PEEKLOCK_FOLLOW=f"127.0.0.1:{listener.getsockname()[1]}"):
            entry = sqs.bind(handle, dead_letter=Outbox(), client=object())
            entry({"Records": [record("m-1", '{"secret": 1}'), record("m-2", '{"fail": 1}')]}, None)
        notices = told_to(listener, 4)
    assert [next(iter(notice)) for notice in notices] == ["started", "started", "settled", "settled"]
    assert notices[0]["started"]["message_id"] == "m-1"
    assert notices[0]["started"]["platform"] == "sqs"
    assert notices[2]["settled"] | {"duration_ms": 0} == {
        "platform": "sqs",
        "queue": "orders",
        "message_id": "m-1",
        "delivery": 1,
        "attempt": 1,
        "disposition": "complete",
        "reason": "done",
        "duration_ms": 0,
    }
    assert notices[3]["settled"]["reason"] == "retry"
    assert "secret" not in json.dumps(notices)


def test_nobody_listens():
    """Then nobody hears, and nothing else changes: not even for what is no datagram."""
    for address in ("127.0.0.1:9", "127.8.8.8:65535", "localhost:1", "[::1]:9"):
        with environment(PEEKLOCK_FOLLOW=address):
            entry = sqs.bind(handle, dead_letter=Outbox())
            assert entry({"Records": [record("m" * 70_000, "{}")]}, None) == {"batchItemFailures": []}


@pytest.mark.parametrize(
    "address",
    [
        "4000",
        ":4000",
        "localhost:",
        "localhost:http",
        "localhost:0",
        "localhost:65536",
        "localhost:\u00b2",
        "localhost:-1",
        "255.255.255.255:9",
        "0.0.0.0:9",
        "10.0.0.1:9",
        "collector.example.com:9",
        "localhost.example.com:9",
        "[2001:db8::1]:9",
        "127.0.0.1.example.com:9",
    ],
)
def test_an_address_that_is_none_on_this_machine(address):
    """Is refused before any message is touched. (trials 2.6)"""
    with environment(PEEKLOCK_FOLLOW=address), pytest.raises(ConfigError, match=r"such as 127\.0\.0\.1:4000"):
        sqs.bind(handle, dead_letter=Outbox())({"Records": [record("m-1", "{}")]}, None)

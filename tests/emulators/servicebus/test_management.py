"""Requests that no SDK would make, and what an SDK does not show."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from cloudqueues.servicebus import ServiceBusEmulator
from cloudqueues.servicebus.amqp import encode, frames
from cloudqueues.servicebus.message_encoding import request
from tests.emulators.servicebus.peer import Peer, attach_frame, body, transfer_frame

ARGUMENT = "com.microsoft:argument-error"
NOT_IMPLEMENTED = "amqp:not-implemented"
LOCK_LOST = "com.microsoft:message-lock-lost"
SESSION_LOST = "com.microsoft:session-lock-lost"
NOT_FOUND = "amqp:not-found"
TOKENS = [uuid.UUID(int=1)]


def ask(bus: ServiceBusEmulator, entity: str, operation: str, values: Any) -> tuple[int, str | None, Any]:
    """The status, the error's condition and the body of the answer."""
    application = encode.map_([(encode.string("operation"), encode.string(f"com.microsoft:{operation}"))])
    properties = encode.list_([encode.string("id-1"), *[encode.NULL] * 3, encode.string("here")])
    message = encode.described(0x73, properties) + encode.described(0x74, application)
    message += encode.described(0x77, encode.value(values))
    node = f"{entity}/$management"
    with Peer(bus.port).open().begin().receiver(node).sender(node, handle=1) as peer:
        peer.credit(1)
        peer.say(transfer_frame(0, message, handle=1))
        assert peer.expect(frames.DISPOSITION)[4].descriptor == frames.ACCEPTED
        answer = request(peer.delivery()[1], 0)
    assert isinstance(answer.application["statusDescription"], str)
    return answer.application["statusCode"], answer.application.get("errorCondition"), answer.body


@pytest.fixture
def bus(bus: ServiceBusEmulator) -> ServiceBusEmulator:
    bus.add_queue("q")
    bus.add_queue("grouped", requires_session=True)
    bus.add_topic("events")
    bus.add_subscription("events", "all")
    with Peer(bus.port).open().begin().sender("q") as peer:
        peer.say(transfer_frame(0, body(b"a")))
        peer.expect(frames.DISPOSITION)
    return bus


SOME = "events/Subscriptions/all"
SETTLE = {"lock-tokens": TOKENS, "disposition-status": "completed"}
DEFERRED = {"receiver-settle-mode": 1, "session-id": "s", "sequence-numbers": [1]}
SQL = {"sql-filter": {"expression": "1=1"}}


@pytest.mark.parametrize(
    ("entity", "operation", "values", "status", "condition"),
    [
        ("q", "fly", {}, 501, NOT_IMPLEMENTED),
        ("q", "peek-message", None, 400, ARGUMENT),
        ("q", "peek-message", {"from-sequence-number": "1", "message-count": 1}, 400, ARGUMENT),
        ("q", "peek-message", {"from-sequence-number": 0, "message-count": -5}, 204, None),
        ("events", "peek-message", {"from-sequence-number": 0, "message-count": 1}, 400, ARGUMENT),
        ("q", "schedule-message", {"messages": ["text"]}, 400, ARGUMENT),
        ("q", "schedule-message", {"messages": [{"message": b"\x40"}]}, 400, "amqp:decode-error"),
        ("grouped", "schedule-message", {"messages": [{"message": body(b"a")}]}, 400, "amqp:not-allowed"),
        ("q", "renew-lock", {"lock-tokens": ["none"]}, 400, ARGUMENT),
        ("q", "renew-lock", {"lock-tokens": [str(TOKENS[0])]}, 410, LOCK_LOST),
        ("q", "update-disposition", SETTLE, 410, LOCK_LOST),
        ("q", "update-disposition", {**SETTLE, "disposition-status": "eaten"}, 400, ARGUMENT),
        ("q", "update-disposition", {**SETTLE, "session-id": "s"}, 400, ARGUMENT),
        ("grouped", "update-disposition", {**SETTLE, "session-id": "s"}, 410, SESSION_LOST),
        ("grouped", "receive-by-sequence-number", DEFERRED, 410, SESSION_LOST),
        ("grouped", "renew-session-lock", {"session-id": "s"}, 410, SESSION_LOST),
        ("grouped", "get-message-sessions", {"top": 5}, 204, None),
        ("q", "get-session-state", {"session-id": "s"}, 400, ARGUMENT),
        ("q", "enumerate-rules", {"top": 5}, 404, NOT_FOUND),
        (SOME, "remove-rule", {"rule-name": "unknown"}, 404, NOT_FOUND),
        (
            SOME,
            "add-rule",
            {"rule-name": "$Default", "rule-description": SQL},
            409,
            "com.microsoft:entity-already-exists",
        ),
        (SOME, "add-rule", {"rule-name": "r", "rule-description": {}}, 400, ARGUMENT),
        (SOME, "add-rule", {"rule-name": "r", "rule-description": {"sql-filter": {}}}, 400, ARGUMENT),
        (SOME, "add-rule", {"rule-name": "", "rule-description": SQL}, 400, ARGUMENT),
        (SOME, "add-rule", {"rule-name": "r" * 51, "rule-description": SQL}, 400, ARGUMENT),
        (SOME, "add-rule", {"rule-name": "r", "rule-description": {"correlation-filter": {"label": 1}}}, 200, None),
        (SOME, "add-rule", {"rule-name": "r", "rule-description": {"sql-filter": {"expression": "a"}}}, 400, ARGUMENT),
        (SOME, "add-rule", {"rule-name": "r", "rule-description": {**SQL, "sql-rule-action": {}}}, 400, ARGUMENT),
        (SOME, "add-rule", {"rule-name": "r", "rule-description": {"correlation-filter": {"odd": 1}}}, 400, ARGUMENT),
    ],
)
def test_a_request_that_cannot_be_met_says_why(
    bus: ServiceBusEmulator, entity: str, operation: str, values: Any, status: int, condition: str | None
) -> None:
    assert ask(bus, entity, operation, values)[:2] == (status, condition)


def test_settled_by_its_token_from_another_connection(bus: ServiceBusEmulator) -> None:
    with Peer(bus.port).open().begin().receiver("q") as peer:
        peer.credit(1)
        token = uuid.UUID(bytes_le=peer.expect(frames.TRANSFER)[2])
        changed = {"lock-tokens": [token], "disposition-status": "abandoned", "properties-to-modify": {"n": 1}}
        assert ask(bus, "q", "update-disposition", changed)[0] == 200
        (message,) = bus.messages("q")
        assert (message.locked, message.delivery_count, message.properties) == (False, 1, {"n": 1})
        peer.credit(1, count=1)
        token = uuid.UUID(bytes_le=peer.expect(frames.TRANSFER)[2])
        for status in ("renewed", "completed"):
            settled = {"lock-tokens": [token], "disposition-status": status}
            assert ask(bus, "q", "update-disposition", settled)[0] == 200
    assert bus.messages("q") == []


def test_a_disposition_with_a_lost_lock_settles_nothing(bus: ServiceBusEmulator) -> None:
    with Peer(bus.port).open().begin().receiver("q") as peer:
        peer.credit(1)
        token = uuid.UUID(bytes_le=peer.expect(frames.TRANSFER)[2])
        both = {"lock-tokens": [token, *TOKENS], "disposition-status": "completed"}
        assert ask(bus, "q", "update-disposition", both)[:2] == (410, LOCK_LOST)
        assert [message.locked for message in bus.messages("q")] == [True]


def test_tokens_are_taken_as_they_come(bus: ServiceBusEmulator) -> None:
    with Peer(bus.port).open().begin().receiver("$cbs").sender("$cbs", handle=1) as peer:
        peer.credit(1)
        peer.say(transfer_frame(0, encode.described(0x77, encode.string("no token at all")), handle=1))
        peer.expect(frames.DISPOSITION)
        answer = request(peer.delivery()[1], 0)
    assert answer.application == {"status-code": 202, "status-description": "OK"}


def test_a_request_without_anybody_to_answer_to_is_rejected(bus: ServiceBusEmulator) -> None:
    with Peer(bus.port).open().begin() as peer:
        peer.say(attach_frame("q/$management", receiving=False))
        peer.expect(frames.ATTACH)
        peer.expect(frames.FLOW)
        peer.say(transfer_frame(0, body(b"")))
        state = peer.expect(frames.DISPOSITION)[4]
    assert (state.descriptor, state.value[0].value[0]) == (frames.REJECTED, NOT_FOUND)


def test_an_answer_waits_for_credit(bus: ServiceBusEmulator) -> None:
    with Peer(bus.port).open().begin().receiver("$cbs").sender("$cbs", handle=1) as peer:
        peer.say(transfer_frame(0, body(b""), handle=1))
        peer.expect(frames.DISPOSITION)
        peer.credit(1)
        assert request(peer.delivery()[1], 0).application["status-code"] == 202

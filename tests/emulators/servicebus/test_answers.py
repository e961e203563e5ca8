"""Fields of the service's replies that clients in other languages read, frame by frame where Python's client ignores
them."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from azure.servicebus import (
    NEXT_AVAILABLE_SESSION,
    ServiceBusClient,
    ServiceBusMessage,
    ServiceBusReceiveMode,
    ServiceBusSubQueue,
)
from azure.servicebus.amqp import AmqpAnnotatedMessage
from azure.servicebus.exceptions import ServiceBusError

from cloudqueues.servicebus import Rule, ServiceBusEmulator
from cloudqueues.servicebus.amqp import encode, frames
from cloudqueues.servicebus.amqp.attach import SESSION_FILTER
from cloudqueues.servicebus.amqp.decode import Described, decode
from cloudqueues.servicebus.amqp.encode import NULL, TRUE
from tests.emulators.servicebus.kit import leaving, one, send, wait_until
from tests.emulators.servicebus.peer import Peer, transfer_frame

GO = 0x137_0000_00C
"""The descriptor of the session filter in azservicebus."""
NOT_IMPLEMENTED = "amqp:not-implemented"


def described(code: bytes, value: bytes) -> bytes:
    return b"\x00" + code + value


def attach(peer: Peer, source: bytes, target: bytes, *, receiving: bool) -> list[Any]:
    """The fields of the answer."""
    start = NULL if receiving else encode.uint(0)
    fields = (encode.string("link"), encode.uint(0), encode.boolean(receiving), NULL, NULL, source, target, NULL, NULL)
    peer.frame(frames.ATTACH, *fields, start)
    return peer.expect(frames.ATTACH)


def with_filter(wanted: bytes) -> tuple[bytes, bytes]:
    filters = encode.map_([(encode.symbol(SESSION_FILTER), wanted)])
    source = encode.described(frames.SOURCE, encode.list_([encode.string("orders"), *[NULL] * 6, filters]))
    return source, encode.described(frames.TARGET, encode.EMPTY_LIST)


# -- sessions


@pytest.mark.parametrize(
    ("wanted", "answered"),
    [
        (encode.string("s"), "s"),
        (described(encode.ulong(GO), encode.string("s")), Described(GO, "s")),
        (described(encode.ulong(GO), NULL), Described(GO, "s")),
        (described(encode.symbol(SESSION_FILTER), NULL), Described(SESSION_FILTER, "s")),
    ],
    ids=["bare", "described", "any, described", "described by name"],
)
def test_a_session_is_answered_in_the_form_it_was_asked_in(
    bus: ServiceBusEmulator, client: ServiceBusClient, wanted: bytes, answered: object
) -> None:
    """Go takes a described value only."""
    bus.add_queue("orders", requires_session=True)
    send(client, "orders", ServiceBusMessage("a", session_id="s"))
    with Peer(bus.port).open().begin() as peer:
        answer = attach(peer, *with_filter(wanted), receiving=True)
        assert answer[5].value[7] == {SESSION_FILTER: answered}


def test_a_session_that_is_no_text(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("orders", requires_session=True)
    receiver = client.get_queue_receiver("orders", session_id=1)  # type: ignore[arg-type] # that is what it is about
    with pytest.raises(ServiceBusError, match="session filter 1 is not a string"), receiver:
        pass


def test_a_session_without_locks_lasts_as_long_as_its_link(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    """And not as long as that of a client that was cut off."""
    bus.add_queue("orders", requires_session=True, lock_duration=10)
    send(client, "orders", ServiceBusMessage("a", session_id="s"))
    mode = ServiceBusReceiveMode.RECEIVE_AND_DELETE
    with leaving(client.get_queue_receiver("orders", session_id="s", receive_mode=mode)) as receiver:
        assert str(one(receiver)) == "a"
        bus.advance(25)
        send(client, "orders", ServiceBusMessage("b", session_id="s"))
        assert str(one(receiver)) == "b"
    wait_until(lambda: bus.connections() == 0)
    send(client, "orders", ServiceBusMessage("c", session_id="s"))
    with Peer(bus.port).open().begin() as peer:
        source, target = with_filter(NULL)
        fields = (encode.string("link"), encode.uint(0), TRUE, encode.ubyte(1), NULL, source, target)
        peer.frame(frames.ATTACH, *fields)
        assert peer.expect(frames.ATTACH)[5].value[7] == {SESSION_FILTER: "s"}
    with leaving(client.get_queue_receiver("orders", session_id=NEXT_AVAILABLE_SESSION)) as receiver:
        assert str(one(receiver)) == "c"


# -- deliveries


def test_delivery_annotations_are_the_senders_and_the_lock(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    """Also of a deferred message, which has no delivery tag: Go looks there for its lock."""
    bus.add_queue("orders")
    sent = AmqpAnnotatedMessage(data_body=b"a", delivery_annotations={b"mine": b"kept", b"x-opt-lock-token": b"no"})
    with client.get_queue_sender("orders") as sender:
        sender.send_messages(sent)
    with leaving(client.get_queue_receiver("orders")) as receiver:
        (peeked,) = receiver.peek_messages()
        assert peeked.raw_amqp_message.delivery_annotations == {b"mine": b"kept"}
        first = one(receiver)
        assert annotations(first) == {b"mine": b"kept", b"x-opt-lock-token": first.lock_token}
        receiver.defer_message(first)
        (deferred,) = receiver.receive_deferred_messages(first.sequence_number or 0)
        token = annotations(deferred)[b"x-opt-lock-token"]
        assert isinstance(token, uuid.UUID)
        assert token != first.lock_token
        receiver.complete_message(deferred)
    assert bus.messages("orders") == []


def annotations(message: Any) -> dict[bytes, object]:
    delivery_annotations: dict[bytes, object] = message.raw_amqp_message.delivery_annotations
    return delivery_annotations


def test_what_is_deleted_when_it_is_delivered_has_no_tag(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("orders")
    send(client, "orders", "a", "b")
    for settled, size in ((False, 16), (True, 0)):
        with Peer(bus.port).open().begin().receiver("orders", settled=settled) as peer:
            peer.credit(1)
            transfer = peer.expect(frames.TRANSFER)
            assert (len(transfer[2]), transfer[4]) == (size, settled)


def test_a_dead_letter_is_delivered_as_often_as_it_takes(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    """And its count stays what it was."""
    bus.add_queue("orders", max_delivery_count=2, lock_duration=30)
    send(client, "orders", "a")
    with leaving(client.get_queue_receiver("orders")) as receiver:
        receiver.abandon_message(one(receiver))
        receiver.dead_letter_message(one(receiver), reason="why")
    with leaving(client.get_queue_receiver("orders", sub_queue=ServiceBusSubQueue.DEAD_LETTER)) as receiver:
        for _ in range(3):
            dead_letter = one(receiver)
            assert dead_letter.delivery_count == 1
            receiver.abandon_message(dead_letter)
        assert one(receiver).delivery_count == 1
        bus.advance(30)
        assert one(receiver).delivery_count == 1


# -- rules, tokens, transactions


def test_rules_are_listed_by_name(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_topic("events")
    bus.add_subscription("events", "some", rules=[Rule.sql("1=1", name=name) for name in "cab"])
    with leaving(client.get_subscription_receiver("events", "some")) as receiver:
        attach_request = (
            b"com.microsoft:enumerate-rules",
            {"skip": 1, "top": 2},
            lambda _status, message, _text, **_: message.value,
        )
        answer = receiver._mgmt_request_response_with_retry(*attach_request)  # the client has it for nothing else
    assert [rule[b"rule-description"][2] for rule in answer[b"rules"]] == [b"b", b"c"]


@pytest.mark.parametrize(
    ("audience", "status"),
    [
        ("sb://localhost:5672/Orders", 202),
        ("amqps://localhost/orders/$management", 202),
        ("sb://localhost/orders/$DeadLetterQueue/", 202),
        ("amqp://localhost/events/subscriptions/some", 202),
        ("sb://localhost/", 202),
        ("sb://localhost/nowhere", 404),
        ("sb://localhost/events/Subscriptions/none/$management", 404),
    ],
)
def test_the_token_of_an_entity_that_does_not_exist(bus: ServiceBusEmulator, audience: str, status: int) -> None:
    bus.add_queue("orders")
    bus.add_topic("events")
    bus.add_subscription("events", "some")
    with Peer(bus.port).open().begin().receiver("$cbs", handle=1).sender("$cbs", handle=0) as peer:
        windows = (encode.uint(0), encode.uint(2**31 - 1), encode.uint(0), encode.uint(2**31 - 1))
        peer.frame(frames.FLOW, *windows, encode.uint(1), encode.uint(0), encode.uint(1))
        named = [("operation", "put-token"), ("type", "servicebus.windows.net:sastoken"), ("name", audience)]
        pairs = encode.map_((encode.string(key), encode.string(value)) for key, value in named)
        reply_to = encode.list_([encode.string("1"), NULL, NULL, NULL, encode.string("here")])
        request = encode.described(0x73, reply_to) + encode.described(0x74, pairs)
        peer.say(transfer_frame(0, request + encode.described(0x77, encode.string("a token"))))
        peer.expect(frames.DISPOSITION)
        answer = application(peer.delivery()[1])
    assert answer["status-code"] == status
    assert (f"'{audience}' could not be found" in answer["status-description"]) == (status == 404)


def application(payload: bytes) -> dict[str, Any]:
    at = 0
    while True:
        section, at = decode(payload, at)
        if section.descriptor == 0x74:
            properties: dict[str, Any] = section.value
            return properties


@pytest.mark.parametrize("code", [encode.ulong(0x30), encode.symbol("amqp:coordinator:list")], ids=["code", "name"])
def test_there_are_no_transactions(bus: ServiceBusEmulator, code: bytes) -> None:
    """The coordinator is refused in words that say so."""
    with Peer(bus.port).open().begin() as peer:
        source = encode.described(frames.SOURCE, encode.EMPTY_LIST)
        answer = attach(peer, source, described(code, encode.EMPTY_LIST), receiving=False)
        assert (answer[5], answer[6]) == (None, None)
        condition, text, _ = peer.expect(frames.DETACH)[2].value
        assert condition == NOT_IMPLEMENTED
        assert "Transactions are not implemented" in text


def test_nothing_is_sent_in_a_transaction(bus: ServiceBusEmulator) -> None:
    bus.add_queue("orders")
    state = encode.described(0x34, encode.list_([encode.binary(b"transaction")]))
    with Peer(bus.port).open().begin().sender("orders") as peer:
        fields = (encode.uint(0), encode.uint(0), encode.binary(b"tag"), encode.uint(0), *[NULL] * 3, state)
        frame = frames.frame(0, frames.TRANSFER, *fields)
        body = encode.described(0x75, encode.binary(b"a"))
        size = (len(frame) + len(body)).to_bytes(4, "big")
        peer.say(size + frame[4:] + body)
        rejected = peer.expect(frames.DISPOSITION)[4]
        assert rejected.value[0].value[0] == NOT_IMPLEMENTED
    assert bus.messages("orders") == []

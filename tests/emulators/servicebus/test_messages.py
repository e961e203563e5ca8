"""Sending and receiving with the real sync client."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from azure.servicebus import (
    ServiceBusClient,
    ServiceBusMessage,
    ServiceBusMessageState,
    ServiceBusReceiveMode,
    ServiceBusSubQueue,
)
from azure.servicebus.amqp import AmqpAnnotatedMessage, AmqpMessageBodyType, AmqpMessageHeader, AmqpMessageProperties
from azure.servicebus.exceptions import MessageSizeExceededError

from cloudqueues.servicebus import ServiceBusEmulator
from cloudqueues.servicebus.tiers import STANDARD
from peeklock.platforms.servicebus.client import Link
from tests.emulators.servicebus.kit import DEAD_LETTER_QUEUE, leaving, one, receive, send, texts

UUID5 = uuid.UUID(int=5)


def test_everything_a_sender_writes_comes_out(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("orders")
    application = {
        "text": "ä",
        "number": 2**30,
        "small": 7,
        "yes": True,
        "part": 0.5,
        "id": UUID5,
        "raw": b"\x00",
    }
    send(
        client,
        "orders",
        ServiceBusMessage(
            b"\x00\xff",
            application_properties=cast("Any", dict(application)),
            message_id="m-1",
            correlation_id="c-1",
            subject="created",
            content_type="application/json",
            to="somewhere",
            reply_to="elsewhere",
            reply_to_session_id="s-2",
            partition_key="p-1",
            time_to_live=timedelta(hours=1),
        ),
    )
    with leaving(client.get_queue_receiver("orders")) as receiver:
        message = one(receiver)
        now = datetime.now(UTC)
        assert timedelta(seconds=30) < (message.locked_until_utc or now) - now < timedelta(seconds=61)
        receiver.complete_message(message)
    assert b"".join(message.body) == b"\x00\xff"
    properties = {bytes(name).decode(): value for name, value in (message.application_properties or {}).items()}  # type: ignore[arg-type] # the SDK gives bytes
    assert properties == {**application, "text": "ä".encode()}
    assert (message.message_id, message.correlation_id, message.subject) == ("m-1", "c-1", "created")
    assert (message.content_type, message.to, message.reply_to) == ("application/json", "somewhere", "elsewhere")
    assert (message.reply_to_session_id, message.partition_key) == ("s-2", "p-1")
    assert message.time_to_live == timedelta(hours=1)
    assert message.delivery_count == 0
    assert (message.sequence_number, message.enqueued_sequence_number) == (1, None)
    assert message.state is ServiceBusMessageState.ACTIVE
    assert abs((message.enqueued_time_utc or now) - now) < timedelta(seconds=30)


def test_times_are_those_of_the_clients_clock(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    """Also when the broker's own was moved."""
    bus.add_queue("orders")
    bus.advance(3600)
    send(client, "orders", "a")
    with leaving(client.get_queue_receiver("orders")) as receiver:
        message = one(receiver)
    now = datetime.now(UTC)
    assert abs((message.enqueued_time_utc or datetime.min.replace(tzinfo=UTC)) - now) < timedelta(seconds=30)
    assert timedelta(seconds=30) < (message.locked_until_utc or now) - now < timedelta(seconds=61)


def test_dead_letters_do_not_expire(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    """Not even when one is received and abandoned after its message would have expired."""
    bus.add_queue("orders")
    send(client, "orders", ServiceBusMessage("a", time_to_live=timedelta(seconds=30)))
    with leaving(client.get_queue_receiver("orders")) as receiver:
        receiver.dead_letter_message(one(receiver))
    bus.advance(60)
    with leaving(client.get_queue_receiver("orders", sub_queue=ServiceBusSubQueue.DEAD_LETTER)) as receiver:
        receiver.abandon_message(one(receiver))
    assert [message.body for message in bus.messages(f"orders{DEAD_LETTER_QUEUE}")] == [b"a"]


def test_bodies_of_values_and_sequences_and_a_durable_header_come_out(
    bus: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    bus.add_queue("orders")
    with client.get_queue_sender("orders") as sender:
        sender.send_messages(AmqpAnnotatedMessage(value_body={"a": [1, "b"]}, header=AmqpMessageHeader(priority=7)))
        sender.send_messages(
            AmqpAnnotatedMessage(sequence_body=[[1, 2], [3]], properties=AmqpMessageProperties(message_id=UUID5))
        )
    with leaving(client.get_queue_receiver("orders")) as receiver:
        value, sequence = receive(receiver, 2)
    assert value.body_type is AmqpMessageBodyType.VALUE
    assert value.body == {b"a": [1, b"b"]}
    assert value.raw_amqp_message.header is not None
    assert value.raw_amqp_message.header.priority == 7
    assert [list(part) for part in sequence.body] == [[1, 2], [3]]
    assert sequence.message_id == UUID5


def test_batches_lists_and_order(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("orders")
    with client.get_queue_sender("orders") as sender:
        sender.send_messages([ServiceBusMessage(f"a{n}") for n in range(20)])
        batch = sender.create_message_batch()
        for n in range(20):
            batch.add_message(ServiceBusMessage(f"b{n}", message_id=f"b{n}"))
        sender.send_messages(batch)
    expected = [f"a{n}" for n in range(20)] + [f"b{n}" for n in range(20)]
    with leaving(client.get_queue_receiver("orders")) as receiver:
        assert texts(receiver.peek_messages(max_message_count=100)) == expected
        messages = receive(receiver, 40)
        assert texts(messages) == expected
        for message in messages:
            receiver.complete_message(message)
    assert bus.messages("orders") == []


def test_a_large_message_takes_several_frames_each_way(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("orders")
    bodies = [bytes([n]) * 200_000 for n in range(3)]
    with client.get_queue_sender("orders") as sender:
        for body in bodies:
            sender.send_messages(ServiceBusMessage(body))
    with leaving(client.get_queue_receiver("orders")) as receiver:
        assert [b"".join(message.body) for message in receiver.peek_messages(3)] == bodies
        assert [b"".join(message.body) for message in receive(receiver, 3)] == bodies


def test_a_message_that_is_too_large_is_refused(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("orders")
    with client.get_queue_sender("orders") as sender:
        with pytest.raises(MessageSizeExceededError):
            sender.send_messages(ServiceBusMessage(b"x" * 1_100_000))
        sender.send_messages(ServiceBusMessage("small"))
    assert [message.body for message in bus.messages("orders")] == [b"small"]


def test_receive_and_delete(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("orders")
    send(client, "orders", "a", "b", "c")
    mode = ServiceBusReceiveMode.RECEIVE_AND_DELETE
    with leaving(client.get_queue_receiver("orders", receive_mode=mode)) as receiver:
        messages = receive(receiver, 2)
    assert texts(messages) == ["a", "b"]
    assert messages[0].lock_token is None
    assert [message.body for message in bus.messages("orders")] == [b"c"]


def test_prefetch_and_the_iterator(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("orders")
    send(client, "orders", *[str(n) for n in range(30)])
    texts: list[str] = []
    with leaving(client.get_queue_receiver("orders", prefetch_count=10, max_wait_time=0.5)) as receiver:
        for message in receiver:
            receiver.complete_message(message)
            texts.append(str(message))
    assert texts == [str(n) for n in range(30)]
    assert bus.messages("orders") == []


def test_a_closed_receiver_gives_back_what_it_prefetched_without_counting(
    bus: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    bus.add_queue("orders")
    send(client, "orders", *[str(n) for n in range(5)])
    with client.get_queue_receiver("orders", prefetch_count=5) as receiver:
        receiver.complete_message(one(receiver))
    left = bus.messages("orders")
    assert [message.body for message in left] == [b"1", b"2", b"3", b"4"]
    assert [(message.locked, message.delivery_count) for message in left] == [(False, 0)] * 4


def test_settlement(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("orders")
    send(client, "orders", ServiceBusMessage("a", application_properties={"mine": 1}), "b", "c")
    with leaving(client.get_queue_receiver("orders")) as receiver:
        abandoned, dead_lettered, deferred = receive(receiver, 3)
        receiver.abandon_message(abandoned)
        receiver.dead_letter_message(dead_lettered, reason="why", error_description="a longer why")
        receiver.defer_message(deferred)
        again = one(receiver)
        assert (str(again), again.delivery_count) == ("a", 1)
        states = {str(message): message.state.name for message in receiver.peek_messages(10, sequence_number=1)}
        assert states == {"a": "ACTIVE", "c": "DEFERRED"}
    with leaving(client.get_queue_receiver("orders", sub_queue=ServiceBusSubQueue.DEAD_LETTER)) as receiver:
        dead_letter = one(receiver)
        assert str(dead_letter) == "b"
        assert (dead_letter.dead_letter_reason, dead_letter.dead_letter_error_description) == ("why", "a longer why")
        assert dead_letter.dead_letter_source is None
        receiver.complete_message(dead_letter)
    assert bus.messages("orders" + DEAD_LETTER_QUEUE) == []


def test_a_deferred_message_is_received_by_its_number_and_settled(
    bus: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    bus.add_queue("orders", max_delivery_count=3)
    send(client, "orders", "a", "b", "c", "d")
    with leaving(client.get_queue_receiver("orders")) as receiver:
        messages = receive(receiver, 4)
        for message in messages:
            receiver.defer_message(message)
        numbers = [message.sequence_number or 0 for message in messages]
        done, dead_lettered, back, later = receiver.receive_deferred_messages(numbers)
        receiver.complete_message(done)
        receiver.dead_letter_message(dead_lettered, reason="why")
        receiver.abandon_message(back)
        receiver.defer_message(later)
        states = [(message.body, message.state, message.delivery_count) for message in bus.messages("orders")]
        assert states == [(b"c", "deferred", 1), (b"d", "deferred", 0)]
        (back,) = receiver.receive_deferred_messages(numbers[2])
        assert back.delivery_count == 1
        receiver.renew_message_lock(back)
    with leaving(
        client.get_queue_receiver("orders", receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE)
    ) as receiver:
        assert texts(receiver.receive_deferred_messages(numbers[3])) == ["d"]
    (dead_letter,) = bus.messages("orders" + DEAD_LETTER_QUEUE)
    assert (dead_letter.body, dead_letter.properties["DeadLetterReason"]) == (b"b", "why")


def test_a_dead_letter_sent_again_is_received_again(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("orders")
    send(client, "orders", ServiceBusMessage("a", message_id="m-1"))
    with leaving(client.get_queue_receiver("orders")) as receiver, client.get_queue_sender("orders") as sender:
        receiver.dead_letter_message(one(receiver), reason="why")
        with leaving(client.get_queue_receiver("orders", sub_queue=ServiceBusSubQueue.DEAD_LETTER)) as dead_letters:
            dead_letter = one(dead_letters)
            sender.send_messages(ServiceBusMessage(b"".join(dead_letter.body), message_id=dead_letter.message_id))
            dead_letters.complete_message(dead_letter)
        message = one(receiver)
        assert (str(message), message.message_id, message.delivery_count) == ("a", "m-1", 0)
        receiver.complete_message(message)


def test_nothing_at_all_and_texts_of_every_script(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("orders")
    odd = "z\u0000\u00e9\u4e16\U0001f600"
    with client.get_queue_sender("orders") as sender, leaving(client.get_queue_receiver("orders")) as receiver:
        assert receiver.peek_messages(10) == []
        assert receiver.receive_messages(1, max_wait_time=0.2) == []
        sender.send_messages([])
        sender.send_messages(sender.create_message_batch())
        assert bus.messages("orders") == []
        sender.send_messages([ServiceBusMessage(""), ServiceBusMessage(b"")])
        named = {"message_id": odd, "correlation_id": odd, "subject": odd, "partition_key": odd, "to": odd}
        sender.send_messages(ServiceBusMessage(odd, application_properties={odd: odd, "": ""}, **cast("Any", named)))
        sender.send_messages(ServiceBusMessage(bytes(range(256))))
        messages = receive(receiver, 4)
        assert [b"".join(message.body) for message in messages] == [b"", b"", odd.encode(), bytes(range(256))]
        for message in messages[:3]:
            receiver.complete_message(message)
        receiver.dead_letter_message(messages[3], reason=odd, error_description=odd * 500)
    received = messages[2]
    assert [received.message_id, received.correlation_id, received.subject, received.partition_key, received.to] == [
        odd
    ] * 5
    assert received.application_properties == {odd.encode(): odd.encode(), b"": b""}
    (dead_letter,) = bus.messages("orders" + DEAD_LETTER_QUEUE)
    assert dead_letter.properties == {"DeadLetterReason": odd, "DeadLetterErrorDescription": odd * 500}


def test_a_link_knows_the_largest_message(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    """The limit has a name of the SDK's own, and is 0 before the link is open."""
    bus.add_queue("orders")
    link = Link("orders", lambda: client)
    assert link.largest == 0
    link.open().send_messages(ServiceBusMessage("a"))
    assert link.largest == STANDARD.message
    link.close()

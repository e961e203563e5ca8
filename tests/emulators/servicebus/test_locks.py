"""Locks, deliveries and the life of messages, with the real client and a time that is moved."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import AutoLockRenewer, ServiceBusClient, ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.exceptions import MessageLockLostError, MessageNotFoundError, ServiceBusError

from cloudqueues.servicebus import ServiceBusEmulator
from tests.emulators.servicebus.kit import DEAD_LETTER_QUEUE, leaving, one, receive, send, texts


def test_a_lock_ends_and_its_settlement_is_refused(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("orders", lock_duration=30)
    send(client, "orders", "a")
    with leaving(client.get_queue_receiver("orders")) as receiver:
        first = one(receiver)
        bus.advance(29)
        assert bus.messages("orders")[0].locked
        bus.advance(2)
        second = one(receiver)
        assert (first.delivery_count, second.delivery_count) == (0, 1)
        for settle in (receiver.complete_message, receiver.abandon_message, receiver.defer_message):
            with pytest.raises(MessageLockLostError, match="message-lock-lost"):
                settle(first)
            first._settled = False
        with pytest.raises(MessageLockLostError):
            receiver.dead_letter_message(first)
        with pytest.raises(MessageLockLostError):
            receiver.renew_message_lock(first)
        receiver.complete_message(second)
    assert bus.messages("orders") == []


def test_a_renewed_lock_ends_later(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("orders", lock_duration=30)
    send(client, "orders", "a")
    with leaving(client.get_queue_receiver("orders")) as receiver:
        message = one(receiver)
        bus.advance(20)
        until = receiver.renew_message_lock(message)
        assert timedelta(seconds=25) < until - datetime.now(UTC) <= timedelta(seconds=30.01)
        bus.advance(20)
        receiver.complete_message(message)
    assert bus.messages("orders") == []


def test_the_sdks_renewer_keeps_a_lock(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    """The renewer looks once a second, and says nothing when it has renewed."""
    bus.add_queue("orders", lock_duration=5)
    send(client, "orders", "a")
    with (
        AutoLockRenewer(max_lock_renewal_duration=30) as renewer,
        leaving(client.get_queue_receiver("orders")) as receiver,
    ):
        message = one(receiver)
        began = message.locked_until_utc
        renewer.register(receiver, message)
        deadline = time.monotonic() + 20
        while message.locked_until_utc == began and time.monotonic() < deadline:
            time.sleep(0.02)
        bus.advance(1)
        receiver.complete_message(message)
    assert bus.messages("orders") == []


def test_the_last_delivery_makes_a_dead_letter(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("orders", lock_duration=30, max_delivery_count=3)
    send(client, "orders", "a")
    with leaving(client.get_queue_receiver("orders")) as receiver:
        receiver.abandon_message(one(receiver))
        receiver.abandon_message(one(receiver))
        assert one(receiver).delivery_count == 2
        bus.advance(30)
    assert bus.messages("orders") == []
    with leaving(client.get_queue_receiver("orders", sub_queue=ServiceBusSubQueue.DEAD_LETTER)) as receiver:
        for _ in range(5):
            dead_letter = one(receiver)
            assert dead_letter.dead_letter_reason == "MaxDeliveryCountExceeded"
            assert (
                dead_letter.dead_letter_error_description == "Message could not be consumed after 3 delivery attempts."
            )
            assert dead_letter.delivery_count == 3
            receiver.abandon_message(dead_letter)
        with pytest.raises(ServiceBusError, match="dead-letter queue"):
            receiver.dead_letter_message(one(receiver))


def test_a_message_expires(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("kept", dead_letter_expired=True)
    bus.add_queue("dropped", default_ttl=60)
    send(client, "kept", ServiceBusMessage("a", time_to_live=timedelta(seconds=60)), "b")
    send(client, "dropped", ServiceBusMessage("a", time_to_live=timedelta(days=1)), "b")
    bus.advance(50)
    assert [len(bus.messages(name)) for name in ("kept", "dropped")] == [2, 2]
    bus.advance(10)
    assert [message.body for message in bus.messages("kept")] == [b"b"]
    (dead_letter,) = bus.messages("kept" + DEAD_LETTER_QUEUE)
    assert dead_letter.properties["DeadLetterReason"] == "TTLExpiredException"
    assert bus.messages("dropped") == bus.messages("dropped" + DEAD_LETTER_QUEUE) == []
    send(client, "dropped", "c")
    with leaving(client.get_queue_receiver("dropped")) as receiver:
        assert one(receiver).time_to_live == timedelta(seconds=60)


def test_a_locked_message_expires_when_its_lock_ends_and_a_deferred_one_when_asked_for(
    bus: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    bus.add_queue("orders", lock_duration=300, default_ttl=60, dead_letter_expired=True)
    send(client, "orders", "a", "b", "c")
    with leaving(client.get_queue_receiver("orders")) as receiver:
        done, abandoned, deferred = receive(receiver, 3)
        receiver.defer_message(deferred)
        bus.advance(100)
        receiver.complete_message(done)
        receiver.abandon_message(abandoned)
        assert [message.body for message in bus.messages("orders" + DEAD_LETTER_QUEUE)] == [b"b"]
        assert [message.state for message in bus.messages("orders")] == ["deferred"]
        with pytest.raises(MessageNotFoundError):
            receiver.receive_deferred_messages(deferred.sequence_number or 0)
    assert [message.body for message in bus.messages("orders" + DEAD_LETTER_QUEUE)] == [b"b", b"c"]


def test_what_is_not_deferred_is_not_found(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("orders")
    send(client, "orders", "a", "b")
    with leaving(client.get_queue_receiver("orders")) as receiver:
        deferred = one(receiver)
        receiver.defer_message(deferred)
        number = deferred.sequence_number or 0
        with pytest.raises(MessageNotFoundError):
            receiver.receive_deferred_messages([number, number + 1])
        assert texts(receiver.receive_deferred_messages(number)) == ["a"]
        with pytest.raises(MessageNotFoundError):
            receiver.receive_deferred_messages(number)


def test_scheduled_messages_come_when_they_are_due(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("orders")
    now = datetime.now(UTC)
    with client.get_queue_sender("orders") as sender, leaving(client.get_queue_receiver("orders")) as receiver:
        numbers = sender.schedule_messages([ServiceBusMessage("a"), ServiceBusMessage("b")], now + timedelta(minutes=5))
        sender.send_messages(ServiceBusMessage("c", scheduled_enqueue_time_utc=now + timedelta(minutes=1)))
        sender.cancel_scheduled_messages(numbers[0])
        with pytest.raises(MessageNotFoundError):
            sender.cancel_scheduled_messages(numbers[0])
        peeked = receiver.peek_messages(10)
        assert [(str(message), message.state.name) for message in peeked] == [("b", "SCHEDULED"), ("c", "SCHEDULED")]
        bus.advance(60)
        first = one(receiver)
        assert str(first) == "c"
        assert first.scheduled_enqueue_time_utc is not None
        assert abs(first.scheduled_enqueue_time_utc - now - timedelta(minutes=1)) < timedelta(milliseconds=2)
        assert (first.sequence_number or 0) > numbers[1]
        receiver.complete_message(first)
        bus.advance(240)
        assert texts(receive(receiver)) == ["b"]


def test_a_schedule_counts_from_now_whatever_was_skipped(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("orders")
    bus.advance(3600)
    due = datetime.now(UTC) + timedelta(seconds=60)
    send(client, "orders", ServiceBusMessage("a", scheduled_enqueue_time_utc=due))
    assert [message.state for message in bus.messages("orders")] == ["scheduled"]
    bus.advance(60)
    assert [message.state for message in bus.messages("orders")] == ["active"]


def test_a_repeated_id_is_swallowed_within_the_window(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("orders", duplicate_window=60)
    with client.get_queue_sender("orders") as sender:
        for body in ("a", "b"):
            sender.send_messages(ServiceBusMessage(body, message_id="m-1"))
        sender.send_messages([ServiceBusMessage("c", message_id="m-2"), ServiceBusMessage("d", message_id="m-2")])
        bus.advance(61)
        sender.send_messages(ServiceBusMessage("e", message_id="m-1"))
    assert [message.body for message in bus.messages("orders")] == [b"a", b"c", b"e"]

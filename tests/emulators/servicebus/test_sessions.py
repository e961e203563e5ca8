"""Sessions, with the real client."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusClient, ServiceBusMessage, ServiceBusSubQueue
from azure.servicebus.exceptions import (
    MessageLockLostError,
    OperationTimeoutError,
    ServiceBusError,
    SessionCannotBeLockedError,
    SessionLockLostError,
)

from cloudqueues.servicebus import ServiceBusEmulator
from tests.emulators.servicebus.kit import DEAD_LETTER_QUEUE, leaving, one, receive, send, texts


def grouped(*bodies: str) -> list[ServiceBusMessage]:
    """The first letter is the session."""
    return [ServiceBusMessage(body, session_id=body[0]) for body in bodies]


def test_a_session_is_received_in_order_by_one_receiver(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("orders", requires_session=True)
    send(client, "orders", *grouped("a1", "b1", "a2", "b2", "a3"))
    with leaving(client.get_queue_receiver("orders", session_id="a")) as receiver:
        assert receiver.session.session_id == "a"
        messages = receive(receiver, 3)
        assert texts(messages) == ["a1", "a2", "a3"]
        assert {message.session_id for message in messages} == {"a"}
        with (
            pytest.raises(SessionCannotBeLockedError),
            leaving(client.get_queue_receiver("orders", session_id="a")) as other,
        ):
            receive(other)
        with leaving(client.get_queue_receiver("orders", session_id=NEXT_AVAILABLE_SESSION)) as other:
            assert other.session.session_id == "b"
            assert texts(receive(other, 2)) == ["b1", "b2"]
        receiver.complete_message(messages[0])
        receiver.dead_letter_message(messages[1], reason="why")
        receiver.abandon_message(messages[2])
        again = one(receiver)
        assert (str(again), again.delivery_count) == ("a3", 1)
    with leaving(client.get_queue_receiver("orders", sub_queue=ServiceBusSubQueue.DEAD_LETTER)) as dead_letters:
        dead_letter = one(dead_letters)
        assert (str(dead_letter), dead_letter.session_id) == ("a2", "a")


def test_a_closed_session_is_free_and_its_messages_come_back_in_order(
    bus: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    bus.add_queue("orders", requires_session=True)
    send(client, "orders", *grouped("a1", "a2", "a3"))
    with client.get_queue_receiver("orders", session_id="a") as receiver:
        receiver.complete_message(receive(receiver, 2)[0])
    with client.get_queue_receiver("orders", session_id=NEXT_AVAILABLE_SESSION) as receiver:
        messages = receive(receiver, 2)
    assert [(str(message), message.delivery_count) for message in messages] == [("a2", 0), ("a3", 0)]


def test_state_and_renewal(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("orders", requires_session=True, lock_duration=30)
    with client.get_queue_receiver("orders", session_id="a") as receiver:
        session = receiver.session
        assert session.get_state() is None
        session.set_state("remembered")
        assert session.get_state() == b"remembered"
        bus.advance(20)
        until = session.renew_lock()
        assert timedelta(seconds=25) < until - datetime.now(UTC) <= timedelta(seconds=30.01)
        bus.advance(20)
    with client.get_queue_receiver("orders", session_id="a") as receiver:
        assert receiver.session.get_state() == b"remembered"
        for nothing in (None, b""):
            receiver.session.set_state(b"x")
            receiver.session.set_state(nothing)
            assert receiver.session.get_state() is None


def test_a_lost_session_ends_its_receiver(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("orders", requires_session=True, lock_duration=30)
    send(client, "orders", *grouped("a1", "a2"))
    with leaving(client.get_queue_receiver("orders", session_id="a")) as receiver:
        message = one(receiver)
        bus.advance(30)
        with leaving(client.get_queue_receiver("orders", session_id=NEXT_AVAILABLE_SESSION)) as other:
            again = one(other)
            assert (str(again), again.delivery_count) == ("a1", 1)
            with pytest.raises((SessionLockLostError, MessageLockLostError)):
                receiver.complete_message(message)
            other.complete_message(again)
    assert [message.body for message in bus.messages("orders")] == [b"a2"]


def test_management_of_a_lost_session_is_refused(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("orders", requires_session=True, lock_duration=30)
    with leaving(client.get_queue_receiver("orders", session_id="a")) as receiver:
        receiver.session.set_state("x")
        bus.advance(31)
        with pytest.raises(SessionLockLostError, match="session-lock-lost"):
            receiver.session.get_state()


def test_a_receiver_waits_for_the_next_session(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("orders", requires_session=True)
    texts_received: list[str] = []

    def wait() -> None:
        with leaving(
            client.get_queue_receiver("orders", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=20)
        ) as receiver:
            texts_received.extend(texts(receive(receiver)))

    thread = threading.Thread(target=wait)
    thread.start()
    send(client, "orders", *grouped("a1"))
    thread.join(20)
    assert texts_received == ["a1"]


def test_no_session_in_time(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("orders", requires_session=True)
    waiting = client.get_queue_receiver("orders", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=0.5)
    with pytest.raises(OperationTimeoutError), waiting as receiver:
        receive(receiver)


def test_deferred_messages_of_a_session(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("orders", requires_session=True)
    send(client, "orders", *grouped("a1"))
    with leaving(client.get_queue_receiver("orders", session_id="a")) as receiver:
        message = one(receiver)
        receiver.defer_message(message)
        (again,) = receiver.receive_deferred_messages(message.sequence_number or 0)
        assert [str(message) for message in receiver.peek_messages(5, sequence_number=1)] == ["a1"]
        receiver.complete_message(again)
    assert bus.messages("orders") == []


def test_sessions_are_listed(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("orders", requires_session=True)
    began = datetime.now(UTC) - timedelta(seconds=5)
    send(client, "orders", *grouped(*(f"{letter}1" for letter in "badc")))
    with leaving(client.get_queue_receiver("orders", session_id="x")) as receiver:
        receiver.session.set_state("remembered")
    assert sorted(client.list_queue_sessions("orders")) == ["a", "b", "c", "d", "x"]
    assert list(client.list_queue_sessions("orders", state_updated_after=began)) == ["x"]
    assert list(client.list_queue_sessions("orders", state_updated_after=began + timedelta(minutes=1))) == []


def test_sessions_and_entities_have_to_fit(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("grouped", requires_session=True)
    bus.add_queue("plain")
    with client.get_queue_sender("grouped") as sender:
        with pytest.raises(ServiceBusError, match="The SessionId was not set"):
            sender.send_messages(ServiceBusMessage("no session"))
        with pytest.raises(ServiceBusError, match="The SessionId was not set"):
            sender.send_messages([*grouped("a1"), ServiceBusMessage("no session")])
    assert bus.messages("grouped") == []
    with (
        pytest.raises(ServiceBusError, match="requires sessions"),
        leaving(client.get_queue_receiver("grouped")) as receiver,
    ):
        receive(receiver)
    with (
        pytest.raises(ServiceBusError, match="does not require sessions"),
        leaving(client.get_queue_receiver("plain", session_id="a")) as receiver,
    ):
        receive(receiver)
    assert bus.messages("grouped" + DEAD_LETTER_QUEUE) == []

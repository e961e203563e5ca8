"""Entities that come, change and go while the emulator runs."""

from __future__ import annotations

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from azure.servicebus.exceptions import MessagingEntityNotFoundError, ServiceBusAuthenticationError, ServiceBusError

from cloudqueues.errors import ConfigError
from cloudqueues.servicebus import ServiceBusEmulator


def send(client: ServiceBusClient, to: str, *bodies: str) -> None:
    with client.get_queue_sender(to) as sender:
        sender.send_messages([ServiceBusMessage(body) for body in bodies])


def bodies(bus: ServiceBusEmulator, path: str) -> list[bytes]:
    return [message.body for message in bus.messages(path)]


def test_a_queue_comes_and_goes_with_its_messages(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    """And what is named below it is another queue."""
    for name in ("orders", "orders/late"):
        bus.entities.add("Queue", name, {"LockDuration": "PT5S"})
        send(client, name, "one")
    bus.entities.remove("Orders")
    bus.entities.remove("orders")
    assert bus.entities.settings("orders") is None
    assert bodies(bus, "orders/late") == [b"one"]
    with pytest.raises(ServiceBusAuthenticationError):
        send(client, "orders", "two")
    with pytest.raises(ConfigError, match="could not be found"):
        bus.messages("orders/$DeadLetterQueue")
    bus.entities.add("Queue", "orders", {})
    assert bodies(bus, "orders") == []


def test_who_is_connected_hears_of_the_end(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    """Sender and receiver; those that come later find the queue that is there then."""
    bus.entities.add("Queue", "orders", {})
    with client.get_queue_sender("orders") as sender, client.get_queue_receiver("orders") as receiver:
        sender.send_messages(ServiceBusMessage("one"))
        assert receiver.peek_messages()
        assert receiver.receive_messages()
        bus.entities.remove("orders")
        with pytest.raises(ServiceBusError):  # the client forgets why its link was cut
            sender.send_messages(ServiceBusMessage("two"))
        with pytest.raises(MessagingEntityNotFoundError):
            receiver.receive_messages(max_wait_time=30)
        with pytest.raises(ServiceBusAuthenticationError):
            receiver.peek_messages()
    bus.entities.add("Queue", "orders", {})
    send(client, "orders", "three")
    assert bodies(bus, "orders") == [b"three"]


def test_a_change_is_of_all_settings(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    """Also of where dead letters go; and what is in the queue stays."""
    bus.entities.add("Queue", "dead-letters", {})
    bus.entities.add("Queue", "orders", {"MaxDeliveryCount": 7})
    send(client, "orders", "one")
    bus.entities.change("Queue", "orders", {"LockDuration": "PT5S", "ForwardDeadLetteredMessagesTo": "dead-letters"})
    settings = bus.entities.settings("orders")
    assert settings is not None
    assert (settings.lock_duration, settings.max_delivery_count) == (5, 10)
    with client.get_queue_receiver("orders") as receiver:
        (message,) = receiver.receive_messages()
        receiver.dead_letter_message(message)
    assert bodies(bus, "dead-letters") == [b"one"]
    with pytest.raises(ConfigError, match="could not be found"):
        bus.entities.change("Queue", "bills", {})


def test_a_topic_takes_its_subscriptions_along(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    """A subscription that is gone gets nothing, and the others do."""
    bus.entities.add("Topic", "events", {"DefaultMessageTimeToLive": "PT1H"})
    for name in ("bills", "mail"):
        bus.entities.add("Subscription", f"events/Subscriptions/{name}", {"MaxDeliveryCount": 3})
    bus.entities.remove("events/subscriptions/mail")
    with client.get_topic_sender("events") as sender:
        sender.send_messages(ServiceBusMessage("one"))
    assert bodies(bus, "events/Subscriptions/bills") == [b"one"]
    bus.entities.remove("events")
    assert [bus.entities.settings(path) for path in ("events", "events/Subscriptions/bills")] == [None, None]


@pytest.mark.parametrize(
    ("kind", "properties", "said"),
    [
        ("Queue", {"LockDuration": "PT6M"}, r"Properties\.LockDuration: PT6M is 360 seconds"),
        ("Topic", {"LockDuration": "PT5S"}, "unknown key 'LockDuration'"),
        ("Subscription", {"RequiresDuplicateDetection": True}, "unknown key 'RequiresDuplicateDetection'"),
    ],
)
def test_what_is_wrong_is_said(bus: ServiceBusEmulator, kind: str, properties: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        bus.entities.add(kind, "one", properties)

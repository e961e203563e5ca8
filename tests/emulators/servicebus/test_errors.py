"""The real service's error conditions, as the real client meets them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from azure.servicebus.exceptions import MessagingEntityNotFoundError, ServiceBusAuthenticationError, ServiceBusError

from cloudqueues.servicebus import ServiceBusEmulator
from tests.emulators.servicebus.kit import receive


def use_sender(client: ServiceBusClient) -> None:
    with client.get_queue_sender("nowhere") as sender:
        sender.send_messages(ServiceBusMessage("a"))


def use_receiver(client: ServiceBusClient) -> None:
    with client.get_queue_receiver("nowhere") as receiver:
        receive(receiver)


def use_subscription(client: ServiceBusClient) -> None:
    with client.get_subscription_receiver("events", "nowhere") as receiver:
        receive(receiver)


@pytest.mark.parametrize("use", [use_sender, use_receiver, use_subscription])
def test_an_unknown_entity_is_not_found(
    bus: ServiceBusEmulator, client: ServiceBusClient, use: Callable[[ServiceBusClient], None]
) -> None:
    """The answer to its token is 404, which this client takes for a matter of the token, as the SDK's own tests want."""
    bus.add_topic("events")
    with pytest.raises(ServiceBusAuthenticationError):
        use(client)


def test_what_cannot_be_received_from(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_topic("events")
    bus.add_queue("last")
    bus.add_queue("first", forward_to="last")
    with pytest.raises(ServiceBusError, match="is a topic"), client.get_queue_receiver("events") as receiver:
        receive(receiver)
    with pytest.raises(ServiceBusError, match="forwards its messages"), client.get_queue_receiver("first") as receiver:
        receive(receiver)


def test_what_cannot_be_sent_to(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("orders")
    sender = client.get_queue_sender("orders/$DeadLetterQueue")
    with pytest.raises(MessagingEntityNotFoundError, match="cannot be sent to"), sender:
        sender.send_messages(ServiceBusMessage("a"))

"""Limits on messages: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusClient, ServiceBusMessage
from azure.servicebus.exceptions import MessageSizeExceededError, ServiceBusError

from cloudqueues.errors import ConfigError
from cloudqueues.servicebus import ServiceBusEmulator
from cloudqueues.servicebus.tiers import LARGEST_HEADER, LARGEST_PROPERTY, LONGEST_ID, PREMIUM, STANDARD
from tests.emulators.servicebus.kit import last, leaving, send

ENVELOPE = 1024
"""More bytes than the sections of a message take beside what they hold."""


@pytest.fixture
def bus(bus: ServiceBusEmulator) -> ServiceBusEmulator:
    bus.add_queue("orders")
    return bus


@pytest.fixture
def premium() -> Iterator[ServiceBusEmulator]:
    emulator = ServiceBusEmulator(tier="premium").start()
    emulator.add_queue("orders")
    yield emulator
    last(emulator.stop)


def message(size: int) -> ServiceBusMessage:
    return ServiceBusMessage(b"x" * size)


def test_a_standard_message_has_256_kib(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    send(client, "orders", message(STANDARD.message - ENVELOPE))
    with pytest.raises(MessageSizeExceededError):
        send(client, "orders", message(STANDARD.message))
    assert len(bus.messages("orders")) == 1


def test_a_premium_message_has_more_but_not_in_a_batch(premium: ServiceBusEmulator) -> None:
    with (
        ServiceBusClient.from_connection_string(premium.connection_string, retry_total=0) as client,
        client.get_queue_sender("orders") as sender,
    ):
        assert sender.create_message_batch().max_size_in_bytes == PREMIUM.batch
        sender.send_messages(message(2 * PREMIUM.batch))
        batch = sender.create_message_batch(max_size_in_bytes=PREMIUM.batch)
        batch._max_size_in_bytes = 2 * PREMIUM.batch  # the client would not let us
        batch.add_message(message(PREMIUM.batch))
        with pytest.raises(MessageSizeExceededError, match=f"{PREMIUM.batch} are allowed"):
            sender.send_messages(batch)
    assert [len(message.body) for message in premium.messages("orders")] == [2 * PREMIUM.batch]


@pytest.mark.parametrize("field", ["message_id", "session_id", "partition_key"])
def test_an_id_has_128_characters(bus: ServiceBusEmulator, client: ServiceBusClient, field: str) -> None:
    """The client refuses longer ones itself, where they are set, and the service in what others send."""
    fits, long = ServiceBusMessage("a"), ServiceBusMessage("b")
    name = {"message_id": "message_id", "session_id": "group_id"}.get(field)
    for message, size in ((fits, LONGEST_ID), (long, LONGEST_ID + 1)):
        if name is None:
            message.raw_amqp_message.annotations = {b"x-opt-partition-key": "é" * size}
        else:
            setattr(message.raw_amqp_message.properties, name, "é" * size)
    send(client, "orders", fits)
    with pytest.raises(ServiceBusError, match="129 characters, and 128 are allowed"):
        send(client, "orders", long)
    assert [stored.body for stored in bus.messages("orders")] == [b"a"]


@pytest.mark.parametrize("value", ["x", b"x", "é"], ids=["text", "bytes", "two bytes each"])
def test_a_property_has_32_kib(bus: ServiceBusEmulator, client: ServiceBusClient, value: str | bytes) -> None:
    count = LARGEST_PROPERTY // len(value.encode() if isinstance(value, str) else value)
    send(client, "orders", ServiceBusMessage("a", application_properties={"p": value * count}))
    with pytest.raises(ServiceBusError, match="The property 'p' has") as raised:
        send(client, "orders", ServiceBusMessage("b", application_properties={"p": value * (count + 1)}))
    assert "unable to process the request" in str(raised.value)
    assert [message.body for message in bus.messages("orders")] == [b"a"]


def test_all_properties_have_64_kib(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    def properties(size: int) -> dict[str | bytes, object]:
        return dict.fromkeys("abcd", "x" * (size // 4))

    send(client, "orders", ServiceBusMessage("a", application_properties=properties(LARGEST_HEADER - ENVELOPE)))
    with pytest.raises(MessageSizeExceededError, match=r"size quota for this stream \(65536\)"):
        send(client, "orders", ServiceBusMessage("b", application_properties=properties(LARGEST_HEADER)))
    assert [message.body for message in bus.messages("orders")] == [b"a"]


def test_what_is_scheduled_has_no_more(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    due = datetime.now(UTC) + timedelta(hours=1)
    long = ServiceBusMessage("a", application_properties={"p": "x" * (LARGEST_PROPERTY + 1)})
    with client.get_queue_sender("orders") as sender, pytest.raises(ServiceBusError, match="The property 'p' has"):
        sender.schedule_messages(long, due)
    assert bus.messages("orders") == []


def test_a_session_remembers_no_more_than_a_message(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("grouped", requires_session=True)
    send(client, "grouped", ServiceBusMessage("a", session_id="s"))
    state = b"x" * (STANDARD.message - ENVELOPE)
    with client.get_queue_receiver("grouped", session_id=NEXT_AVAILABLE_SESSION) as receiver:
        receiver.session.set_state(state)
        with pytest.raises(MessageSizeExceededError):
            receiver.session.set_state(b"x" * 300_000)
    with leaving(client.get_queue_receiver("grouped", session_id="s")) as receiver:
        assert receiver.session.get_state() == state


def test_an_unknown_tier() -> None:
    with pytest.raises(ConfigError, match="tier='basic' is not one of standard, premium"):
        ServiceBusEmulator(tier="basic")  # type: ignore[arg-type] # that is what it is about

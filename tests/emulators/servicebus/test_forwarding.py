"""From one entity to the next, and what stays behind."""

from __future__ import annotations

from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusSubQueue

from cloudqueues.servicebus import ServiceBusEmulator
from tests.emulators.servicebus.kit import DEAD_LETTER_QUEUE, leaving, one, send

TRANSFER = "/$Transfer/$DeadLetterQueue"


def test_messages_and_dead_letters_are_forwarded(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("first", forward_to="second")
    bus.add_queue("second", forward_dead_lettered_to="dead-letters")
    bus.add_queue("dead-letters")
    send(client, "first", "skipped", "a")
    assert bus.messages("first") == []
    with leaving(client.get_queue_receiver("second")) as receiver:
        receiver.complete_message(one(receiver))
        message = one(receiver)
        assert (str(message), message.sequence_number, message.enqueued_sequence_number) == ("a", 2, 2)
        receiver.dead_letter_message(message, reason="why")
    assert bus.messages("second" + DEAD_LETTER_QUEUE) == []
    with leaving(client.get_queue_receiver("dead-letters")) as receiver:
        dead_letter = one(receiver)
    assert (str(dead_letter), dead_letter.dead_letter_source, dead_letter.delivery_count) == ("a", "second", 0)
    assert dead_letter.dead_letter_reason == "why"


def test_a_message_that_cannot_go_on_is_in_the_transfer_dead_letter_queue(
    bus: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    bus.add_queue("astray", forward_to="nowhere")
    bus.add_queue("ungrouped", forward_to="grouped")
    bus.add_queue("grouped", requires_session=True)
    bus.add_queue("round", forward_to="about")
    bus.add_queue("about", forward_to="round")
    for name in ("astray", "ungrouped", "round"):
        send(client, name, name)
    reasons = {name: bus.messages(name + TRANSFER) for name in ("astray", "ungrouped", "round")}
    assert {
        name: [message.properties["DeadLetterReason"] for message in messages] for name, messages in reasons.items()
    } == {
        "astray": ["amqp:not-found"],
        "ungrouped": ["amqp:not-allowed"],
        "round": ["MaxTransferHopCountExceeded"],
    }
    transfer = ServiceBusSubQueue.TRANSFER_DEAD_LETTER
    with leaving(client.get_queue_receiver("astray", sub_queue=transfer)) as receiver:
        receiver.complete_message(one(receiver))
    assert bus.messages("astray" + TRANSFER) == []


def test_a_forwarded_message_is_looked_for_among_the_ids_of_its_target(
    bus: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    bus.add_queue("first", forward_to="second")
    bus.add_queue("second", duplicate_window=60)
    send(client, "first", *[ServiceBusMessage(body, message_id="m-1") for body in "ab"])
    assert [message.body for message in bus.messages("second")] == [b"a"]

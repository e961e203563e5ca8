"""Topics and their subscriptions, with the real client."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusSubQueue

from peeklock.emulators.servicebus import Rule, ServiceBusEmulator, encode, frames
from peeklock.emulators.servicebus.rulebook import View
from tests.emulators.servicebus.kit import LETTERS, one
from tests.emulators.servicebus.peer import Peer, body, transfer_frame


def publish(bus: ServiceBusEmulator, *payloads: bytes) -> None:
    with Peer(bus.port).open().begin().sender("events") as peer:
        for number, payload in enumerate(payloads):
            peer.say(transfer_frame(number, payload))
            assert peer.expect(frames.DISPOSITION)[4].descriptor == frames.ACCEPTED


def bodies(bus: ServiceBusEmulator, subscription: str) -> list[bytes]:
    return [message.body for message in bus.messages(f"events/Subscriptions/{subscription}")]


def big(seen: View) -> bool:
    size = seen.properties.get("size")
    return isinstance(size, int) and size > 10


def label(seen: View) -> View:
    return replace(seen, system={**seen.system, "Label": "big"}, properties={**seen.properties, "seen": True})


def sized(size: int) -> bytes:
    properties = encode.described(0x73, encode.list_([encode.string(f"m-{size}")]))
    application = encode.described(0x74, encode.map_([(encode.string("size"), encode.uint(size))]))
    return properties + application + body(b"%d" % size)


def test_every_subscription_gets_its_own_copy(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_topic("events")
    bus.add_subscription("events", "first")
    bus.add_subscription("events", "second", max_delivery_count=1)
    with client.get_topic_sender("events") as sender:
        sender.send_messages([ServiceBusMessage(text, message_id=text) for text in "ab"])
    with client.get_subscription_receiver("events", "first") as receiver:
        receiver.complete_message(one(receiver))
    with client.get_subscription_receiver("events", "second") as receiver:
        receiver.abandon_message(one(receiver))
    dead = ServiceBusSubQueue.DEAD_LETTER
    with client.get_subscription_receiver("events", "second", sub_queue=dead) as receiver:
        letter = one(receiver)
        assert (letter.message_id, letter.dead_letter_reason) == ("a", "MaxDeliveryCountExceeded")
    assert bodies(bus, "first") == bodies(bus, "second") == [b"b"]


def test_rules_choose_and_their_actions_change_a_copy_of_their_own(
    bus: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    bus.add_topic("events")
    bus.add_subscription("events", "none", rules=())
    bus.add_subscription("events", "big", rules=[Rule(name="big", matches=big), Rule(name="again", matches=big)])
    marked = [Rule(name="all", matches=lambda _: True), Rule(name="big", matches=big, action=label)]
    bus.add_subscription("events", "marked", rules=marked)
    publish(bus, sized(5), sized(50))
    assert bodies(bus, "none") == []
    assert bodies(bus, "big") == [b"50"]
    found = bus.messages("events/Subscriptions/marked")
    assert [(message.body, dict(message.properties)) for message in found] == [
        (b"5", {"size": 5}),
        (b"50", {"size": 50, "seen": True}),
        (b"50", {"size": 50}),
    ]
    with client.get_subscription_receiver("events", "marked") as receiver:
        assert [one(receiver).subject for _ in range(3)] == [None, "big", None]


def test_a_topic_schedules_and_looks_for_repeated_ids(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_topic("events", duplicate_window=60, default_ttl=600)
    bus.add_subscription("events", "all", dead_letter_expired=True)
    with client.get_topic_sender("events") as sender:
        due = datetime.now(UTC) + timedelta(seconds=100)
        first, second = sender.schedule_messages([ServiceBusMessage("a"), ServiceBusMessage("b")], due)
        assert (first, second) == (1, 2)
        sender.cancel_scheduled_messages(first)
    publish(bus, sized(1), sized(1))
    assert bodies(bus, "all") == [b"1"]
    bus.advance(100)
    assert bodies(bus, "all") == [b"1", b"b"]
    bus.advance(500)
    assert bodies(bus, "all") == [b"b"]
    assert bodies(bus, "all" + LETTERS) == [b"1"]


def test_a_subscription_forwards_and_one_with_sessions_wants_an_id(bus: ServiceBusEmulator) -> None:
    bus.add_topic("events")
    bus.add_queue("orders")
    bus.add_subscription("events", "forwarding", forward_to="orders")
    bus.add_subscription("events", "grouped", requires_session=True)
    publish(bus, body(b"a"))
    assert [message.body for message in bus.messages("orders")] == [b"a"]
    (letter,) = bus.messages("events/Subscriptions/grouped" + LETTERS)
    assert letter.properties["DeadLetterReason"] == "Session ID is null."


def test_an_action_may_give_a_session(bus: ServiceBusEmulator) -> None:
    def group(seen: View) -> View:
        return View({**seen.system, "SessionId": "s"}, {})

    bus.add_topic("events")
    rule = Rule(name="group", matches=lambda _: True, action=group)
    bus.add_subscription("events", "grouped", requires_session=True, rules=[rule])
    publish(bus, sized(5))
    (message,) = bus.messages("events/Subscriptions/grouped")
    assert (message.session_id, message.message_id, dict(message.properties)) == ("s", "m-5", {})

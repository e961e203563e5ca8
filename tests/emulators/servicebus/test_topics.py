"""Topics and their subscriptions, with the real client."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusSubQueue

from cloudqueues.errors import ConfigError
from cloudqueues.servicebus import FilterError, Rule, ServiceBusEmulator
from cloudqueues.servicebus.amqp import encode, frames
from tests.emulators.servicebus.kit import DEAD_LETTER_QUEUE, leaving, one, receive
from tests.emulators.servicebus.peer import Peer, body, transfer_frame


def publish(bus: ServiceBusEmulator, *payloads: bytes) -> None:
    with Peer(bus.port).open().begin().sender("events") as peer:
        for number, payload in enumerate(payloads):
            peer.say(transfer_frame(number, payload))
            assert peer.expect(frames.DISPOSITION)[4].descriptor == frames.ACCEPTED


def bodies(bus: ServiceBusEmulator, subscription: str) -> list[bytes]:
    return [message.body for message in bus.messages(f"events/Subscriptions/{subscription}")]


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
    with leaving(client.get_subscription_receiver("events", "first")) as receiver:
        receiver.complete_message(one(receiver))
    with leaving(client.get_subscription_receiver("events", "second")) as receiver:
        receiver.abandon_message(one(receiver))
    dead = ServiceBusSubQueue.DEAD_LETTER
    with leaving(client.get_subscription_receiver("events", "second", sub_queue=dead)) as receiver:
        dead_letter = one(receiver)
        assert (dead_letter.message_id, dead_letter.dead_letter_reason) == ("a", "MaxDeliveryCountExceeded")
    assert bodies(bus, "first") == bodies(bus, "second") == [b"b"]


def test_rules_choose_and_their_actions_change_a_copy_of_their_own(
    bus: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    bus.add_topic("events")
    bus.add_subscription("events", "none", rules=())
    big = "size > 10"
    bus.add_subscription("events", "big", rules=[Rule.sql(big), Rule.sql(big, name="again")])
    label = "SET sys.Label = 'big'; SET seen = TRUE"
    marked = [
        Rule.sql("1=1"),
        Rule.sql(big, name="large", action=label),
        Rule.sql(big, name="less", action="REMOVE size"),
    ]
    bus.add_subscription("events", "marked", rules=marked)
    publish(bus, sized(5), sized(50))
    assert bodies(bus, "none") == []
    assert bodies(bus, "big") == [b"50"]
    messages = bus.messages("events/Subscriptions/marked")
    assert [(message.body, dict(message.properties)) for message in messages] == [
        (b"5", {"size": 5}),
        (b"50", {"size": 50}),
        (b"50", {"size": 50, "seen": True, "RuleName": "large"}),
        (b"50", {"RuleName": "less"}),
    ]
    with leaving(client.get_subscription_receiver("events", "marked")) as receiver:
        assert [message.subject for message in receive(receiver, 4)] == [None, None, "big", None]


def test_a_correlation_filter_wants_all_that_it_names(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    every: dict[str, Any] = {
        "correlation_id": "c", "message_id": "m", "to": "t", "reply_to": "r", "session_id": "s",
        "reply_to_session_id": "rs", "content_type": "ct",
    }  # fmt: skip
    bus.add_topic("events")
    rules = [
        Rule.correlation(label="created", properties={"country": "pt"}),
        Rule.correlation(name="number", properties={"n": 1}),
        Rule.correlation(name="every", **every),
    ]
    bus.add_subscription("events", "some", rules=rules)
    with client.get_topic_sender("events") as sender:
        sent: list[tuple[str, str | None, dict[str | bytes, Any]]] = [
            ("a", "created", {"country": "pt", "more": 1}),
            ("b", "created", {"country": "es"}),
            ("c", None, {"country": "pt"}),
            ("d", "Created", {"country": "pt"}),
            ("e", None, {"n": True}),
            ("f", None, {"n": 1}),
            ("g", None, {"n": "1"}),
        ]
        for text, subject, properties in sent:
            sender.send_messages(ServiceBusMessage(text, subject=subject, application_properties=properties))
        sender.send_messages(ServiceBusMessage("h", **every))
        for field in every:
            sender.send_messages(ServiceBusMessage("i", **{**every, field: "other"}))
    assert bodies(bus, "some") == [b"a", b"f", b"h"]


def test_a_rule_sees_the_fields_that_the_service_sets(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_topic("events")
    bus.advance(3600)
    now = datetime.now(UTC)
    recent = {"from": now - timedelta(minutes=1), "to": now + timedelta(minutes=1)}
    sql = (
        "sys.SequenceNumber = 1 AND sys.DeliveryCount = 0 AND sys.EnqueuedTimeUtc > @from AND sys.EnqueuedTimeUtc < @to"
    )
    bus.add_subscription("events", "some", rules=[Rule.sql(sql + " AND sys.PartitionKey = 'p'", parameters=recent)])
    with client.get_topic_sender("events") as sender:
        sender.send_messages([ServiceBusMessage(body, partition_key="p") for body in "ab"])
    assert bodies(bus, "some") == [b"a"]


def test_a_message_that_a_rule_cannot_be_applied_to_is_a_dead_letter(
    bus: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    bus.add_topic("events")
    rules = [Rule.sql("size > 'ten'"), Rule.sql("1=1", name="all"), Rule.sql("1=1", name="odd", action="SET a = -size")]
    bus.add_subscription("events", "kept", rules=rules)
    bus.add_subscription("events", "dropped", rules=rules[:1], dead_letter_filter_errors=False)
    with client.get_topic_sender("events") as sender:
        sender.send_messages(ServiceBusMessage("a", application_properties={"size": 11}))
        sender.send_messages(ServiceBusMessage("b", application_properties={"size": "x"}))
    assert bodies(bus, "kept") == [b"a", b"a", b"b"]
    assert bodies(bus, "dropped") == bodies(bus, "dropped" + DEAD_LETTER_QUEUE) == []
    dead = ServiceBusSubQueue.DEAD_LETTER
    with leaving(client.get_subscription_receiver("events", "kept", sub_queue=dead)) as receiver:
        first, second = receive(receiver, 2)
    assert first.dead_letter_error_description == "a number and a text cannot be compared with >"
    assert second.dead_letter_error_description == "a text and a text cannot be compared with >"
    assert first.dead_letter_reason == "FilterEvaluationException"


def test_what_is_no_rule_is_said_at_once(bus: ServiceBusEmulator) -> None:
    bus.add_topic("events")
    with pytest.raises(FilterError, match="character 7"):
        Rule.sql("size >")
    with pytest.raises(FilterError, match="character 1"):
        Rule.correlation(label="a", action="DROP")
    with pytest.raises(ConfigError, match="object is not an AMQP type"):
        Rule.correlation(properties={"a": object()})
    unspeakable: list[Callable[[], Rule]] = [
        lambda: Rule.correlation(properties={"a": 2**64}),
        lambda: Rule.correlation(label="\ud800"),
        lambda: Rule.sql("1=1", name="\ud800"),
    ]
    for rule in unspeakable:
        with pytest.raises(ConfigError, match="AMQP cannot encode"):
            rule()
    with pytest.raises(ConfigError, match="the name '' of a rule is not valid"):
        Rule.sql("1=1", name="")
    with pytest.raises(ConfigError, match=r"two rules .* '\$Default'"):
        bus.add_subscription("events", "twice", rules=[Rule.sql("1=1"), Rule.sql("1=0")])


def test_values_that_only_pass_by_keep_their_bytes(bus: ServiceBusEmulator) -> None:
    """Types that no filter can name: a UUID as an id, a number beyond a long, a list."""
    bus.add_topic("events")
    bus.add_subscription("events", "all", rules=[Rule.sql("1=1", action="SET copy = big; SET sys.To = 'there'")])
    properties = encode.described(0x73, encode.list_([encode.uuid_(uuid.UUID(int=5))]))
    odd = encode.list_([encode.uint(1)])
    pairs = [(encode.string("big"), encode.ulong(2**64 - 1)), (encode.string("odd"), odd)]
    publish(bus, properties + encode.described(0x74, encode.map_(pairs)) + body(b"a"))
    (message,) = bus.messages("events/Subscriptions/all")
    assert message.message_id == str(uuid.UUID(int=5))
    assert message.properties == {"big": 2**64 - 1, "odd": [1], "copy": 2**64 - 1, "RuleName": "$Default"}


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
    assert bodies(bus, "all" + DEAD_LETTER_QUEUE) == [b"1"]


def test_a_subscription_forwards_and_one_with_sessions_wants_an_id(bus: ServiceBusEmulator) -> None:
    bus.add_topic("events")
    bus.add_queue("orders")
    bus.add_subscription("events", "forwarding", forward_to="orders")
    bus.add_subscription("events", "grouped", requires_session=True)
    publish(bus, body(b"a"))
    assert [message.body for message in bus.messages("orders")] == [b"a"]
    (dead_letter,) = bus.messages("events/Subscriptions/grouped" + DEAD_LETTER_QUEUE)
    assert dead_letter.properties["DeadLetterReason"] == "Session ID is null."


def test_an_action_may_give_a_session(bus: ServiceBusEmulator) -> None:
    bus.add_topic("events")
    rules = [Rule.sql("1=1", action="SET sys.SessionId = 's'; REMOVE size")]
    bus.add_subscription("events", "grouped", requires_session=True, rules=rules)
    publish(bus, sized(5))
    (message,) = bus.messages("events/Subscriptions/grouped")
    assert (message.session_id, message.message_id, dict(message.properties)) == ("s", "m-5", {"RuleName": "$Default"})


def test_an_action_changes_the_id_that_repeated_messages_are_known_by(bus: ServiceBusEmulator) -> None:
    """Where they are forwarded to; in the subscription itself nothing is looked for, and the last id cannot be removed."""
    bus.add_topic("events")
    bus.add_queue("orders", duplicate_window=60)
    same = Rule.sql("1=1", action="SET sys.MessageId = 'same'")
    bus.add_subscription("events", "forwarding", forward_to="orders", rules=[same])
    bus.add_subscription("events", "kept", rules=[Rule.sql("1=1", action="REMOVE sys.MessageId")])
    publish(bus, sized(5), sized(6))
    assert [(message.body, message.message_id) for message in bus.messages("orders")] == [(b"5", "same")]
    assert [message.message_id for message in bus.messages("events/Subscriptions/kept")] == ["m-5", "m-6"]

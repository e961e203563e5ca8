"""The config.json of Microsoft's emulator: https://learn.microsoft.com/azure/service-bus-messaging/test-locally-with-service-bus-emulator."""

from __future__ import annotations

import json
import math
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from azure.servicebus.exceptions import ServiceBusAuthenticationError

from cloudqueues.errors import ConfigError
from cloudqueues.servicebus import ServiceBusEmulator
from cloudqueues.servicebus.config import settings_of
from cloudqueues.servicebus.config_values import ConfigValue
from tests.emulators.servicebus.kit import DEAD_LETTER_QUEUE, closed, one, send

SAMPLE = Path(__file__).parent / "config.json"


def queue(**properties: Any) -> dict[str, Any]:
    return {"UserConfig": {"Namespaces": [{"Queues": [{"Name": "q", "Properties": properties}]}]}}


def rule(**properties: Any) -> dict[str, Any]:
    subscription = {"Name": "s", "Rules": [{"Name": "r", "Properties": properties}]}
    return {"UserConfig": {"Namespaces": [{"Topics": [{"Name": "t", "Subscriptions": [subscription]}]}]}}


@pytest.mark.parametrize(("required", "window"), [({"RequiresDuplicateDetection": True}, 30.0), ({}, 0.0)])
def test_a_window_alone_detects_no_duplicates(required: dict[str, Any], window: float) -> None:
    properties = {"DuplicateDetectionHistoryTimeWindow": "PT30S", **required}
    assert settings_of("Queue", properties).duplicate_window == window


def test_the_entities_of_a_file_do_what_it_says() -> None:
    with (
        ServiceBusEmulator(config=SAMPLE) as bus,
        ServiceBusClient.from_connection_string(bus.connection_string, retry_total=0) as client,
    ):
        send(client, "orders", *[ServiceBusMessage(body, message_id="same") for body in "ab"])
        with client.get_queue_receiver("orders") as receiver:
            for _ in range(3):
                receiver.abandon_message(one(receiver))
        assert bus.messages("orders") == bus.messages("orders" + DEAD_LETTER_QUEUE) == []
        assert [message.body for message in bus.messages("failed")] == [b"a"]
        send(client, "grouped", ServiceBusMessage("c", session_id="s"))
        bus.advance(3600)
        assert bus.messages("grouped") == []
        assert [message.body for message in bus.messages("grouped" + DEAD_LETTER_QUEUE)] == [b"c"]
        with client.get_topic_sender("events") as sender:
            sent = [
                ServiceBusMessage("d", subject="created", application_properties={"country": "pt", "size": 11}),
                ServiceBusMessage("e", subject="created", application_properties={"country": "es"}),
            ]
            sender.send_messages(sent)
        closed()
        seen = {name: bus.messages(f"events/Subscriptions/{name}") for name in ("everything", "portugal", "large")}
    assert {name: [message.body for message in messages] for name, messages in seen.items()} == {
        "everything": [b"d", b"e"],
        "portugal": [b"d"],
        "large": [b"d"],
    }
    assert seen["large"][0].properties == {"country": "pt", "size": 22, "RuleName": "more than ten"}


def test_a_mapping_will_do_and_entities_can_be_added_to_it() -> None:
    bus = ServiceBusEmulator(config=queue())
    bus.add_queue("other")
    with bus:
        assert bus.messages("q") == bus.messages("other") == []
    nothing: list[dict[str, Any]] = [
        {},
        {"UserConfig": {}},
        {"UserConfig": {"Namespaces": None, "Logging": {"Type": "Console"}}},
    ]
    for empty in nothing:
        with ServiceBusEmulator(config=empty):
            pass


def test_what_a_file_leaves_out_is_as_microsofts_emulator_has_it() -> None:
    with (
        ServiceBusEmulator(config=queue()) as bus,
        ServiceBusClient.from_connection_string(bus.connection_string, retry_total=0) as client,
    ):
        send(client, "q", *[ServiceBusMessage("a", message_id="same") for _ in range(2)])
        with client.get_queue_receiver("q") as receiver:
            message = one(receiver)
            assert message.time_to_live == timedelta(hours=1)
            bus.advance(59)
            assert [each.locked for each in bus.messages("q")] == [True, False]
            bus.advance(2)
            assert [each.locked for each in bus.messages("q")] == [False, False]
            for _ in range(2):
                receiver.abandon_message(one(receiver))
        (dead_letter,) = bus.messages("q" + DEAD_LETTER_QUEUE)
        assert dead_letter.delivery_count == 3
        bus.advance(3600)
        assert bus.messages("q") == []
        with pytest.raises(ServiceBusAuthenticationError):
            send_to(client, "nowhere")
        closed()


def send_to(client: ServiceBusClient, name: str) -> None:
    with client.get_queue_sender(name) as sender:
        sender.send_messages(ServiceBusMessage("a"))


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({"userConfig": {}}, "the configuration: unknown key 'userConfig'; did you mean 'UserConfig'?"),
        ({"UserConfig": []}, "UserConfig: [] is not an object"),
        ({"UserConfig": {"Namespace": []}}, "UserConfig: unknown key 'Namespace'; did you mean 'Namespaces'?"),
        ({"UserConfig": {"Namespaces": {}}}, "UserConfig.Namespaces: {} is not a list"),
        ({"UserConfig": {"Namespaces": [{}, {}]}}, "UserConfig.Namespaces[1]: one emulator is one namespace"),
        (
            queue(LockDurations="PT1M"),
            "Queues[0].Properties: unknown key 'LockDurations'; did you mean 'LockDuration'?",
        ),
        (queue(zzz=1), "unknown key 'zzz'; known keys are LockDuration, MaxDeliveryCount"),
        (queue(LockDuration="1 minute"), "Queues[0].Properties.LockDuration: '1 minute' is not a duration: write P1D"),
        (queue(LockDuration=60), "Properties.LockDuration: 60 is not a string"),
        (
            queue(LockDuration="PT6M"),
            "Properties.LockDuration: PT6M is 360 seconds, which is not between 5 and 300",
        ),
        (queue(LockDuration="PT0S"), "PT0S is 0 seconds"),
        (queue(MaxDeliveryCount=0), "Properties.MaxDeliveryCount: 0 is not between 1 and 2000"),
        (queue(MaxDeliveryCount=True), "Properties.MaxDeliveryCount: True is not a whole number"),
        (queue(MaxDeliveryCount="3"), "Properties.MaxDeliveryCount: '3' is not a whole number"),
        (queue(RequiresSession="yes"), "Properties.RequiresSession: 'yes' is not true or false"),
        (queue(ForwardTo=5), "Properties.ForwardTo: 5 is not a string"),
        (queue(DuplicateDetectionHistoryTimeWindow="PT1S"), "is 1 seconds, which is not between 5 and 604800"),
        ({"UserConfig": {"Namespaces": [{"Queues": [{}]}]}}, "Namespaces[0].Queues[0]: 'Name' is missing"),
        ({"UserConfig": {"Namespaces": [{"Queues": [{"Name": ""}]}]}}, "Queues[0].Name: '' is not a string"),
        (rule(), "Rules[0].Properties: 'CorrelationFilter' is missing"),
        (rule(FilterType="SQL"), "Rules[0].Properties.FilterType: 'SQL' is not one of Sql, Correlation"),
        (rule(FilterType="Sql"), "Rules[0].Properties: 'SqlFilter' is missing"),
        (rule(SqlFilter={"SqlExpression": "size >"}), "Rules[0].Properties: 'size >', character 7: a property"),
        (rule(SqlFilter={"Expression": "1=1"}), "SqlFilter: unknown key 'Expression'; did you mean 'SqlExpression'?"),
        (rule(SqlFilter={}), "Rules[0].Properties.SqlFilter: 'SqlExpression' is missing"),
        (
            rule(CorrelationFilter={"Label": "x"}, Action={"SqlExpression": "DROP"}),
            "Rules[0].Properties: 'DROP', character 1",
        ),
        (
            rule(CorrelationFilter={"Subject": "x"}),
            "CorrelationFilter: unknown key 'Subject'; known keys are CorrelationId",
        ),
        (
            rule(CorrelationFilter={"Properties": {"a": [1]}}),
            "CorrelationFilter.Properties.a: [1] is not a string, number or boolean",
        ),
        (rule(CorrelationFilter={"Properties": {"a": 2**64}}), "Rules[0].Properties: the rule 'r' has a value"),
        (rule(CorrelationFilter={"Properties": 1}), "CorrelationFilter.Properties: 1 is not an object"),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_its_fix(config: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(error)):
        ServiceBusEmulator(config=config)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    with pytest.raises(ConfigError, match=r"config\.json cannot be read"):
        ServiceBusEmulator(config=path)
    path.write_text("{,}")
    with pytest.raises(ConfigError, match=r"config\.json cannot be read as JSON: .* line 1"):
        ServiceBusEmulator(config=path)
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(queue()).encode())  # as editors on Windows write it
    ServiceBusEmulator(config=path)


def test_entities_of_one_name_are_refused_at_the_start() -> None:
    twice = {"UserConfig": {"Namespaces": [{"Queues": [{"Name": "q"}, {"Name": "Q"}]}]}}
    with pytest.raises(ConfigError, match="an entity named 'Q' exists already"):
        ServiceBusEmulator(config=twice).start()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("PT1M", 60),
        ("PT30S", 30),
        ("PT0.5S", 0.5),
        ("P1D", 86_400),
        ("P1DT2H3M4S", 93_784),
        ("PT90M", 5400),
        ("P10675199DT2H48M5.4775807S", math.inf),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert ConfigValue(text, "").seconds() == seconds


@pytest.mark.parametrize("text", ["P", "PT", "P1DT", "1M", "PT1", "P1M", "PT1M1H", "-PT1M", "pt1m", "PT1,5S", ""])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ConfigError):
        ConfigValue(text, "").seconds()

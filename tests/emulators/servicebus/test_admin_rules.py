"""Rules through the SDK's own administration client, and what they do to messages."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from azure.servicebus.management import (
    CorrelationRuleFilter,
    FalseRuleFilter,
    ServiceBusAdministrationClient,
    SqlRuleAction,
    SqlRuleFilter,
    TrueRuleFilter,
)

from cloudqueues.servicebus import Rule, ServiceBusEmulator
from cloudqueues.servicebus.admin import atom, rule_xml

SOME = "t/Subscriptions/s"
MOMENT = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)


@pytest.fixture
def admin(bus: ServiceBusEmulator, admin: ServiceBusAdministrationClient) -> ServiceBusAdministrationClient:
    admin.create_topic("t")
    admin.create_subscription("t", "s")
    return admin


def sent(bus: ServiceBusEmulator, client: ServiceBusClient, *messages: ServiceBusMessage) -> list[bytes]:
    """Send messages to the topic and return the bodies that reached the subscription."""
    with client.get_topic_sender("t") as sender:
        sender.send_messages(list(messages))
    return [message.body for message in bus.messages(SOME)]


def test_a_subscription_begins_with_a_rule_for_all(admin: ServiceBusAdministrationClient) -> None:
    (rule,) = admin.list_rules("t", "s")
    assert (rule.name, type(rule.filter), rule.action) == ("$Default", TrueRuleFilter, None)


def test_a_rule_chooses_from_its_creation_on(
    bus: ServiceBusEmulator, client: ServiceBusClient, admin: ServiceBusAdministrationClient
) -> None:
    admin.delete_rule("t", "s", "$Default")
    assert sent(bus, client, ServiceBusMessage("none")) == []
    admin.create_rule("t", "s", "red", filter=CorrelationRuleFilter(label="red"))
    assert sent(bus, client, ServiceBusMessage("a", subject="red"), ServiceBusMessage("b", subject="blue")) == [b"a"]
    rule = admin.get_rule("t", "s", "red")
    rule.filter = SqlRuleFilter("sys.Label = @c", parameters={"@c": "blue"})
    admin.update_rule("t", "s", rule)
    assert sent(bus, client, ServiceBusMessage("c", subject="red"), ServiceBusMessage("d", subject="blue")) == [
        b"a",
        b"d",
    ]


def test_an_action_changes_by_its_parameters(
    bus: ServiceBusEmulator, client: ServiceBusClient, admin: ServiceBusAdministrationClient
) -> None:
    admin.create_rule("t", "s", "mark", action=SqlRuleAction("SET seen = @seen", parameters={"@seen": "yes"}))
    admin.delete_rule("t", "s", "$Default")
    sent(bus, client, ServiceBusMessage("a"))
    assert bus.messages(SOME)[0].properties == {"seen": "yes", "RuleName": "mark"}
    action = admin.get_rule("t", "s", "mark").action
    assert isinstance(action, SqlRuleAction)
    assert (action.sql_expression, action.parameters) == ("SET seen = @seen", {"@seen": "yes"})


@pytest.mark.parametrize(
    "value",
    [
        "<text> & more",
        "",
        True,
        7,
        -(2**40),
        1.5,
        MOMENT,
        MOMENT.replace(tzinfo=None),
        timedelta(days=1, hours=2, minutes=3, seconds=4.5),
    ],
    ids=repr,
)
def test_a_value_comes_back_as_it_was(admin: ServiceBusAdministrationClient, value: Any) -> None:
    admin.create_rule("t", "s", "r", filter=CorrelationRuleFilter(properties={"key": value}))
    rule_filter = admin.get_rule("t", "s", "r").filter
    assert isinstance(rule_filter, CorrelationRuleFilter)
    assert rule_filter.properties is not None
    came = rule_filter.properties["key"] or ""  # the client makes None of an empty text
    assert (came, type(came)) == (value, type(value))


@pytest.mark.parametrize("value", ["text", True, 7, 1.5, MOMENT], ids=repr)
def test_a_value_matches_a_message_s(
    bus: ServiceBusEmulator, client: ServiceBusClient, admin: ServiceBusAdministrationClient, value: Any
) -> None:
    admin.create_rule("t", "s", "r", filter=CorrelationRuleFilter(properties={"key": value}))
    admin.delete_rule("t", "s", "$Default")
    assert sent(bus, client, ServiceBusMessage("a", application_properties={"key": value})) == [b"a"]


def test_all_fields_of_a_correlation(admin: ServiceBusAdministrationClient) -> None:
    fields = {
        "correlation_id": "1", "message_id": "2", "to": "3", "reply_to": "4", "label": "5", "session_id": "6",
        "reply_to_session_id": "7", "content_type": "8",
    }  # fmt: skip
    admin.create_rule("t", "s", "r", filter=CorrelationRuleFilter(**fields))
    rule_filter = admin.get_rule("t", "s", "r").filter
    assert {name: getattr(rule_filter, name) for name in fields} == fields


@pytest.mark.parametrize("kind", [TrueRuleFilter, FalseRuleFilter])
def test_the_constant_filters(admin: ServiceBusAdministrationClient, kind: type[Any]) -> None:
    admin.create_rule("t", "s", "r", filter=kind())
    assert type(admin.get_rule("t", "s", "r").filter) is kind


def test_rules_of_all_kinds_are_counted_and_listed_by_name(
    bus: ServiceBusEmulator, admin: ServiceBusAdministrationClient
) -> None:
    admin.create_rule("t", "s", "b", filter=CorrelationRuleFilter(label="red"))
    admin.create_rule("t", "s", "a", filter=SqlRuleFilter("n > 1"))
    assert [rule.name for rule in admin.list_rules("t", "s")] == ["$Default", "a", "b"]
    runtime = admin.get_topic_runtime_properties("t")
    assert (runtime.sql_filter_count, runtime.correlation_filter_count) == (2, 1)


def test_a_rule_is_as_old_as_its_creation(bus: ServiceBusEmulator, admin: ServiceBusAdministrationClient) -> None:
    bus.advance(60)
    admin.create_rule("t", "s", "r")
    rule = admin.get_rule("t", "s", "r")
    bus.advance(60)
    admin.update_rule("t", "s", rule)
    first, later = (rule.created_at_utc for rule in admin.list_rules("t", "s"))
    assert timedelta(seconds=59) < later - first < timedelta(seconds=119)
    assert rule.created_at_utc - later > timedelta(seconds=59)  # by the client's clock, which was not moved


def test_rules_that_code_made_are_told(bus: ServiceBusEmulator, admin: ServiceBusAdministrationClient) -> None:
    declared = Rule.sql("n > 1", name="mine", action="SET n = 1")
    bus.add_subscription("t", "other", rules=[declared])
    (rule,) = admin.list_rules("t", "other")
    assert isinstance(rule.filter, SqlRuleFilter)
    assert isinstance(rule.action, SqlRuleAction)
    assert (rule.name, rule.filter.sql_expression, rule.action.sql_expression) == ("mine", "n > 1", "SET n = 1")


def described(filter_and_action: str, name: str = "RuleDescription") -> Any:
    body = f'<entry xmlns="{atom.ATOM}"><content>{atom.described(name, filter_and_action)}</content></entry>'
    return atom.description(body.encode())


def test_a_value_of_a_type_that_only_other_clients_write() -> None:
    value = uuid.UUID(int=7)
    pair = f'<Key>id</Key><Value xmlns:x="x" i:type="x:guid">{value}</Value>'
    properties = f"<Properties><KeyValueOfstringanyType>{pair}</KeyValueOfstringanyType></Properties>"
    rule = rule_xml.read("r", described(f'<Filter i:type="CorrelationFilter">{properties}</Filter>'))
    assert rule.matches.properties == {"id": value}  # type: ignore[union-attr] # a correlation filter
    assert f'i:type="d6p1:guid" xmlns:d6p1="{atom.SCHEMA}">{value}<' in rule_xml.write(rule, 0)


def test_a_subscription_may_begin_with_a_rule_of_its_own() -> None:
    """Create a subscription with a first rule as Go and JavaScript do, for which the Python client has no argument."""
    rule = '<DefaultRuleDescription><Filter i:type="FalseFilter"/><Name>none</Name></DefaultRuleDescription>'
    assert rule_xml.default(described(rule, "SubscriptionDescription")) == Rule.sql("1=0", name="none")
    action = '<DefaultRuleDescription><Action i:type="SqlRuleAction"><SqlExpression>SET a = 1</SqlExpression></Action>'
    unnamed = described(f"{action}</DefaultRuleDescription>", "SubscriptionDescription")
    assert rule_xml.default(unnamed) == Rule.sql("1=1", action="SET a = 1")
    assert rule_xml.default(described("<LockDuration>PT5S</LockDuration>", "SubscriptionDescription")) == Rule.sql(
        "1=1"
    )

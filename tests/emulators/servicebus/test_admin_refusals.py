"""Refusals of the management API, with the service's statuses, sub-codes and texts.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-resource-manager-exceptions
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.servicebus.management import (
    AuthorizationRule,
    CorrelationRuleFilter,
    ServiceBusAdministrationClient,
    SqlRuleAction,
    SqlRuleFilter,
    TrueRuleFilter,
)

from cloudqueues.servicebus import ServiceBusEmulator

Act = Callable[[ServiceBusAdministrationClient], Any]
CHARACTERS = "contains character(s) that is not allowed by Service Bus"
LOCK = "The supplied lock time exceeds the allowed maximum of '5' minutes."
EXCLUSIVE = "Both DelayedPersistence and RequiresDuplicateDetection property cannot be enabled together."
NO_DESTINATION = "SubCode=40400. The auto forwarding destination entity does not exist."


@pytest.fixture
def admin(bus: ServiceBusEmulator, admin: ServiceBusAdministrationClient) -> ServiceBusAdministrationClient:
    bus.add_queue("q")
    bus.add_topic("t")
    bus.add_subscription("t", "s")
    return admin


def refused(admin: ServiceBusAdministrationClient, act: Act) -> tuple[int, str]:
    """The status, and what the body says."""
    with pytest.raises(HttpResponseError) as caught:
        act(admin)
    answer: Any = caught.value.response
    return answer.status_code, ET.fromstring(answer.text()).findtext("Detail", "")


def rule(**values: Any) -> AuthorizationRule:
    return AuthorizationRule(type="SharedAccessAuthorizationRule", **values)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"lock_duration": timedelta(minutes=5, seconds=1)}, LOCK),
        ({"lock_duration": "PT0S"}, "LockDuration is P0D; the minimum is PT5S."),
        ({"lock_duration": "PT4.999S"}, "LockDuration is PT4.999S; the minimum is PT5S."),
        ({"default_message_time_to_live": "PT0S"}, "DefaultMessageTimeToLive is P0D;"),
        ({"auto_delete_on_idle": timedelta(minutes=4)}, "AutoDeleteOnIdle is PT4M; the minimum is PT5M."),
        ({"duplicate_detection_history_time_window": timedelta(seconds=19)}, "the minimum is PT20S."),
        ({"duplicate_detection_history_time_window": timedelta(days=8)}, "the maximum is P7D."),
        ({"max_delivery_count": 0}, "MaxDeliveryCount is '0'"),
        ({"max_delivery_count": 2001}, "MaxDeliveryCount is '2001', not a whole number from 1 to 2000."),
        ({"max_size_in_megabytes": 1025}, "must be one of the following values: 1024;2048;3072;4096;5120."),
        ({"max_message_size_in_kilobytes": 1024}, "'Premium' tier only"),
        ({"user_metadata": "x" * 1025}, "UserMetadata has 1025 characters; the maximum is 1024."),
        ({"status": "Asleep"}, "Status is 'Asleep'; it can be Active, Disabled, SendDisabled, ReceiveDisabled."),
        ({"enable_express": True, "requires_duplicate_detection": True}, EXCLUSIVE),
        ({"forward_to": "nowhere"}, NO_DESTINATION),
        ({"forward_dead_lettered_messages_to": "nowhere"}, NO_DESTINATION),
        ({"forward_to": "t/Subscriptions/s"}, NO_DESTINATION),
        ({"authorization_rules": [rule(key_name="a", rights=["Manage"])]}, "that includes Send and Listen"),
        ({"authorization_rules": [rule(key_name="a", rights=["Fly"])]}, "has the right 'Fly'"),
        ({"authorization_rules": [rule(rights=["Send"])]}, "needs a KeyName"),
        ({"authorization_rules": [rule(key_name="a", rights=["Send"])] * 13}, "at most 12 authorization rules"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_property_that_cannot_be(admin: ServiceBusAdministrationClient, settings: dict[str, Any], words: str) -> None:
    status, text = refused(admin, lambda admin: admin.create_queue("new", **settings))
    assert (status, words in text, "SubCode=40" in text) == (400, True, True), text
    before = dict(admin.get_queue("q"))
    assert refused(admin, lambda admin: admin.update_queue({**before, **settings}))[0] == 400
    assert dict(admin.get_queue("q")) == before
    with pytest.raises(ResourceNotFoundError):
        admin.get_queue("new")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"requires_session": True}, "The value for the RequiresSession property of an existing Queue cannot be"),
        (
            {"requires_duplicate_detection": True},
            "The value for the RequiresDuplicateDetection property of an existing",
        ),
        ({"enable_partitioning": True}, "Partitioning cannot be changed for Queue."),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_is_chosen_once(admin: ServiceBusAdministrationClient, settings: dict[str, Any], words: str) -> None:
    status, text = refused(admin, lambda admin: admin.update_queue(admin.get_queue("q"), **settings))
    assert (status, words in text) == (400, True), text
    queue = admin.create_queue("new", **settings)
    assert refused(admin, lambda admin: admin.update_queue(queue, **dict.fromkeys(settings, False)))[0] == 400
    admin.update_queue(queue, **dict.fromkeys(settings, None))
    assert dict(admin.get_queue("new")).items() >= settings.items()


def test_a_subscription_s_sessions_are_chosen_once(admin: ServiceBusAdministrationClient) -> None:
    subscription = admin.get_subscription("t", "s")
    status, text = refused(admin, lambda admin: admin.update_subscription("t", subscription, requires_session=True))
    assert (status, "RequiresSession property of an existing Subscription" in text) == (400, True)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda admin: admin.create_queue("a b"), CHARACTERS),
        (lambda admin: admin.create_topic("-a"), CHARACTERS),
        (lambda admin: admin.create_queue("a" * 261), "The name has 261 characters; the maximum is 260."),
        (lambda admin: admin.create_queue(""), CHARACTERS),
        (lambda admin: admin.create_subscription("t", "a/b"), CHARACTERS),
        (lambda admin: admin.create_subscription("t", "a" * 51), "the maximum is 50"),
        (lambda admin: admin.create_subscription("t", ""), "The name is empty."),
        (lambda admin: admin.create_rule("t", "s", "a b"), CHARACTERS),
        (lambda admin: admin.create_rule("t", "s", "a" * 51), "the maximum is 50"),
        (lambda admin: admin.create_rule("t", "s", ""), "The name is empty."),
    ],
)
def test_a_name_that_is_none(admin: ServiceBusAdministrationClient, act: Act, words: str) -> None:
    status, text = refused(admin, act)
    assert (status, words in text) == (400, True), text


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda admin: admin.create_queue("q"), "SubCode=40900. Conflict."),
        (lambda admin: admin.create_queue("t"), "SubCode=40900. Conflict."),
        (lambda admin: admin.create_topic("q"), "SubCode=40900. Conflict."),
        (lambda admin: admin.create_subscription("t", "s"), "The messaging entity 't/Subscriptions/s' already exists."),
        (
            lambda admin: admin.create_rule("t", "s", "$Default"),
            "The messaging entity 't/Subscriptions/s/Rules/$Default'",
        ),
    ],
)
def test_a_name_that_is_taken(admin: ServiceBusAdministrationClient, act: Act, words: str) -> None:
    status, text = refused(admin, act)
    assert (status, words in text) == (409, True), text


@pytest.mark.parametrize(
    "act",
    [
        lambda admin: admin.delete_queue("none"),
        lambda admin: admin.delete_subscription("t", "none"),
        lambda admin: admin.delete_subscription("none", "s"),
        lambda admin: admin.delete_rule("t", "s", "none"),
        lambda admin: admin.get_subscription("t", "none"),
        lambda admin: admin.get_rule("t", "s", "none"),
        lambda admin: admin.create_subscription("none", "s"),
        lambda admin: admin.create_subscription("q", "s"),
        lambda admin: admin.create_rule("t", "none", "r"),
        lambda admin: list(admin.list_subscriptions("none")),
        lambda admin: list(admin.list_rules("t", "none")),
        lambda admin: admin.update_queue({**dict(admin.get_queue("q")), "name": "none"}),
        lambda admin: admin.update_rule("t", "s", {**dict(admin.get_rule("t", "s", "$Default")), "name": "none"}),
    ],
)
def test_what_is_not_there(admin: ServiceBusAdministrationClient, act: Act) -> None:
    status, text = refused(admin, act)
    assert (status, text.startswith("Entity '"), "was not found." in text) == (404, True, True), text


def test_a_queue_or_topic_that_is_not_there_is_an_empty_feed(admin: ServiceBusAdministrationClient) -> None:
    with pytest.raises(ResourceNotFoundError) as caught:
        admin.get_queue("none")
    assert caught.value.status_code is None  # the client made it of an answer of 200


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"filter": SqlRuleFilter("a >")}, "'a >', character"),
        ({"filter": SqlRuleFilter("a = @none")}, "@none"),
        ({"filter": SqlRuleFilter("")}, "has no SqlExpression"),
        ({"action": SqlRuleAction("FLY")}, "SET or REMOVE is missing"),
        ({"filter": CorrelationRuleFilter(properties={"n": 2**64})}, "has a value that AMQP cannot encode"),
    ],
)
def test_a_rule_that_is_none(admin: ServiceBusAdministrationClient, settings: dict[str, Any], words: str) -> None:
    status, text = refused(admin, lambda admin: admin.create_rule("t", "s", "r", **settings))
    assert (status, words in text) == (400, True), text
    first = admin.get_rule("t", "s", "$Default")
    first.filter, first.action = settings.get("filter", first.filter), settings.get("action")
    assert refused(admin, lambda admin: admin.update_rule("t", "s", first))[0] == 400
    (left,) = admin.list_rules("t", "s")
    assert (left.name, type(left.filter), left.action) == ("$Default", TrueRuleFilter, None)


def test_a_page_that_is_none(admin: ServiceBusAdministrationClient) -> None:
    status, text = refused(admin, lambda admin: list(admin.list_queues(start_index=-1)))
    assert (status, "$skip is '-1'" in text) == (400, True)


@pytest.mark.parametrize("destination", ["forward_to", "forward_dead_lettered_messages_to"])
def test_a_new_queue_cannot_forward_to_itself(admin: ServiceBusAdministrationClient, destination: str) -> None:
    """The destination has to exist first; an update can name the queue itself, as azure-servicebus' live test does."""
    status, text = refused(admin, lambda admin: admin.create_queue("new", **{destination: "New"}))
    assert (status, NO_DESTINATION in text) == (400, True)
    admin.update_queue(admin.get_queue("q"), **{destination: "q"})
    assert getattr(admin.get_queue("q"), destination).endswith("/q")

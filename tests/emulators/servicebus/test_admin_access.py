"""Keys with fewer rights, and wrong ones, where the emulator is told of policies. The words are the service's."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError, ResourceNotFoundError
from azure.servicebus.management import ServiceBusAdministrationClient

from cloudqueues.servicebus import ServiceBusEmulator
from cloudqueues.servicebus.policies import Policy

READ = "Manage,EntityRead claims required for this operation."
FAILED = "Authorization failed for specified action: "
Act = Callable[[ServiceBusAdministrationClient], Any]


@pytest.fixture(scope="module")
def bus() -> Iterator[ServiceBusEmulator]:
    policies = {"all": Policy("1"), "sender": Policy("2", ("Send",))}
    with ServiceBusEmulator(policies=policies) as emulator:
        emulator.add_queue("q")
        emulator.add_topic("t")
        emulator.add_subscription("t", "s")
        yield emulator


def client(bus: ServiceBusEmulator, connection_string: str) -> ServiceBusAdministrationClient:
    return ServiceBusAdministrationClient.from_connection_string(
        connection_string, connection_verify=str(bus.certificate), retry_total=0
    )


def test_who_may_manage_may_do_all(bus: ServiceBusEmulator) -> None:
    with client(bus, bus.admin_connection_string) as admin:
        admin.create_queue("new")
        admin.delete_queue("new")
        assert admin.get_subscription("t", "s").name == "s"


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda admin: admin.get_queue("q"), READ),
        (lambda admin: list(admin.list_topics()), READ),
        (lambda admin: admin.get_namespace_properties(), READ),
        (lambda admin: admin.create_queue("new"), f"{FAILED}Manage,EntityWrite."),
        (lambda admin: admin.delete_queue("q"), f"{FAILED}Manage,EntityDelete."),
        (lambda admin: admin.get_subscription("t", "none"), "'GetSubscription' operation"),
        (lambda admin: list(admin.list_subscriptions("t")), "'EnumerateSubscriptions' operation"),
        (lambda admin: admin.create_subscription("t", "new"), "'CreateOrUpdateSubscription' operation"),
        (lambda admin: admin.delete_subscription("t", "s"), "'DeleteSubscription' operation"),
        (lambda admin: list(admin.list_rules("t", "s")), "'EnumerateRules' operation"),
        (lambda admin: admin.create_rule("t", "s", "new"), "'CreateOrUpdateRule' operation"),
    ],
)
def test_who_may_only_send_may_do_nothing(bus: ServiceBusEmulator, act: Act, words: str) -> None:
    with (
        client(bus, bus.admin_connection_string_of("sender")) as admin,
        pytest.raises(ClientAuthenticationError) as caught,
    ):
        act(admin)
    answer: Any = caught.value.response
    assert (answer.status_code, words in answer.text()) == (401, True), answer.text()
    assert answer.reason == "Unauthorized" or words in answer.reason  # below a topic the service has it there as well


def test_what_is_not_there_is_told_to_everybody(bus: ServiceBusEmulator) -> None:
    with client(bus, bus.admin_connection_string_of("sender")) as admin, pytest.raises(ResourceNotFoundError):
        admin.get_queue("none")


def test_a_wrong_key(bus: ServiceBusEmulator) -> None:
    wrong = bus.admin_connection_string.replace("SharedAccessKey=1", "SharedAccessKey=0")
    with client(bus, wrong) as admin, pytest.raises(ClientAuthenticationError) as caught:
        admin.get_queue("none")
    answer: Any = caught.value.response
    assert "InvalidSignature" in answer.text()


def test_no_token(bus: ServiceBusEmulator) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", bus.http_port, timeout=10)
    connection.request("GET", "/q")
    answer = connection.getresponse()
    assert (answer.status, b"MissingToken" in answer.read()) == (401, True)
    connection.close()

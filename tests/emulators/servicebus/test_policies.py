"""Keys and rights: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-sas."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Iterator
from urllib.parse import quote_plus

import pytest
from azure.core.credentials import AccessToken
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from azure.servicebus.exceptions import ServiceBusAuthenticationError, ServiceBusAuthorizationError

from cloudqueues.errors import ConfigError
from cloudqueues.servicebus import Policy, ServiceBusEmulator
from cloudqueues.servicebus.errors import Refused
from cloudqueues.servicebus.policies import LISTEN, RIGHTS, SEND, Policies
from tests.emulators.servicebus.kit import last, one

POLICIES = {"all": Policy("a key"), "sends": Policy("another", [SEND]), "listens": Policy("a third", [LISTEN])}
NOW = 1_800_000_000
"""Seconds since 1970."""


@pytest.fixture
def guarded() -> Iterator[ServiceBusEmulator]:
    emulator = ServiceBusEmulator(policies=POLICIES).start()
    emulator.add_queue("orders")
    emulator.add_queue("receipts")
    yield emulator
    last(emulator.stop)


def client(bus: ServiceBusEmulator, policy: str, *, key: str | None = None) -> ServiceBusClient:
    text = bus.connection_string_of(policy)
    text = text if key is None else text.replace(POLICIES[policy].key, key)
    return ServiceBusClient.from_connection_string(text, retry_total=0)


def send(client: ServiceBusClient, queue: str, body: str) -> None:
    """Send a message, and close the sender before its client is closed."""
    with client.get_queue_sender(queue) as sender:
        sender.send_messages(ServiceBusMessage(body))


def test_who_may_do_what(guarded: ServiceBusEmulator) -> None:
    with client(guarded, "all") as both, client(guarded, "sends") as sends, client(guarded, "listens") as listens:
        send(sends, "orders", "a")
        with listens.get_queue_receiver("orders") as receiver:
            message = one(receiver)
            receiver.renew_message_lock(message)  # on the management node
            receiver.complete_message(message)
        with pytest.raises(ServiceBusAuthorizationError, match="'Send' claim"), listens.get_queue_sender("orders"):
            pass
        with pytest.raises(ServiceBusAuthorizationError, match="'Listen' claim"), sends.get_queue_receiver("orders"):
            pass
        send(both, "orders", "c")
        with both.get_queue_receiver("orders") as receiver:
            receiver.complete_message(one(receiver))
    assert guarded.messages("orders") == []
    assert guarded.connection_string == guarded.connection_string_of("all")


def test_a_single_policy_is_checked_too() -> None:
    bus = ServiceBusEmulator(policies={"all": POLICIES["all"]}).start()
    bus.add_queue("orders")
    with client(bus, "all", key="wrong") as wrong, pytest.raises(ServiceBusAuthenticationError):
        send(wrong, "orders", "a")
    with client(bus, "all") as right:
        send(right, "orders", "b")
    assert [message.body for message in bus.messages("orders")] == [b"b"]
    last(bus.stop)


def test_a_token_names_an_entity_in_any_case(guarded: ServiceBusEmulator) -> None:
    with client(guarded, "sends") as sends:
        send(sends, "Orders", "a")
    assert [message.body for message in guarded.messages("orders")] == [b"a"]


def test_a_key_that_is_wrong(guarded: ServiceBusEmulator) -> None:
    with (
        client(guarded, "all", key="wrong") as wrong,
        pytest.raises(ServiceBusAuthenticationError),
        wrong.get_queue_sender("orders"),
    ):
        pass
    text = guarded.connection_string.replace("=all", "=none")
    with (
        ServiceBusClient.from_connection_string(text, retry_total=0) as unknown,
        pytest.raises(ServiceBusAuthenticationError),
        unknown.get_queue_sender("orders"),
    ):
        pass


class Entra:
    """A credential whose tokens nobody here can check."""

    def get_token(self, *_scopes: str, **_options: object) -> AccessToken:
        return AccessToken("a token", int(time.time()) + 3600)


def test_other_tokens_may_do_everything(guarded: ServiceBusEmulator) -> None:
    with ServiceBusClient(f"127.0.0.1:{guarded.port}", Entra(), use_tls=False) as other:
        send(other, "orders", "a")
    with pytest.raises(ConfigError, match="no policy 'none': there are all, sends, listens"):
        guarded.connection_string_of("none")


def test_an_emulator_without_policies_takes_any_key(bus: ServiceBusEmulator) -> None:
    bus.add_queue("orders")
    text = bus.connection_string.replace("SAS_KEY_VALUE", "anything").replace("RootManage", "Nobodys")
    with ServiceBusClient.from_connection_string(text, retry_total=0) as anyone:
        send(anyone, "orders", "a")
    assert len(bus.messages("orders")) == 1


def token(
    policy: str = "all", *, key: str = "a key", resource: str = "sb%3a%2f%2flocalhost%2forders", until: int = NOW
) -> str:
    """Signed by hand, as the documentation has it."""
    digest = hmac.new(key.encode(), f"{resource}\n{until}".encode(), hashlib.sha256).digest()
    signature = quote_plus(base64.b64encode(digest))
    return f"SharedAccessSignature sr={resource}&sig={signature}&se={until}&skn={policy}"


def test_a_token_as_the_documentation_has_it() -> None:
    policies = Policies(POLICIES)
    assert policies.rights(token(), "sb://localhost/orders") == RIGHTS
    assert policies.rights(token(), "amqp://elsewhere/Orders/$management") == RIGHTS
    assert policies.rights(token("sends", key="another"), "sb://localhost/orders") == {SEND}
    assert policies.rights(token(resource="sb%3a%2f%2flocalhost%2f"), "sb://localhost/receipts") == RIGHTS
    assert policies.rights(token(resource="localhost"), "sb://localhost/receipts") == RIGHTS  # as Go's client signs one
    assert policies.rights(token(resource="localhost%2forders"), "sb://localhost/orders") == RIGHTS
    assert policies.rights("eyJ0eXAi", "sb://localhost/orders") == RIGHTS


@pytest.mark.parametrize(
    ("text", "audience", "why"),
    [
        (token(key="another"), "sb://localhost/orders", "InvalidSignature"),
        (token("none"), "sb://localhost/orders", "InvalidSignature"),
        (token(until=1_700_000_000), "sb://localhost/orders", "ExpiredToken: .* Expiration time: 1700000000"),
        (token(resource="localhost%2forders"), "sb://localhost/receipts", "InvalidAudience"),
        (token().replace("&se=1800000000", "&se=never"), "sb://localhost/orders", "InvalidSignature"),
        (token(), "sb://localhost/receipts", "InvalidAudience"),
        (token(), "sb://localhost/orders2", "InvalidAudience"),
        ("SharedAccessSignature ", "sb://localhost/orders", "InvalidSignature"),
    ],
)
def test_a_token_that_is_not_good(text: str, audience: str, why: str) -> None:
    with pytest.raises(Refused, match=f"amqp:unauthorized-access: {why}"):
        Policies(POLICIES).rights(text, audience)


def test_no_policy_at_all() -> None:
    with pytest.raises(ConfigError, match="would refuse all clients"):
        ServiceBusEmulator(policies={})


def test_a_right_that_does_not_exist() -> None:
    with pytest.raises(ConfigError, match="unknown right 'Sned' of a policy: use some of Listen, Manage, Send"):
        Policy("key", ["Sned"])

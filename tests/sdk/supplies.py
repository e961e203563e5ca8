"""Stand-ins for what the SDK's live tests import and nobody ships: Azure's devtools, and the preparers that make
resources in a subscription. Each test gets a namespace of its own, that is, an emulator of its own."""

from __future__ import annotations

import functools
import inspect
import itertools
import os
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import aiohttp
import certifi
from azure.core.credentials import AccessToken

from cloudqueues.servicebus import Policy, ServiceBusEmulator

HOST = "localhost"
PORTS = (443, 5671)
"""Ports of the service that lead to the emulator's one port: WebSockets, and AMQP over TLS."""
POLICIES = {
    "RootManageSharedAccessKey": Policy("key"),
    "Send": Policy("send", ["Send"]),
    "Listen": Policy("listen", ["Listen"]),
}
_NUMBERS = itertools.count(1)
_PROPERTIES = {
    "lock_duration": "LockDuration",
    "requires_session": "RequiresSession",
    "requires_duplicate_detection": "RequiresDuplicateDetection",
    "dead_lettering_on_message_expiration": "DeadLetteringOnMessageExpiration",
}
"""Preparers' arguments, by the names of the configuration file; the others make no difference to the tests."""


def connection_string(policy: str = "RootManageSharedAccessKey") -> str:
    return f"Endpoint=sb://{HOST}/;SharedAccessKeyName={policy};SharedAccessKey={POLICIES[policy].key}"


Supply = Callable[[Mapping[str, Any]], AbstractContextManager[Mapping[str, Any]]]


class Preparer:
    """Decorator that calls a test with what `supply` makes of the arguments that it has so far."""

    def __init__(self, supply: Supply) -> None:
        self._supply = supply

    def __call__(self, test: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(test):

            async def prepared(instance: object, **arguments: Any) -> None:
                with self._supply(arguments) as more:
                    await test(instance, **_accepted(test, {**arguments, **more}))
        else:

            def prepared(instance: object, **arguments: Any) -> None:
                with self._supply(arguments) as more:
                    test(instance, **_accepted(test, {**arguments, **more}))

        functools.update_wrapper(prepared, test)
        del prepared.__wrapped__
        prepared.__signature__ = _what_pytest_supplies(test)
        return prepared


def _accepted(test: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(test).parameters
    everything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    return {name: value for name, value in values.items() if everything or name in parameters}


def _what_pytest_supplies(test: Callable[..., Any]) -> inspect.Signature:
    """Return the signature without what preparers supply: pytest takes each parameter for a fixture."""
    parameters = inspect.signature(test).parameters.values()
    kept = [
        parameter
        for parameter in parameters
        if not parameter.name.startswith("servicebus_") and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    rest = inspect.Parameter("arguments", inspect.Parameter.VAR_KEYWORD)
    return inspect.Signature([*kept, rest])


# -- a namespace


@contextmanager
def reachable(bus: ServiceBusEmulator) -> Iterator[None]:
    """Let clients that know the service's host, ports and authorities arrive at the emulator, and trust it."""
    find = socket.getaddrinfo

    def found(host: Any, port: Any, *rest: Any, **kwargs: Any) -> Any:
        ours = host in {HOST, HOST.encode()} and str(port) in map(str, PORTS)
        return find("127.0.0.1", bus.port, *rest, **kwargs) if ours else find(host, port, *rest, **kwargs)

    with patch.object(socket, "getaddrinfo", found), patch.object(certifi, "where", lambda: str(bus.certificate)):
        yield


@contextmanager
def namespace(arguments: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """An empty one, by all the names that tests have for its parts."""
    with ServiceBusEmulator(tls=True, policies=POLICIES) as bus, reachable(bus):
        yield {
            "servicebus_namespace": SimpleNamespace(name=HOST, bus=bus),
            "servicebus_namespace_connection_string": connection_string(),
            "servicebus_namespace_key_name": "RootManageSharedAccessKey",
            "servicebus_namespace_primary_key": "key",
            "servicebus_connection_str": connection_string(),
            "servicebus_fully_qualified_namespace": HOST,
            "servicebus_sas_policy": "RootManageSharedAccessKey",
            "servicebus_sas_key": "key",
        }


@contextmanager
def managed(arguments: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A namespace for administration clients: its address leads to the port of the management API."""
    with namespace(arguments) as parts:
        bus = _bus(parts)
        trusting = ssl.create_default_context(cafile=bus.certificate)
        with (
            patch.dict(os.environ, REQUESTS_CA_BUNDLE=str(bus.certificate)),
            patch.object(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", trusting),  # aiohttp makes it when it is imported
        ):
            yield {
                **parts,
                "servicebus_connection_str": bus.admin_connection_string,
                "servicebus_fully_qualified_namespace": f"{HOST}:{bus.http_port}",
            }


def _bus(arguments: Mapping[str, Any]) -> ServiceBusEmulator:
    bus = arguments["servicebus_namespace"].bus
    assert isinstance(bus, ServiceBusEmulator)
    return bus


def _properties(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: options[option] for option, name in _PROPERTIES.items() if option in options}


# -- the modules


def group(**_options: object) -> Preparer:
    return Preparer(lambda _arguments: _constant())


def namespaces(**_options: object) -> Preparer:
    return Preparer(namespace)


def managed_namespaces(**_options: object) -> Preparer:
    return Preparer(managed)


@contextmanager
def _constant(**values: object) -> Iterator[Mapping[str, Any]]:
    yield values


def _entity(kind: str, parameter: str) -> Callable[..., Preparer]:
    def preparer(**options: Any) -> Preparer:
        @contextmanager
        def supply(arguments: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
            name = f"{parameter.removeprefix('servicebus_')}{next(_NUMBERS)}"
            topic = f"{arguments['servicebus_topic'].name}/Subscriptions/" if kind == "Subscription" else ""
            lock = {"lock_duration": "PT60S" if kind == "Subscription" else "PT30S"}  # the preparers' own defaults
            properties = {} if kind == "Topic" else _properties({**lock, **options})
            _bus(arguments).entities.add(kind, topic + name, properties)
            yield {options.get("parameter_name", parameter): SimpleNamespace(name=name)}

        return Preparer(supply)

    return preparer


def _rule(parameter: str) -> Callable[..., Preparer]:
    """A rule of the namespace, or of a queue, whose connection string then names the queue."""

    def preparer(*, access_rights: Sequence[str] = ("Manage",), **_options: object) -> Preparer:
        policy = "RootManageSharedAccessKey" if "Manage" in access_rights else access_rights[0]

        @contextmanager
        def supply(arguments: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
            path = f";EntityPath={arguments['servicebus_queue'].name}" if "queue" in parameter else ""
            yield {f"{parameter}_connection_string": connection_string(policy) + path}

        return Preparer(supply)

    return preparer


class Credential:
    """For TokenCredential, sync or async; the emulator takes any token."""

    def __init__(self, *, is_async: bool) -> None:
        self.get_token = self._later if is_async else self._now

    def _now(self, *_scopes: str, **_options: object) -> AccessToken:
        return AccessToken("a token", int(time.time()) + 3600)

    async def _later(self, *_scopes: str, **_options: object) -> AccessToken:
        return self._now()

    def close(self) -> None: ...


def credential(*, is_async: bool = False, **_options: object) -> Credential:
    return Credential(is_async=is_async)


def _module(name: str, **contents: object) -> None:
    module = ModuleType(name)
    vars(module).update(contents)
    sys.modules[name] = module


def _nothing(*_arguments: object, **_options: object) -> None: ...


def _as_it_is(test: object) -> object:
    return test


class RecordedTestCase:
    await_prepared_test = staticmethod(_as_it_is)


def install() -> None:
    """Put the stand-ins where the tests import them from."""
    queue, topic = _entity("Queue", "servicebus_queue"), _entity("Topic", "servicebus_topic")
    subscription = _entity("Subscription", "servicebus_subscription")
    _module(
        "servicebus_preparer",
        SERVICEBUS_ENDPOINT_SUFFIX="",
        ServiceBusResourceGroupPreparer=group, CachedServiceBusResourceGroupPreparer=group,
        ServiceBusNamespacePreparer=namespaces, CachedServiceBusNamespacePreparer=namespaces,
        ServiceBusQueuePreparer=queue, CachedServiceBusQueuePreparer=queue,
        ServiceBusTopicPreparer=topic, CachedServiceBusTopicPreparer=topic,
        ServiceBusSubscriptionPreparer=subscription, CachedServiceBusSubscriptionPreparer=subscription,
        ServiceBusNamespaceAuthorizationRulePreparer=_rule("servicebus_authorization_rule"),
        ServiceBusQueueAuthorizationRulePreparer=_rule("servicebus_queue_authorization_rule"),
    )  # fmt: skip
    _module("sb_env_loader", ServiceBusPreparer=managed_namespaces)
    _module(
        "devtools_testutils",
        AzureMgmtRecordedTestCase=RecordedTestCase, AzureRecordedTestCase=RecordedTestCase,
        CachedResourceGroupPreparer=group, RandomNameResourceGroupPreparer=group,
        get_credential=credential, set_custom_default_matcher=_nothing, recorded_by_proxy=_as_it_is,
    )  # fmt: skip
    _module("azure.mgmt")
    _module("azure.mgmt.servicebus")
    _module("azure.mgmt.servicebus.models", AccessRights=SimpleNamespace(manage="Manage", send="Send", listen="Listen"))
    sanitizers = ("add_remove_header_sanitizer", "add_general_regex_sanitizer", "add_oauth_response_sanitizer")
    _module("devtools_testutils.sanitizers", **dict.fromkeys(sanitizers, _nothing))
    _module("devtools_testutils.aio", recorded_by_proxy_async=_as_it_is)

"""An emulator of its own for each test, and the real client to talk to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from azure.servicebus import ServiceBusClient
from azure.servicebus.management import ServiceBusAdministrationClient

from cloudqueues.servicebus import ServiceBusEmulator
from tests.emulators.servicebus.kit import closed, last
from tests.emulators.servicebus.sdk_pauses import short_pauses


@pytest.fixture(scope="session", autouse=True)
def nothing_left_open() -> Iterator[None]:
    yield
    closed()


@pytest.fixture(scope="module", autouse=True)
def quick_sdk() -> Iterator[None]:
    with short_pauses():
        yield


@pytest.fixture
def bus() -> Iterator[ServiceBusEmulator]:
    emulator = ServiceBusEmulator().start()
    yield emulator
    last(emulator.stop)


@pytest.fixture
def client(bus: ServiceBusEmulator) -> Iterator[ServiceBusClient]:
    new_client = ServiceBusClient.from_connection_string(bus.connection_string, retry_total=0)
    yield new_client
    last(new_client.close)


@pytest.fixture
def admin(bus: ServiceBusEmulator) -> Iterator[ServiceBusAdministrationClient]:
    with ServiceBusAdministrationClient.from_connection_string(
        bus.admin_connection_string, connection_verify=str(bus.certificate), retry_total=0
    ) as new_admin:
        yield new_admin

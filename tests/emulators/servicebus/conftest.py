"""An emulator of its own for each test, and the real client to talk to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from azure.servicebus import ServiceBusClient

from peeklock.emulators.servicebus import ServiceBusEmulator
from tests.emulators.servicebus.kit import closed


@pytest.fixture
def bus() -> Iterator[ServiceBusEmulator]:
    with ServiceBusEmulator() as emulator:
        yield emulator


@pytest.fixture
def client(bus: ServiceBusEmulator) -> Iterator[ServiceBusClient]:
    with ServiceBusClient.from_connection_string(bus.connection_string, retry_total=0) as made:
        yield made
        closed()

"""Fixtures of pytest for tests against emulators. An emulator is imported when a test asks for its fixture.

Each test has its own emulators, on free ports of loopback, so tests run side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from cloudqueues.cloudtasks import CloudTasksEmulator
    from cloudqueues.fixtures import EmulatorClock, SqsAndLambda
    from cloudqueues.functions_host import FunctionsHost
    from cloudqueues.servicebus import ServiceBusEmulator


@pytest.fixture
def emulator_clock() -> EmulatorClock:
    """Clock of all emulators of this test: `emulator_clock.advance(60)` moves their time. SQS has real time, which cannot be
    moved."""
    from cloudqueues.fixtures import EmulatorClock

    return EmulatorClock()


@pytest.fixture
def servicebus(emulator_clock: EmulatorClock) -> Iterator[ServiceBusEmulator]:
    """Service Bus namespace without entities: add a queue by `servicebus.add_queue("orders")`, and connect clients to
    `servicebus.connection_string`."""
    from cloudqueues.servicebus import ServiceBusEmulator

    with ServiceBusEmulator() as emulator:
        emulator_clock.add(emulator)
        yield emulator


@pytest.fixture
def cloudtasks(emulator_clock: EmulatorClock) -> Iterator[CloudTasksEmulator]:
    """Cloud Tasks without queues: `cloudtasks.client()` returns Google's own client for it."""
    from cloudqueues.cloudtasks import CloudTasksEmulator

    with CloudTasksEmulator() as emulator:
        emulator_clock.add(emulator)
        yield emulator


@pytest.fixture
def sqs_lambda() -> Iterator[SqsAndLambda]:
    """SQS and Lambda functions on its queues: `url = sqs_lambda.queue("orders")`, then
    `sqs_lambda.function(queue_url=url, handler="app.handler")`."""
    from cloudqueues.fixtures import SqsAndLambda

    with SqsAndLambda() as kit:
        yield kit


@pytest.fixture
def functions_host(
    servicebus: ServiceBusEmulator, emulator_clock: EmulatorClock
) -> Iterator[Callable[..., FunctionsHost]]:
    """Function that starts a Functions host on this test's Service Bus: `functions_host(Path("azure"))`, with the options
    of `FunctionsHost`."""
    from cloudqueues.functions_host import FunctionsHost

    with ExitStack() as hosts:

        def start(app: Path | str, **options: Any) -> FunctionsHost:
            host = FunctionsHost(app, **{"servicebus": servicebus.connection_string, **options})
            hosts.enter_context(host)
            emulator_clock.add(host)
            return host

        yield start

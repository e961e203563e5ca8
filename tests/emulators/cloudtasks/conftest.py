"""An emulator for each module, as its queues are new for each test; time moves for all, and no fault stays on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from cloudqueues.cloudtasks import CloudTasksEmulator
from cloudqueues.cloudtasks.sdk import client_of, rest_client_of
from tests.emulators.cloudtasks.support import Target, queue_of


@pytest.fixture(scope="module")
def shared() -> Iterator[CloudTasksEmulator]:
    """For what looks at answers only."""
    with CloudTasksEmulator() as emulator:
        yield emulator


@pytest.fixture(scope="module", params=["grpc", "rest"])
def client(request: pytest.FixtureRequest, shared: CloudTasksEmulator) -> Any:
    """Over both transports, for what looks at answers only. At another implementation, to hold the tables of facts
    against it, when PEEKLOCK_CT_FACTS_AT names one."""
    elsewhere = os.environ.get("PEEKLOCK_CT_FACTS_AT")
    if not elsewhere:
        return shared.client(request.param)
    return rest_client_of(f"http://{elsewhere}") if request.param == "rest" else client_of(elsewhere)


@pytest.fixture
def emulator() -> Iterator[CloudTasksEmulator]:
    """For what dispatches or moves the time."""
    with CloudTasksEmulator() as emulator:
        yield emulator


@pytest.fixture
def target() -> Iterator[Target]:
    target = Target()
    yield target
    target.close()


@pytest.fixture(scope="module")
def queue(client: Any) -> Any:
    """A paused one: nothing is sent."""
    queue = queue_of(client)
    client.pause_queue(name=queue.name)
    return queue

"""Fixtures: one emulator a module for tests that read responses, and one a test for those that dispatch."""

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
    """Return an emulator for tests that only read responses."""
    with CloudTasksEmulator() as emulator:
        yield emulator


@pytest.fixture(scope="module", params=["grpc", "rest"])
def client(request: pytest.FixtureRequest, shared: CloudTasksEmulator) -> Any:
    """Return a client of each transport, for tests that only read responses. PEEKLOCK_CT_FACTS_AT names another
    implementation to compare the tables of facts with."""
    elsewhere = os.environ.get("PEEKLOCK_CT_FACTS_AT")
    if not elsewhere:
        return shared.client(request.param)
    return rest_client_of(f"http://{elsewhere}") if request.param == "rest" else client_of(elsewhere)


@pytest.fixture
def emulator() -> Iterator[CloudTasksEmulator]:
    """Return an emulator for a test that dispatches or moves the time."""
    with CloudTasksEmulator() as emulator:
        yield emulator


@pytest.fixture
def target() -> Iterator[Target]:
    target = Target()
    yield target
    target.close()


@pytest.fixture(scope="module")
def queue(client: Any) -> Any:
    """Return a paused queue, from which nothing is sent."""
    queue = queue_of(client)
    client.pause_queue(name=queue.name)
    return queue

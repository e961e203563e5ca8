"""An emulator for each module, as its queues are new for each test; time moves for all, and no fault stays on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from peeklock.emulators.cloudtasks import CloudTasksEmulator
from tests.emulators.cloudtasks.support import Target


@pytest.fixture(scope="module")
def shared() -> Iterator[CloudTasksEmulator]:
    """For what looks at answers only."""
    with CloudTasksEmulator() as emulator:
        yield emulator


@pytest.fixture(scope="module")
def client(shared: CloudTasksEmulator) -> Any:
    return shared.client()


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

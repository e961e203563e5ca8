"""Fixtures: each test has a Service Bus and a host of its own."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.emulators.functions_host.kit import Stage


@pytest.fixture(scope="session")
def closing() -> Iterator[ThreadPoolExecutor]:
    """Close stages in threads, since the SDK takes a second to close a receiver. Errors are raised at the end."""
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture(scope="session")
def closed(closing: ThreadPoolExecutor) -> Iterator[list[Future[None]]]:
    futures: list[Future[None]] = []
    yield futures
    for future in futures:
        future.result(60)


@pytest.fixture
def stage(tmp_path: Path, closing: ThreadPoolExecutor, closed: list[Future[None]]) -> Iterator[Stage]:
    new_stage = Stage(tmp_path)
    try:
        yield new_stage.open()
    finally:
        closed.append(closing.submit(new_stage.close))

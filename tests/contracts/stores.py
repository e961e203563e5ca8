"""Stores that the contract suite runs over, each opened by a context manager.

The servers are started in `tests/stores/servers_*.py`, one of each per test process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from peeklock.idempotency.store import Store
from peeklock.stores.memory import MemoryStore
from peeklock.stores.sqlite import SQLiteStore
from peeklock.testing.contracts.store import LATER, change, record
from tests.stores import servers_cloud, servers_dynamodb, servers_redis


@contextmanager
def memory(folder: Path) -> Iterator[Store]:
    yield MemoryStore()


@contextmanager
def sqlite(folder: Path) -> Iterator[Store]:
    store = SQLiteStore(str(folder / "keys.db"))
    yield store
    store.close()


Open = Callable[[Path], AbstractContextManager[Store]]

STORES: dict[str, Open] = {
    "memory": memory,
    "sqlite": sqlite,
    "dynamodb": servers_dynamodb.on_moto,
    "dynamodb-transact": servers_dynamodb.on_moto_by_transactions,
    "dynamodb-dynalite": servers_dynamodb.on_dynalite,
    "etag": servers_cloud.on_rows,
    "tables": servers_cloud.on_azurite,
    "firestore": servers_cloud.on_emulator,
    "valkey": servers_redis.valkey,
    "redis": servers_redis.debian,
    "redis-cluster": servers_redis.clustered,
}
"""Those that need a server are marked, by `params`."""

SERVERS: frozenset[str] = frozenset({"dynamodb-dynalite", "tables", "firestore", "redis", "redis-cluster"})
"""Names of the stores whose server needs node or java, or comes from the system's packages: not in `make test`."""

KEYS: dict[str, int] = {
    "dynamodb": 1_000,
    "dynamodb-transact": 110,
    "dynamodb-dynalite": 1_000,
    "tables": 1_000,
    "firestore": 2_000,
}
"""Keys of the largest call, where a server takes more than ten seconds for 10,000."""

SLOWEST: frozenset[str] = frozenset({"dynamodb-transact"})
"""Those that never get there: moto copies the whole table for each change of a transaction."""


def params() -> list[Any]:
    """For `pytest.mark.parametrize` and fixtures: each store's name."""
    return [pytest.param(name, marks=[pytest.mark.servers] if name in SERVERS else []) for name in STORES]


__all__ = ["LATER", "STORES", "change", "params", "record"]

"""Store in Redis or Valkey: runs a script on one key for each change, all changes of a call in one round trip.

In a cluster, one round trip goes to each node that holds a key of the call. docs/stores-redis.md says how the server must
be configured, and what a failover may lose.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from peeklock.errors import StoreError, store_error
from peeklock.idempotency.store import WON, Answer, Change
from peeklock.stores.record_json import dump, load
from peeklock.stores.redis_client import address, connect
from peeklock.stores.redis_script import BY_HASH, BY_TEXT, Call, run_on_node

GARBAGE_AFTER = timedelta(days=1)
"""Time from `expires_at` until the server removes the record, which a process with a slow clock must still see."""

PREFIX = "peeklock:"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RedisStore:
    """Compares and swaps by a script, which the server runs atomically. A failed node fails only its own changes.

    https://redis.io/docs/latest/develop/programmability/eval-intro/
    """

    def __init__(self, url: str, *, cluster: bool = False) -> None:
        self.url = url
        self.cluster = cluster

    def swap(self, changes: Sequence[Change], /) -> Sequence[Answer]:
        from redis.exceptions import MovedError, NoScriptError, RedisClusterException, RedisError

        try:
            client = connect(self.url, cluster=self.cluster)
        except (RedisError, RedisClusterException) as exc:  # making a cluster's client reads the cluster's map
            raise StoreError(f"{type(exc).__name__}: {exc}") from exc
        run = run_on_node
        if self.cluster:
            from peeklock.stores.redis_cluster import run_on_cluster as run
        calls = [_call(change) for change in changes]
        replies = run(client, calls, BY_HASH)
        again = [n for n, reply in enumerate(replies) if isinstance(reply, NoScriptError | MovedError)]
        if again:  # a restarted server, or a slot that has moved: sending the text also caches the script there
            for n, reply in zip(again, run(client, [calls[n] for n in again], BY_TEXT), strict=True):
                replies[n] = reply
        return [_answer(reply) for reply in replies]


def _call(change: Change) -> Call:
    expected = "" if change.expected is None else str(change.expected)
    if change.record is None:
        return PREFIX + change.key, expected, "", 0
    until = (change.record.expires_at + GARBAGE_AFTER - _EPOCH) // timedelta(milliseconds=1)
    return PREFIX + change.key, expected, f"{change.record.version} {dump(change.record)}", until


def _answer(reply: Any) -> Answer:
    if reply is None:
        return WON
    if isinstance(reply, Exception):
        return Answer(won=False, error=store_error(reply))
    if not reply:
        return Answer(won=False)
    try:
        return Answer(won=False, record=load(reply.decode("utf-8", "replace").partition(" ")[2]))
    except StoreError as exc:
        return Answer(won=False, error=exc)


def from_url(url: str) -> RedisStore:
    """Return the store of `redis://user:password@host:6379/2`, of `rediss://...` with TLS, or of a cluster with
    `?cluster=true`. Further parameters are those of a redis-py connection. Raises ConfigError for any other.

    https://redis.readthedocs.io/en/stable/connections.html#redis.connection.ConnectionPool.from_url
    """
    plain, cluster = address(url)
    return RedisStore(plain, cluster=cluster)

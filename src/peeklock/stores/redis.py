"""A store in Redis or Valkey: a script on one key for each change, and all changes of a call in one trip.

In a cluster it is one trip to each node that holds a key of the call. What the server must be set to, and what a
failover may forget, is in docs/stores-redis.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from peeklock.errors import StoreError, store_error
from peeklock.idempotency.store import WON, Answer, Change
from peeklock.stores.record_json import dump, load
from peeklock.stores.redis_client import address, connect

GARBAGE_AFTER = timedelta(days=1)
"""From `expires_at` to the server's own removal: a process whose clock is slow still has to find the record."""

PREFIX = "peeklock:"

SCRIPT = """
local held = redis.call('GET', KEYS[1]) or ''
if held == ARGV[2] then return false end
local version = held == '' and '' or string.match(held, '^(%d+) ') or 'unreadable'
if version ~= ARGV[1] then return held end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[2])
  redis.call('PEXPIREAT', KEYS[1], ARGV[3])
end
return false
"""
"""A value is the version, a space and the record's text. Answers nothing when the change has won, else the value that is
there, '' for none. Versions are compared as texts: a number of Lua's is exact to 53 bits only."""

_SHA = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Call = tuple[str, str, str, int]
"""The script's key, expected version, new value and time of removal (milliseconds since 1970)."""


class RedisStore:
    """Compare-and-swap by a script, which the server runs as a whole. A node that fails, fails its own changes only.
    https://redis.io/docs/latest/develop/programmability/eval-intro/"""

    def __init__(self, url: str, *, cluster: bool = False) -> None:
        self.url = url
        self.cluster = cluster

    def swap(self, changes: Sequence[Change], /) -> Sequence[Answer]:
        from redis.exceptions import MovedError, NoScriptError, RedisClusterException, RedisError

        try:
            client = connect(self.url, cluster=self.cluster)
        except (RedisError, RedisClusterException) as exc:  # a cluster's map is read when its client is made
            raise StoreError(f"{type(exc).__name__}: {exc}") from exc
        ask = ask_node
        if self.cluster:
            from peeklock.stores.redis_cluster import ask_cluster as ask
        calls = [_call(change) for change in changes]
        replies = ask(client, calls, ("EVALSHA", _SHA))
        again = [n for n, reply in enumerate(replies) if isinstance(reply, NoScriptError | MovedError)]
        if again:  # a server that was started anew, or a slot that has moved: with its text, the script is kept
            for n, reply in zip(again, ask(client, [calls[n] for n in again], ("EVAL", SCRIPT)), strict=True):
                replies[n] = reply
        return [_answer(reply) for reply in replies]


def _call(change: Change) -> Call:
    expected = "" if change.expected is None else str(change.expected)
    if change.record is None:
        return PREFIX + change.key, expected, "", 0
    until = (change.record.expires_at + GARBAGE_AFTER - _EPOCH) // timedelta(milliseconds=1)
    return PREFIX + change.key, expected, f"{change.record.version} {dump(change.record)}", until


def ask_node(client: Any, calls: Sequence[Call], script: tuple[str, str]) -> list[Any]:
    """One trip: each call's reply, or what went wrong with it."""
    from redis.exceptions import RedisError

    try:
        with client.pipeline(transaction=False) as pipe:
            for call in calls:
                pipe.execute_command(*script, 1, *call)
            return list(pipe.execute(raise_on_error=False))
    except RedisError as exc:
        return [exc] * len(calls)


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
    """`redis://user:password@host:6379/2`; `rediss://` with TLS; `?cluster=true` for a cluster. Further parameters are those
    of a connection of redis-py. Raises ConfigError for any other.
    https://redis.readthedocs.io/en/stable/connections.html#redis.connection.ConnectionPool.from_url"""
    plain, cluster = address(url)
    return RedisStore(plain, cluster=cluster)

"""Running the Redis store's script on a cluster: one round trip to each node that holds a key of the call."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from peeklock.stores.parallel import pool
from peeklock.stores.redis_script import BY_TEXT, Call, run_on_node


def run_on_cluster(client: Any, calls: Sequence[Call], script: tuple[str, str]) -> list[Any]:
    """Run the script on every node concerned, concurrently, and return each call's reply or exception.

    redis-py's own cluster pipeline retries the changes of an unresponsive node one after the other, waiting each time.
    """
    from redis.exceptions import AskError, SlotNotCoveredError

    replies: list[Any] = [None] * len(calls)
    by_node: dict[str, tuple[Any, list[int]]] = {}
    for n, call in enumerate(calls):
        try:
            node: Any = client.get_node_from_key(call[0])
        except SlotNotCoveredError as exc:
            replies[n] = exc
        else:
            by_node.setdefault(node.name, (client.get_redis_connection(node), []))[1].append(n)

    def run(connection: Any, numbers: list[int]) -> None:
        for n, reply in zip(numbers, run_on_node(connection, [calls[n] for n in numbers], script), strict=True):
            replies[n] = reply

    list(pool.map(run, *zip(*by_node.values(), strict=True)))
    for n, reply in enumerate(replies):
        if type(reply) is AskError:  # its slot is being migrated: redis-py follows the redirection
            replies[n] = _run_alone(client, calls[n])
    _refresh_map(client, replies)
    return replies


def _run_alone(client: Any, call: Call) -> Any:
    from redis.exceptions import RedisClusterException, RedisError

    try:
        return client.execute_command(*BY_TEXT, 1, *call)
    except (RedisError, RedisClusterException) as exc:
        return exc


def _refresh_map(client: Any, replies: Sequence[Any]) -> None:
    """Read the cluster's map anew for the next call, after errors that a failover or a slot migration may have caused."""
    from redis import exceptions as e

    stale_map = (e.ClusterDownError, e.ConnectionError, e.MovedError, e.RedisClusterException, e.TimeoutError)
    if any(isinstance(reply, stale_map) for reply in replies):
        with suppress(e.RedisError, e.RedisClusterException):
            client.nodes_manager.initialize()

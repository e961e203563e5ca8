"""Asking a cluster: one trip to each node that holds a key of the call, all at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from peeklock.stores.parallel import pool
from peeklock.stores.redis import SCRIPT, Call, ask_node


def ask_cluster(client: Any, calls: Sequence[Call], script: tuple[str, str]) -> list[Any]:
    """One trip to each node, all at once. redis-py's own pipeline would go on to ask for each change of a node that does
    not answer, one after the other, and wait each time."""
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

    def visit(connection: Any, numbers: list[int]) -> None:
        for n, reply in zip(numbers, ask_node(connection, [calls[n] for n in numbers], script), strict=True):
            replies[n] = reply

    list(pool.map(visit, *zip(*by_node.values(), strict=True)))
    for n, reply in enumerate(replies):
        if type(reply) is AskError:  # its slot is on the way to another node, which is asked once
            replies[n] = _ask_alone(client, calls[n])
    _look_again(client, replies)
    return replies


def _ask_alone(client: Any, call: Call) -> Any:
    from redis.exceptions import RedisClusterException, RedisError

    try:
        return client.execute_command("EVAL", SCRIPT, 1, *call)
    except (RedisError, RedisClusterException) as exc:
        return exc


def _look_again(client: Any, replies: Sequence[Any]) -> None:
    """After what a failover or a move of slots may have caused, read the cluster's map for whoever asks next."""
    from redis import exceptions as e

    signs = (e.ClusterDownError, e.ConnectionError, e.MovedError, e.RedisClusterException, e.TimeoutError)
    if any(isinstance(reply, signs) for reply in replies):
        with suppress(e.RedisError, e.RedisClusterException):
            client.nodes_manager.initialize()

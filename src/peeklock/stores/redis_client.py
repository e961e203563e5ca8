"""Client of Redis or Valkey, and parsing of its URL."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from peeklock.concurrency.per_process import per_process
from peeklock.errors import ConfigError
from peeklock.redaction import scrubbed
from peeklock.registry import missing

WAIT_SECONDS = 3.0
"""Time-out of connecting, and of waiting for the next bytes of a reply. A nearby server takes milliseconds, and a longer
wait would use up the time in which the engine retries. `socket_timeout` and `socket_connect_timeout` in the URL override it."""

_SHAPE = "redis://[user:password@]host[:port][/database][?cluster=true]"


@per_process
def connect(url: str, *, cluster: bool) -> Any:
    """Return the process's client.

    It never retries: the engine does, and knows the deadline. It replaces a connection that the server has closed before
    using it. Every version of redis-py and every server speaks RESP2.
    """
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.cluster import RedisCluster
    from redis.retry import Retry

    client_class, more = (RedisCluster, {"require_full_coverage": False}) if cluster else (Redis, {})
    return client_class.from_url(
        url,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        socket_timeout=WAIT_SECONDS,
        socket_connect_timeout=WAIT_SECONDS,
        **more,  # the server itself refuses slots without a node; redis-py 5 has this by default
    )


def address(url: str) -> tuple[str, bool]:
    """Return the URL as redis-py takes it, and whether it is a cluster's. Raises ConfigError."""
    parts, host = _split(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    cluster = query.pop("cluster", "false")
    if cluster not in ("true", "false"):
        raise ConfigError(f"the store on {host}: cluster= is neither true nor false")
    if not re.fullmatch("(/0?)?" if cluster == "true" else r"(/\d*)?", parts.path):
        raise ConfigError(f"the store on {host}: a database is a number, as in /2, and a cluster has only /0: {_SHAPE}")
    plain = parts._replace(query=urlencode(query)).geturl()
    _check(plain, host)
    return plain, cluster == "true"


def _split(url: str) -> tuple[SplitResult, str]:
    """Return a URL's parts and its host. The error shows nothing of the URL, which may hold a password."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = SplitResult("", "", "", "", ""), None
    if not host:
        raise ConfigError(f"the store's address must be {_SHAPE}, with special characters of a password as %XX")
    return parts, host


def _check(url: str, host: str) -> None:
    """Make a connection object, without connecting, so that a wrong parameter is reported at once."""
    try:
        from redis import ConnectionPool, RedisError
    except ImportError as exc:
        raise missing(exc) from exc
    try:
        ConnectionPool.from_url(url).make_connection()
    except TypeError as exc:
        unknown = re.search(r"argument '(\w+)'", str(exc))
        problem = f"{unknown[1]} is no parameter of a connection of redis-py" if unknown else scrubbed(str(exc))
        raise ConfigError(f"the store on {host}: {problem}") from None
    except (ValueError, RedisError) as exc:
        raise ConfigError(f"the store on {host}: {scrubbed(str(exc))}") from None

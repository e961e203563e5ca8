"""The compare-and-swap script of the Redis store, and running it on one node."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

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
"""A value is the version, a space and the record's text. Returns nothing when the change has won, else the present value,
'' where there is none. Versions are compared as texts, since a Lua number is exact to 53 bits only."""

BY_TEXT = ("EVAL", SCRIPT)
BY_HASH = ("EVALSHA", hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest())
"""The command that runs the script. A server knows its hash once it has run the text."""

Call = tuple[str, str, str, int]
"""The script's key, expected version, new value and time of removal (milliseconds since 1970)."""


def run_on_node(client: Any, calls: Sequence[Call], script: tuple[str, str]) -> list[Any]:
    """Run the script for each call, in one round trip, and return each call's reply or exception."""
    from redis.exceptions import RedisError

    try:
        with client.pipeline(transaction=False) as pipe:
            for call in calls:
                pipe.execute_command(*script, 1, *call)
            return list(pipe.execute(raise_on_error=False))
    except RedisError as exc:
        return [exc] * len(calls)

"""Telling another process of each run and each settlement, as `peeklock dev` asks its functions to.

`PEEKLOCK_FOLLOW` holds `HOST:PORT`. Each is one datagram there, of JSON: `{"started": {...}}` or `{"settled": {...}}`, with
the fields of a log record and nothing of the body. A datagram that is lost is a line less on a screen, and no more.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress

from peeklock.errors import ConfigError
from peeklock.message import Message
from peeklock.observe import Observer, Settled, fields

VARIABLE = "PEEKLOCK_FOLLOW"


class Follower:
    """Tells the other process, then the observer that it stands in for."""

    def __init__(self, observer: Observer, platform: str, address: tuple[str, int]) -> None:
        self._observer = observer
        self._platform = platform
        self._address = address

    def running(self, message: Message, /) -> AbstractContextManager[object] | None:
        told = {
            "platform": self._platform,
            "queue": message.queue,
            "message_id": message.id,
            "attempt": message.attempt,
        }
        self._tell({"started": {**told, "pid": os.getpid()}})
        return self._observer.running(message)

    def settled(self, platform: str, settled: Sequence[Settled], /) -> None:
        for one in settled:
            self._tell({"settled": fields(platform, one)})
        self._observer.settled(platform, settled)

    def _tell(self, what: object) -> None:
        with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to:
            to.setblocking(False)  # a full buffer must not hold a handler
            to.sendto(json.dumps(what).encode(), self._address)


def followed(observer: Observer, platform: str, given: str) -> Observer:
    """The observer, with another process at `given` told first. Raises ConfigError for an address that is none."""
    host, _, port = given.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigError(f"{VARIABLE} is no address, such as 127.0.0.1:4000; leave it to `peeklock dev`")
    return Follower(observer, platform, (host, int(port)))

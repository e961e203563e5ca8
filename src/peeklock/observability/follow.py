"""Telling another process of each run and each settlement, as `peeklock dev` asks its functions to.

`PEEKLOCK_FOLLOW` holds `HOST:PORT`. Each is one datagram there, of JSON: `{"started": {...}}` or `{"settled": {...}}`, with
the fields of a log record and nothing of the body. A datagram that is lost is a line less on a screen, and no more.
"""

from __future__ import annotations

import ipaddress
import json
import os
import socket
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress

from peeklock.errors import ConfigError
from peeklock.message import Message
from peeklock.observability.observer import Observer, Settled, fields

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
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as to:
            to.setblocking(False)  # a full buffer must not hold a handler
            to.sendto(json.dumps(what).encode(), self._address)


MOST_PORT = 65_535


def followed(observer: Observer, platform: str, address: str) -> Observer:
    """The observer, with another process at `address` told first. Raises ConfigError for an address that is none, or of
    another machine: what is told would leave this one unencrypted."""
    host, _, port = address.rpartition(":")
    number = int(port) if port.isascii() and port.isdigit() else 0
    loopback = _loopback(host.removeprefix("[").removesuffix("]"))
    if loopback is None or not 1 <= number <= MOST_PORT:
        raise ConfigError(
            f"{VARIABLE} is no address on this machine, such as 127.0.0.1:4000; leave it to `peeklock dev`"
        )
    return Follower(observer, platform, (loopback, number))


def _loopback(host: str) -> str | None:
    """The numbers of a loopback address; None for any other host."""
    if host == "localhost":
        return "127.0.0.1"
    try:
        return host if ipaddress.ip_address(host).is_loopback else None
    except ValueError:
        return None

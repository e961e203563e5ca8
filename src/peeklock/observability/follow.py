"""Reporting each run and settlement to another process, as the functions under `peeklock dev` do.

`PEEKLOCK_FOLLOW` holds `HOST:PORT`. Each report is one JSON datagram, `{"started": {...}}` or `{"settled": {...}}`, with the
fields of a log record and nothing of the body. A lost datagram only means a missing line on the screen.
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
    """Observer that reports to another process, then calls the observer that it wraps."""

    def __init__(self, observer: Observer, platform: str, address: tuple[str, int]) -> None:
        self._observer = observer
        self._platform = platform
        self._address = address

    def running(self, message: Message, /) -> AbstractContextManager[object] | None:
        run = {
            "platform": self._platform,
            "queue": message.queue,
            "message_id": message.id,
            "attempt": message.attempt,
        }
        self._report({"started": {**run, "pid": os.getpid()}})
        return self._observer.running(message)

    def settled(self, platform: str, settled: Sequence[Settled], /) -> None:
        for settlement in settled:
            self._report({"settled": fields(platform, settlement)})
        self._observer.settled(platform, settled)

    def _report(self, report: object) -> None:
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)  # a full buffer must not block a handler
            sender.sendto(json.dumps(report).encode(), self._address)


MOST_PORT = 65_535


def followed(observer: Observer, platform: str, address: str) -> Observer:
    """Return an observer that reports to `address` before it calls `observer`.

    Raises ConfigError for an invalid address, or one of another machine, to which reports would travel unencrypted.
    """
    host, _, port = address.rpartition(":")
    number = int(port) if port.isascii() and port.isdigit() else 0
    loopback = _loopback(host.removeprefix("[").removesuffix("]"))
    if loopback is None or not 1 <= number <= MOST_PORT:
        raise ConfigError(
            f"{VARIABLE} must be an address on this machine, such as 127.0.0.1:4000; leave it unset, since `peeklock dev` sets it"
        )
    return Follower(observer, platform, (loopback, number))


def _loopback(host: str) -> str | None:
    """Return a loopback host as an IP address; None for any other host."""
    if host == "localhost":
        return "127.0.0.1"
    try:
        return host if ipaddress.ip_address(host).is_loopback else None
    except ValueError:
        return None

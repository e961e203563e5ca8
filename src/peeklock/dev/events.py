"""Hearing what the functions do: the other end of PEEKLOCK_FOLLOW."""

from __future__ import annotations

import json
import secrets
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

Told = Callable[[str, Mapping[str, Any]], None]
"""Hears of `started` and of `settled`, each with its fields."""

MAX_DATAGRAM = 65_536


class EventListener:
    """A socket on loopback and a thread that listens, until `close`."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._end = secrets.token_bytes(16)
        """The datagram that ends it: any process on this machine may send others."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._listen, name="peeklock-dev-ear", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        host, port = self._socket.getsockname()
        return f"{host}:{port}"

    def _listen(self) -> None:
        while (data := self._socket.recv(MAX_DATAGRAM)) != self._end:
            self._hear(data)

    def _hear(self, data: bytes) -> None:
        """Any process on this machine may write here: what makes no sense is not shown."""
        try:
            told = json.loads(data)
        except (ValueError, RecursionError):
            return
        for what in ("started", "settled"):
            one = told.get(what) if isinstance(told, dict) else None
            if isinstance(one, dict):
                self._told(what, one)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to:
            to.sendto(self._end, self._socket.getsockname())
        self._thread.join()
        self._socket.close()

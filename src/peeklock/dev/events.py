"""Receiving what the functions report to the address in PEEKLOCK_FOLLOW."""

from __future__ import annotations

import json
import secrets
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

OnEvent = Callable[[str, Mapping[str, Any]], None]
"""Called with `started` or `settled`, and the event's fields."""

MAX_DATAGRAM = 65_536


class EventListener:
    """A socket on loopback and a thread that listens, until `close`."""

    def __init__(self, on_event: OnEvent) -> None:
        self._on_event = on_event
        self._end = secrets.token_bytes(16)
        """Datagram that ends the thread: any process on this machine may send others."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._listen, name="peeklock-dev-events", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        host, port = self._socket.getsockname()
        return f"{host}:{port}"

    def _listen(self) -> None:
        while (data := self._socket.recv(MAX_DATAGRAM)) != self._end:
            self._handle(data)

    def _handle(self, data: bytes) -> None:
        """Pass an event on, and ignore anything else: any process on this machine may write to the socket."""
        try:
            message = json.loads(data)
        except (ValueError, RecursionError):
            return
        for kind in ("started", "settled"):
            fields = message.get(kind) if isinstance(message, dict) else None
            if isinstance(fields, dict):
                self._on_event(kind, fields)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(self._end, self._socket.getsockname())
        self._thread.join()
        self._socket.close()

"""The way to the host and back: each message is four bytes of length and JSON.

Names and forms (proto3's JSON mapping) are those of `StreamingMessage`:
https://github.com/Azure/azure-functions-language-worker-protobuf
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any

HEADER = struct.Struct("!I")


class Channel:
    """The host's end is the end of this process, whatever runs in it."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.set_inheritable(False)  # else a handler's own subprocess would hold it open
        self._sending = threading.Lock()

    def send(self, kind: str, content: dict[str, Any]) -> None:
        data = json.dumps({kind: content}).encode()
        with self._sending, contextlib.suppress(OSError):  # the host is gone: so are we, soon
            self._socket.sendall(HEADER.pack(len(data)) + data)

    def listen(self, emit_line: Callable[[dict[str, Any]], object]) -> None:
        """In a thread, so that an end is seen even while the loop is blocked."""
        while (header := self._exactly(HEADER.size)) and (data := self._exactly(*HEADER.unpack(header))):
            emit_line(json.loads(data))
        os.killpg(0, signal.SIGKILL)  # with all that handlers have started

    def _exactly(self, size: int) -> bytes:
        """Nothing once the host has closed it."""
        data = bytearray()
        while len(data) < size:
            with contextlib.suppress(ConnectionError):
                more = self._socket.recv(size - len(data))
                if more:
                    data += more
                    continue
            return b""
        return bytes(data)

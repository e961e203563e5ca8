"""Channel to the host: each message is four bytes of length and JSON.

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
    """Connection to the host. When the host closes it, this process is killed with everything that runs in it."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.set_inheritable(False)  # otherwise a handler's subprocess would keep it open
        self._sending = threading.Lock()

    def send(self, kind: str, content: dict[str, Any]) -> None:
        data = json.dumps({kind: content}).encode()
        with self._sending, contextlib.suppress(OSError):  # the host has ended, and `listen` ends this process
            self._socket.sendall(HEADER.pack(len(data)) + data)

    def listen(self, on_message: Callable[[dict[str, Any]], object]) -> None:
        """Pass messages on until the host ends. Runs in a thread, so that the end is noticed while the loop is blocked."""
        while (header := self._exactly(HEADER.size)) and (data := self._exactly(*HEADER.unpack(header))):
            on_message(json.loads(data))
        os.killpg(0, signal.SIGKILL)  # with the processes that handlers have started

    def _exactly(self, size: int) -> bytes:
        """Return so many bytes; nothing once the host has closed the connection."""
        data = bytearray()
        while len(data) < size:
            with contextlib.suppress(ConnectionError):
                more = self._socket.recv(size - len(data))
                if more:
                    data += more
                    continue
            return b""
        return bytes(data)

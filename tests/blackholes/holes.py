"""Servers that fail a client slowly: real sockets on this machine that accept and say nothing, or next to nothing.

with Hole(Kind.SILENT) as hole:
    connect("127.0.0.1", hole.port)     # succeeds, and nothing is ever answered
"""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from enum import StrEnum
from typing import Self

DRIP_SECONDS = 1.0
"""Between two bytes: shorter than any client's time-out for a read, so that such a time-out never ends the call."""

CONNECTIONS = 4
"""Enough of them fill a backlog of one on Linux, which then answers no further SYN."""

TLS_HEADER = b"\x16\x03\x03\x40\x00"
"""A handshake record of 16 KiB is said to follow: https://www.rfc-editor.org/rfc/rfc8446#section-5.1"""

METADATA_ROOT = (
    b"HTTP/1.1 200 OK\r\nMetadata-Flavor: Google\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n"
    b"Connection: close\r\n\r\ncomputeM\n"
)

_RESET = struct.pack("ii", 1, 0)


class Kind(StrEnum):
    """Fault that a client meets."""

    SILENT = "silent"
    """The connection is accepted; nothing is answered."""
    DRIP = "drip"
    """An answer begins, and goes on with one byte a second."""
    FULL = "full"
    """The connection is never accepted: its SYN gets no answer."""
    RESET = "reset"
    """The answer begins; then the connection is reset."""
    TLS = "tls"
    """The server's part of the TLS handshake begins and never ends."""
    METADATA = "metadata"
    """Imitation of Google's metadata server, which says that it is there and never gives a token."""
    RESOLVER = "resolver"
    """A name server that answers no query, over UDP."""


BANNERS = {
    "http": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n",
    "redis": b"$100000\r\n",
    "grpc": b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "amqp": b"AMQP\x03\x01\x00\x00",
}
"""The beginning of an answer, by protocol: HTTP's headers, a long string, an empty SETTINGS frame, the SASL header."""


class Hole:
    """One such server, at `host` and `port`. `protocol`: how its answers begin, for those that begin one."""

    host = "127.0.0.1"

    def __init__(self, kind: Kind, protocol: str = "http") -> None:
        self.kind = kind
        self._banner = BANNERS[protocol]
        self._over = threading.Event()
        self._kept: list[socket.socket] = []
        if kind is Kind.RESOLVER:
            self._listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._listener.bind((self.host, 0))
        else:
            self._listener = socket.create_server((self.host, 0), backlog=0 if kind is Kind.FULL else 128)
        self.port: int = self._listener.getsockname()[1]

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def __enter__(self) -> Self:
        if self.kind is Kind.FULL:
            self._fill()
        elif self.kind is not Kind.RESOLVER:
            threading.Thread(target=self._accept, name="hole", daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for each in (self._listener, *self._kept):
            each.close()

    def _fill(self) -> None:
        """Connections of our own that wait for `accept`, until no more find room."""
        for _ in range(CONNECTIONS):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex((self.host, self.port))
            self._kept.append(client)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._kept.append(client)
                threading.Thread(target=self._serve, args=(client,), name="hole-client", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError):
            if self.kind is Kind.SILENT:
                return
            asked = client.recv(1 << 16)
            match self.kind:
                case Kind.TLS:
                    client.sendall(TLS_HEADER)
                case Kind.METADATA if asked.startswith(b"GET / "):
                    client.sendall(METADATA_ROOT)
                    client.close()
                case Kind.RESET:
                    client.sendall(self._banner[:8])  # a whole "200 OK" is an answer, whatever becomes of its body
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    client.close()
                case Kind.DRIP:
                    self._drip(client)

    def _drip(self, client: socket.socket) -> None:
        for byte in self._banner + b" " * 1000:
            client.sendall(bytes([byte]))
            if self._over.wait(DRIP_SECONDS):
                return

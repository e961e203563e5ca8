"""A TCP proxy that goes wrong when told: what a network does to a client, with real sockets.

    with Proxy("127.0.0.1", 6379) as proxy:
        client = connect(proxy.port)
        proxy.go(Mode.DROP_ANSWER, times=1)     # from now on, once; then it passes again
        client.write(...)                       # has been made, and its answer is lost
        assert (proxy.faults, proxy.requests) == (1, 1)

A request is what a client sends until it is answered: with TLS its handshakes count too.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import Self

QUIET = 0.03
"""Seconds without another byte after which an answer that is thrown away has ended."""

_CHUNK = 1 << 16
_RESET = struct.pack("ii", 1, 0)
_GONE = (OSError, ValueError)
"""Exceptions of a socket that another thread has closed."""


class Mode(StrEnum):
    """Fault of a connection or a request."""

    PASS = "pass"
    REFUSE = "refuse"
    """Those that are open are cut, new ones are reset at once."""
    STALL = "stall"
    """The connection stays open, but nothing is answered any more."""
    DROP_ANSWER = "drop_answer"
    """The request reaches the server; its answer is thrown away, and then the connection is closed."""


class Proxy:
    """Between any client and a server, on a port of its own (`port`, at `host`). Every call is safe for any thread."""

    host = "127.0.0.1"

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.connections = 0
        """Accepted so far, those refused included."""
        self.requests = 0
        """Sent by clients so far, those that met a fault included."""
        self.faults = 0
        """Requests and connections so far that did not pass."""
        self.faulted = threading.Event()
        """Set at each fault; a test that waits for the next one clears it before."""
        self._mode = Mode.PASS
        self._times: int | None = None
        self._lock = threading.Lock()
        self._links: set[_Link] = set()
        self._listener = socket.create_server((self.host, 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, name="proxy", daemon=True)

    def go(self, mode: Mode, times: int | None = None) -> None:
        """This mode from now on: for so many faults, or until told otherwise."""
        with self._lock:
            self._mode, self._times = mode, times
        if mode is Mode.REFUSE:
            self.cut()

    def cut(self) -> int:
        """Close the connections that are open, as a server does with idle ones. How many there were."""
        with self._lock:
            links = list(self._links)
        for link in links:
            link.close()
        return len(links)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        shut(self._listener)
        self._thread.join(10)
        self.cut()
        with self._lock:
            links = list(self._links)
        for link in links:
            link.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except _GONE:
                return
            with self._lock:
                self.connections += 1
            if self.now(of=(Mode.REFUSE,)) is Mode.REFUSE:
                reset(client)
            else:
                self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self.target, timeout=10)
        except OSError:  # there is no server: as if it had been asked directly
            reset(client)
            return
        server.settimeout(None)
        link = _Link(self, client, server)
        with self._lock:
            self._links.add(link)
        link.start()

    def now(self, of: tuple[Mode, ...]) -> Mode:
        """The mode, if it is one of these; PASS otherwise. Counts the fault."""
        with self._lock:
            mode = self._mode
            if mode not in of:
                return Mode.PASS
            self.faults += 1
            if self._times is not None:
                self._times -= 1
                if self._times == 0:
                    self._mode, self._times = Mode.PASS, None
        self.faulted.set()
        return mode

    def asked(self) -> None:
        with self._lock:
            self.requests += 1

    def forget(self, link: _Link) -> None:
        with self._lock:
            self._links.discard(link)


class _Link:
    """One connection: a thread for each direction, so that neither waits for the other."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self.proxy = proxy
        self.client = client
        self.server = server
        self.asking = False
        """The last bytes came from the client."""
        self.fault = Mode.PASS
        """Fault of the current request."""
        self.threads = [
            threading.Thread(target=self._pump, args=args, name="proxy-link", daemon=True)
            for args in ((client, self._from_client), (server, self._from_server))
        ]

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def join(self) -> None:
        for thread in self.threads:
            thread.join(10)

    def close(self) -> None:
        """Ends both threads, and they the sockets."""
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _pump(self, source: socket.socket, handle: Callable[[bytes], None]) -> None:
        with suppress(*_GONE):
            while data := source.recv(_CHUNK):
                handle(data)
        self.close()
        source.close()
        self.proxy.forget(self)

    def _from_client(self, data: bytes) -> None:
        if not self.asking and self.fault is not Mode.STALL:
            self.asking = True
            self.proxy.asked()
            self.fault = self.proxy.now(of=(Mode.STALL, Mode.DROP_ANSWER))
        if self.fault is not Mode.STALL:
            self.server.sendall(data)

    def _from_server(self, data: bytes) -> None:
        if self.fault is Mode.DROP_ANSWER:
            self._drain()
        elif self.fault is not Mode.STALL:
            self.asking = False
            self.client.sendall(data)

    def _drain(self) -> None:
        self.server.settimeout(QUIET)
        while self.server.recv(_CHUNK):
            pass
        # A time-out is an OSError, and so is what another thread makes of the socket: either way this link ends.


def shut(listener: socket.socket) -> None:
    """Close it, and wake the thread that waits for it."""
    with suppress(OSError):  # "not connected", says macOS, and has woken it all the same
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def reset(client: socket.socket) -> None:
    """Close without good-bye: the other side sees a reset."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    client.close()

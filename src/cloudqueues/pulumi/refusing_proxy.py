"""HTTP proxy that refuses every request and records its address."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable
from typing import Self

REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class _Handler(socketserver.StreamRequestHandler):
    timeout = 5.0

    def handle(self) -> None:
        line = self.rfile.readline(2048).decode("latin-1").split()
        assert isinstance(self.server, _Server)
        self.server.record(line[1] if len(line) > 1 else "?")
        self.wfile.write(REFUSED)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, on_refused: Callable[[str], None]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.refused_addresses: list[str] = []
        self._on_refused = on_refused

    def record(self, address: str) -> None:
        self.refused_addresses.append(address)
        self._on_refused(address)


class RefusingProxy:
    """Proxy that runs within a `with`. `on_refused` is called with the address of each request, in the request's thread."""

    def __init__(self, on_refused: Callable[[str], None] = lambda _: None) -> None:
        self._server = _Server(on_refused)
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="cloudqueues-refusing-proxy", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def refused_addresses(self) -> tuple[str, ...]:
        """Hosts and URLs that were asked for, in this order."""
        return tuple(self._server.refused_addresses)

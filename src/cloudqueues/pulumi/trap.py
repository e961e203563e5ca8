"""A proxy that leads nowhere, and remembers who asked for what."""

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
        self.server.hear(line[1] if len(line) > 1 else "?")
        self.wfile.write(REFUSED)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, told: Callable[[str], None]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reached_for: list[str] = []
        self._told = told

    def hear(self, where: str) -> None:
        self.reached_for.append(where)
        self._told(where)


class Trap:
    """Within a `with`. `told` hears of each attempt, in its thread. `reached_for` are hosts and URLs, in the order of the attempts; each was refused."""

    def __init__(self, told: Callable[[str], None] = lambda _: None) -> None:
        self._server = _Server(told)
        self._thread = threading.Thread(target=self._server.serve_forever, name="peeklock-trap", daemon=True)

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
    def reached_for(self) -> tuple[str, ...]:
        return tuple(self._server.reached_for)

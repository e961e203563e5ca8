"""A proxy that leads nowhere, and remembers who asked for what."""

from __future__ import annotations

import socketserver
import threading
from typing import Self

REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class _Handler(socketserver.StreamRequestHandler):
    timeout = 5.0

    def handle(self) -> None:
        line = self.rfile.readline(2048).decode("latin-1").split()
        assert isinstance(self.server, _Server)
        self.server.reached_for.append(line[1] if len(line) > 1 else "?")
        self.wfile.write(REFUSED)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reached_for: list[str] = []


class Trap:
    """Within a `with`. `reached_for` are hosts and URLs, in the order of the attempts; each was refused."""

    def __init__(self) -> None:
        self._server = _Server()
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

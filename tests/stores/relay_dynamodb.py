"""An HTTP relay before a DynamoDB server, with connections that stay open, as the service has them, and faults on order."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

RESET = struct.pack("ii", 1, 0)
"""With it, closing a socket resets its connection."""


class Relay(ThreadingHTTPServer):
    """`fault` is what becomes of each request: `lose` makes it and hangs up, `hang` never answers, a pair of a status and
    the name of an error answers that. Whatever it is, `asked` holds the names of the operations, and `opened` counts the connections."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream = urlsplit(upstream).netloc
        self.fault: Any = None
        self.asked: list[str] = []
        self.opened = 0
        self.released = threading.Event()
        self.connections: set[Handler] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def hang_up(self) -> None:
        """Close all connections that are open, so that their clients can know."""
        for live in list(self.connections):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                live.connection.shutdown(socket.SHUT_RDWR)
            live.gone.wait(10)

    def forget(self) -> None:
        """Give up all connections that are open without a word: a client that uses one learns then."""
        for connection in list(self.connections):
            connection.forgotten = True


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Relay

    def setup(self) -> None:
        super().setup()
        self.forgotten = False
        self.gone = threading.Event()
        self.server.opened += 1
        self.server.connections.add(self)

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()
        self.server.connections.discard(self)
        self.gone.set()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.close_connection = True
        if self.forgotten:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.connection.close()
            return
        self.server.asked.append(self.headers["X-Amz-Target"].partition(".")[2])
        fault = self.server.fault
        if isinstance(fault, tuple):
            payload = {"__type": f"com.amazonaws.dynamodb.v20120810#{fault[1]}", "message": "as it was told to"}
            self._answer(fault[0], json.dumps(payload).encode())
        elif fault == "hang":
            self.server.released.wait(60)
        else:
            status, answer = self._ask(body)
            if fault != "lose":
                self._answer(status, answer)

    def _ask(self, body: bytes) -> tuple[int, bytes]:
        with contextlib.closing(http.client.HTTPConnection(self.server.upstream, timeout=30)) as upstream:
            upstream.request("POST", "/", body, dict(self.headers.items()))
            response = upstream.getresponse()
            return response.status, response.read()

    def _answer(self, status: int, body: bytes) -> None:
        self.close_connection = False
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextlib.contextmanager
def relay(upstream: str) -> Iterator[Relay]:
    server = Relay(upstream)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="relay", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        thread.join()
        server.hang_up()
        server.server_close()

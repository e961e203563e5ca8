"""Google's public keys for the functions on this machine: those of the emulator, at the address of Google's.

A function checks the token of its queue by https://www.googleapis.com/oauth2/v1/certs, and nothing in its environment can
say otherwise: a variable that named other keys would be a way in, in the cloud too. So neither the handler nor peeklock
knows of this. The function's requests go through a proxy (HTTPS_PROXY), which is www.googleapis.com for it, by a
certificate of this run that it trusts alone (REQUESTS_CA_BUNDLE, https://requests.readthedocs.io/en/latest/user/advanced/).
Whatever else it asks for is refused, and told to the proxy that it would have had.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import tempfile
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from peeklock.dev.deployed.certificate import certified
from peeklock.emulators.cloudtasks import oidc, rest
from peeklock.emulators.pulumi.environment import LOCAL

HOST = "www.googleapis.com"
KEYS = {rest.CERTS_PATH: oidc.certificates, rest.KEYS_PATH: oidc.key_set}

SECONDS = 10
"""Of waiting for the other end of a connection."""

PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")


class Keys:
    """The proxy, from `start` to `close`. `folder` is for the certificate to trust."""

    def __init__(self, folder: Path) -> None:
        self._trusted = folder / "googleapis.pem"
        self._server: _Server | None = None

    def start(self) -> None:
        """Raises ConfigError where there is no `cryptography` to make a certificate with."""
        chain, trusted = certified(HOST)
        self._trusted.write_bytes(trusted)
        self._server = _Server(_context(chain))
        threading.Thread(target=self._server.serve_forever, name="peeklock-dev-keys", daemon=True).start()

    def variables(self, environment: Mapping[str, str]) -> dict[str, str]:
        """For a function with this environment; a proxy of its own would lead out of this machine, too."""
        assert self._server is not None, "start it first"
        proxy = f"http://127.0.0.1:{self._server.server_address[1]}"
        own = {name for name in environment if name.upper() in PROXIES}
        away = {name for name in environment if name.upper() == "NO_PROXY"}
        return {
            **dict.fromkeys({"HTTPS_PROXY", "https_proxy"} | own, proxy),
            **dict.fromkeys(away, LOCAL),
            "REQUESTS_CA_BUNDLE": str(self._trusted),
        }

    def onward(self, proxy: str | None) -> None:
        """Who is told of what is refused, by its URL."""
        if self._server is not None:
            self._server.onward = proxy

    def close(self) -> None:
        """Also a second time."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()


def _context(chain: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:  # the one way in; with the key, so gone at once
        file.write(chain)
        file.flush()
        context.load_cert_chain(file.name)
    return context


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.context = context
        self.onward: str | None = None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = SECONDS
    server: _Server

    def handle(self) -> None:
        """Until the other end breaks off, as a function does that is stopped."""
        with contextlib.suppress(OSError):
            super().handle()

    def finish(self) -> None:
        super().finish()
        self.connection.close()

    def do_CONNECT(self) -> None:
        """Google's host is here: what comes after this is for it."""
        if self.path != f"{HOST}:443":
            return self._refuse()
        self.send_response(http.HTTPStatus.OK)
        self.end_headers()
        self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb")
        self.close_connection = False  # a request for a tunnel may be HTTP/1.0
        return None

    def do_GET(self) -> None:
        keys = KEYS.get(self.path)
        if keys is None:
            return self._refuse()
        body = json.dumps(keys()).encode()
        self.send_response(http.HTTPStatus.OK)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        return None

    def _refuse(self) -> None:
        self._tell()
        self.send_response(http.HTTPStatus.FORBIDDEN)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.flush()

    def _tell(self) -> None:
        """Before the answer, so that whoever looks afterwards sees it."""
        parts = urlsplit(self.server.onward or "")
        if parts.hostname:
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=SECONDS)
                with contextlib.closing(connection):
                    connection.request(self.command, self.path)
                    connection.getresponse()

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""

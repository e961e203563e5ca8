"""Port of the management API: HTTP, with TLS or without, by the client's first byte."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

from cloudqueues.servicebus.admin.http import HttpConnection, Reply, Request
from cloudqueues.servicebus.admin.tls import HELLO, TlsTransport

Answer = Callable[[Request], Reply]


class ManagementServer:
    """Server of the management API.

    `context` is called for the first client that uses TLS. A connection is cut after `idle` seconds without a request.
    """

    def __init__(self, answer: Answer, context: Callable[[], ssl.SSLContext], idle: float) -> None:
        self.answer = answer
        self.context = context
        self.idle = idle
        self._open: set[asyncio.Transport] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> int:
        """Listen, and return the port number. Raises OSError."""
        self._server = await asyncio.get_running_loop().create_server(lambda: _Client(self), host, port)
        return int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Stop listening and cut all connections."""
        if self._server is not None:
            self._server.close()
        for transport in self._open:
            transport.abort()

    def opened(self, transport: asyncio.Transport) -> None:
        self._open.add(transport)

    def closed(self, transport: asyncio.Transport) -> None:
        self._open.discard(transport)


class _Client(asyncio.Protocol):
    """Connection of one client, which chooses HTTP or TLS by its first byte."""

    def __init__(self, server: ManagementServer) -> None:
        self._server = server
        self._chosen: HttpConnection | TlsTransport | None = None
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._server.opened(self._transport)
        self._set_timer()

    def data_received(self, data: bytes) -> None:
        if self._chosen is None:
            self._chosen = self._choose(data[0])
        self._chosen.data_received(data)

    def _choose(self, first: int) -> HttpConnection | TlsTransport:
        if first != HELLO:
            return HttpConnection(self._transport, self._answer)
        layer = TlsTransport(self._transport, self._server.context())
        layer.inner = HttpConnection(layer, self._answer)
        return layer

    def _answer(self, request: Request) -> Reply:
        self._timer.cancel()
        self._set_timer()
        return self._server.answer(request)

    def _set_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._server.idle, self._transport.abort)

    def pause_writing(self) -> None:
        if self._chosen is not None:
            self._chosen.pause_writing()

    def resume_writing(self) -> None:
        if self._chosen is not None:
            self._chosen.resume_writing()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._timer.cancel()
        self._server.closed(self._transport)

"""The port of the management API: HTTP, with TLS or without, as the client begins."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

from cloudqueues.servicebus.admin.http import HttpConnection, Reply, Request
from cloudqueues.servicebus.admin.tls import HELLO, TlsTransport

DeliveryResponse = Callable[[Request], Reply]


class ManagementServer:
    """`context` is called for the first client that wants TLS."""

    def __init__(self, answer: DeliveryResponse, context: Callable[[], ssl.SSLContext]) -> None:
        self._answer = answer
        self._context = context
        self._open: set[asyncio.Transport] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> int:
        """Return the port that was taken. Raises OSError."""
        self._server = await asyncio.get_running_loop().create_server(lambda: _TlsDetector(self), host, port)
        return int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Cut all connections, and take no more."""
        if self._server is not None:
            self._server.close()
        for transport in self._open:
            transport.abort()

    def opened(self, transport: asyncio.Transport) -> None:
        self._open.add(transport)

    def gone(self, transport: asyncio.Transport) -> None:
        self._open.discard(transport)

    def chosen(self, transport: asyncio.Transport, first: int) -> asyncio.Protocol:
        """Return what goes on after a client's first byte."""
        if first != HELLO:
            return HttpConnection(transport, self._answer)
        layer = TlsTransport(transport, self._context())
        layer.inner = HttpConnection(layer, self._answer)
        return layer


class _TlsDetector(asyncio.Protocol):
    """Waits for the first byte, and hands all on to what it chooses."""

    def __init__(self, port: ManagementServer) -> None:
        self._port = port
        self._chosen: asyncio.Protocol | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._port.opened(self._transport)

    def data_received(self, data: bytes) -> None:
        if self._chosen is None:
            self._chosen = self._port.chosen(self._transport, data[0])
        self._chosen.data_received(data)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._port.gone(self._transport)

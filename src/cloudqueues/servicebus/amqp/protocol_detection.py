"""Detection of the protocol by a client's first bytes: AMQP, or a WebSocket handshake."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from cloudqueues.servicebus.amqp.websocket import WebSocket

if TYPE_CHECKING:
    from cloudqueues.servicebus.amqp.connection import Connection

_HTTP = b"GET "


class ProtocolDetector(asyncio.Protocol):
    """Protocol that opens a connection once the client is connected, which with TLS is after the handshake."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._first = b""
        self._connection: Connection
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._connection = self._connect()
        self._connection.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._first += data
        if len(self._first) < len(_HTTP):
            return
        http = self._first.startswith(_HTTP)
        chosen = WebSocket(self._transport, self._connection) if http else self._connection
        self._transport.set_protocol(chosen)
        chosen.data_received(self._first)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(exc)

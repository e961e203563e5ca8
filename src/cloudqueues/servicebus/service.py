"""Broker with its AMQP and management ports, in an event loop."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import Callable
from typing import Any

from cloudqueues.faults import Faults
from cloudqueues.http1.server import HttpServer
from cloudqueues.servicebus import message_encoding, settlement
from cloudqueues.servicebus.admin.api import Api
from cloudqueues.servicebus.admin.http import management_server
from cloudqueues.servicebus.admin.tls import TlsOrPlainTransport
from cloudqueues.servicebus.amqp.connection import Connection
from cloudqueues.servicebus.amqp.protocol_detection import ProtocolDetector
from cloudqueues.servicebus.amqp.session import Session
from cloudqueues.servicebus.broker import Broker
from cloudqueues.servicebus.context import BrokerContext
from cloudqueues.servicebus.errors import LinkError
from cloudqueues.servicebus.message import StoredMessage
from cloudqueues.servicebus.nodes import Nodes
from cloudqueues.servicebus.policies import Policies
from cloudqueues.servicebus.tiers import Tier
from cloudqueues.servicebus.tokens import MANAGEMENT
from cloudqueues.timeline import Timeline

BACKLOG = 1024
"""Connections that may wait to be accepted."""
HANDSHAKE = 10.0
"""Seconds that a client has for its TLS handshake."""


class Service:
    """Broker with its ports. Use it in its loop's thread, except `context.faults`, which any thread may replace."""

    def __init__(self, faults: Faults, idle: float, tier: Tier, policies: Policies | None) -> None:
        loop = asyncio.get_running_loop()
        timeline = Timeline(loop)
        self.context = BrokerContext(
            timeline=timeline, call_soon=loop.call_soon, faults=faults, tier=tier, policies=policies
        )
        self.context.detach_links = self._detach_links
        self.broker = Broker(self.context)
        self._idle = idle
        self._nodes = Nodes(self.broker)
        self._connections: set[Connection] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._server: asyncio.Server | None = None
        self._http: HttpServer | None = None

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen for AMQP, with `tls` over TLS only, and return the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: ProtocolDetector(self._connection), host, port, backlog=BACKLOG, ssl=tls,
            ssl_handshake_timeout=None if tls is None else HANDSHAKE,
        )  # fmt: skip
        return int(self._server.sockets[0].getsockname()[1])

    async def listen_http(self, host: str, port: int, context: Callable[[], ssl.SSLContext]) -> int:
        """Listen for the management API, and return the port."""
        self._http = management_server(Api(self.broker).answer, 2 * self._idle)
        return await self._http.listen(host, port, lambda inner: TlsOrPlainTransport(inner, context))

    def _connection(self) -> Connection:
        connection = Connection(self._begin, self.context, self._gone, self._idle)
        self._connections.add(connection)
        self._empty.clear()
        return connection

    def _begin(self, connection: Connection, channel: int, values: list[Any]) -> Session:
        return Session(connection, channel, values, self._nodes.attach)

    def _gone(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def _detach_links(self, path: str, error: LinkError) -> None:
        paths = {path.lower(), path.lower() + MANAGEMENT}
        for session in [session for connection in self._connections for session in connection.sessions.values()]:
            session.detach_links(paths, error)

    async def close(self) -> None:
        """Close the ports and all connections, and wait for their end."""
        if self._server is not None:
            self._server.close()
        if self._http is not None:
            await self._http.close()
        for connection in self._connections:
            connection.abort()
        await self._empty.wait()
        self.context.timeline.close()

    def advance(self, seconds: float) -> None:
        """Move the clock. Everything that becomes due happens in order, each at its own time."""
        self.context.clock_offset += seconds
        self.context.timeline.advance(seconds)

    def stored(self, path: str) -> list[StoredMessage]:
        """Return snapshots of a queue's messages. Raises Refused where the queue does not exist."""
        return [
            message_encoding.stored(message) for message in settlement.peek(self.broker.queue(path), 0, sys.maxsize)
        ]

    def connected(self) -> int:
        """Return the number of open connections."""
        return len(self._connections)

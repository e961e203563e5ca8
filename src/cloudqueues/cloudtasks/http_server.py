"""Small HTTP server: connections, their requests and replies."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from cloudqueues.cloudtasks import http1
from cloudqueues.cloudtasks.grpc_server import MAX_MESSAGE

MAX_BODY = MAX_MESSAGE * 3 // 2
"""Bytes of a request's body: as much as gRPC takes, with the tasks' bodies in base64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Request of a client."""

    method: str
    path: str
    """Path with its percent escapes."""
    query: str
    headers: Mapping[str, str]
    body: bytes
    is_last: bool
    """True when the connection ends with the reply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Response to a request."""

    status: int
    body: bytes
    content_type: str = "application/json; charset=UTF-8"
    headers: Mapping[str, str] = field(default_factory=dict)


class HttpServer:
    """Serves the requests of each connection in their order, and closes one that does not speak HTTP."""

    def __init__(self, answer: Callable[[Call], Awaitable[Reply]], malformed: Callable[[str], Reply]) -> None:
        self._answer = answer
        self._malformed = malformed
        self._open: set[asyncio.StreamWriter] = set()

    async def serve(self, host: str, port: int) -> asyncio.Server:
        return await asyncio.start_server(self._connection, host, port, limit=http1.MAX_HEAD, backlog=1024)

    def close(self) -> None:
        """Break off every connection."""
        for writer in self._open:
            writer.transport.abort()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while await self._serve_request(reader, writer):
                pass
        except (EOFError, OSError):
            pass
        finally:
            self._open.discard(writer)
            with contextlib.suppress(OSError):
                writer.close()

    async def _serve_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request, and return True when another may follow."""
        try:
            call = await _read(reader)
            reply, goes_on = await self._answer(call), not call.is_last
        except http1.Malformed as exc:
            reply, goes_on = self._malformed(str(exc)), False
        writer.write(_bytes_of(reply, goes_on=goes_on))
        await writer.drain()
        return goes_on


async def _read(reader: asyncio.StreamReader) -> Call:
    """Read a request. Raises Malformed and EOFError."""
    head = await http1.read_head(reader)
    method, target, version = head.first
    if not version.startswith("HTTP/1."):
        raise http1.Malformed("this is not a request of HTTP/1")
    try:
        parts = urlsplit(target)
    except ValueError as exc:
        raise http1.Malformed("the target is not a URL") from exc
    body = bytearray()
    async for piece in http1.body(reader, head.headers, until_end=False, limit=MAX_BODY):
        body += piece
    connection = head.headers.get("connection", "close" if version == "HTTP/1.0" else "").lower()
    return Call(
        method=method,
        path=parts.path,
        query=parts.query,
        headers=head.headers,
        body=bytes(body),
        is_last=connection == "close",
    )


def _bytes_of(reply: Reply, *, goes_on: bool) -> bytes:
    headers = {"Content-Type": reply.content_type, "Content-Length": str(len(reply.body)), **reply.headers}
    headers |= {} if goes_on else {"Connection": "close"}
    return http1.write_head(f"HTTP/1.1 {reply.status} -", headers) + reply.body

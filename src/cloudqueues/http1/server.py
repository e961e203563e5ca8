"""Small HTTP server: connections, their requests and replies."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlsplit

from cloudqueues.http1 import messages
from cloudqueues.http1.messages import Malformed

_LOG = logging.getLogger(__name__)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of the requests, in bytes. A connection ends with the first request that exceeds one."""

    body: int
    head: int = messages.MAX_HEAD
    line: int = messages.MAX_HEAD
    """Bytes of the request line."""
    discards_excess: bool = False
    """True to read a body that is too large to its end and discard it, for clients that read no reply before."""
    takes_chunks: bool = True
    idle: float | None = None
    """Seconds after which a connection without a complete request and reply is cut; None for never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Request of a client."""

    method: str
    path: str
    """Path with its percent escapes."""
    query: str
    headers: Mapping[str, str]
    """Headers by lower-case name."""
    body: bytes
    is_too_large: bool = False
    """True for a body that was discarded."""
    connection: str = ""
    """Value of the reply's header `Connection`: `close` when the connection ends with the reply, `keep-alive` where a client of
    HTTP/1.0 needs to be told that it does not, empty otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Response to a request."""

    status: int = HTTPStatus.OK
    phrase: str = ""
    """Reason phrase of the status line; empty for the standard phrase of the status."""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


class HttpServer:
    """Serves the requests of each connection in their order, and closes one that does not speak HTTP.

    `refusal` returns the reply to a malformed request, which is the last of its connection. `answer` may raise Malformed.
    """

    def __init__(
        self, answer: Callable[[Request], Awaitable[Reply]], refusal: Callable[[Malformed], Reply], limits: Limits
    ) -> None:
        self.limits = limits
        self._answer = answer
        self._refusal = refusal
        self._open: set[asyncio.Task[None] | None] = set()
        self._server: asyncio.Server | None = None
        self._is_closed = False

    async def listen(
        self, host: str, port: int, layer: Callable[[asyncio.Protocol], asyncio.Protocol] | None = None
    ) -> int:
        """Listen, and return the port. A `layer` is put below each connection. Raises OSError for a port that is taken."""

        def connect() -> asyncio.Protocol:
            return self.connection() if layer is None else layer(self.connection())

        self._server = await asyncio.get_running_loop().create_server(connect, host, port, backlog=1024)
        self._is_closed = False
        return int(self._server.sockets[0].getsockname()[1])

    def connection(self) -> asyncio.StreamReaderProtocol:
        """Return the protocol that serves a new connection."""
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(limit=self.limits.head), self._serve)

    async def close(self) -> None:
        """Stop listening, and break off every connection."""
        self._is_closed = True
        if self._server is not None:
            self._server.close()
        connections = [task for task in self._open if task is not None]
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._open.add(task)
        try:
            if self._is_closed:  # it was accepted before, and begins only now
                return
            while await self._serve_request(reader, writer):
                pass
            async with asyncio.timeout(self.limits.idle):
                writer.close()
                await writer.wait_closed()
        except (OSError, asyncio.CancelledError):
            pass  # the client has gone or was idle for too long, or the server stops; asyncio logs a cancelled task
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def _serve_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request, and return True when another may follow."""
        async with asyncio.timeout(self.limits.idle):
            is_head = False
            try:
                request = await self._read(reader, writer)
                connection, is_head = request.connection, request.method == "HEAD"
                reply = await self._reply(request)
            except EOFError:
                return False
            except Malformed as malformed:
                reply, connection = self._refusal(malformed), "close"
            writer.write(encode(reply, connection=connection, is_head=is_head))
            await writer.drain()
        await asyncio.sleep(0)  # requests that were sent at once do not keep the loop from others
        return connection != "close"

    async def _reply(self, request: Request) -> Reply:
        try:
            return await self._answer(request)
        except Malformed:
            raise
        except Exception:  # noqa: BLE001 - a bug of an emulator fails this request, and no other
            _LOG.exception("a request could not be answered")
            return Reply(status=HTTPStatus.INTERNAL_SERVER_ERROR)

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request:
        """Read a request. Raises Malformed and EOFError."""
        head = await messages.read_head(reader)
        path, query = self._target(head)
        limit = math.inf if self.limits.discards_excess else self.limits.body
        size = messages.body_size(head.headers, limit=limit)
        if not self.limits.takes_chunks and "transfer-encoding" in head.headers:
            raise Malformed("send a body with its Content-Length", HTTPStatus.LENGTH_REQUIRED)
        if head.headers.get("expect", "").lower() == "100-continue":
            writer.write(_CONTINUE)
        body, is_too_large = bytearray(), False
        async for piece in messages.read_body(reader, size, limit=limit):
            body += piece
            if len(body) > self.limits.body:
                body, is_too_large = bytearray(), True
        return Request(
            method=head.first[0], path=path, query=query, headers=head.headers,
            body=bytes(body), is_too_large=is_too_large, connection=_connection(head),
        )  # fmt: skip

    def _target(self, head: messages.Head) -> tuple[str, str]:
        """Return the path and the query of a request. Raises Malformed."""
        if not head.first[2].startswith("HTTP/1."):
            raise Malformed("this is not a request of HTTP/1")
        if len(" ".join(head.first)) > self.limits.line:
            raise Malformed(
                f"a request line has at most {self.limits.line} characters", HTTPStatus.REQUEST_URI_TOO_LONG
            )
        try:
            parts = urlsplit(head.first[1])
        except ValueError as exc:
            raise Malformed("the target is not a URL") from exc
        return parts.path, parts.query


def _connection(head: messages.Head) -> str:
    options = [option.strip() for option in head.headers.get("connection", "").lower().split(",")]
    if "close" in options:
        return "close"
    if head.first[2] == "HTTP/1.0":
        return "keep-alive" if "keep-alive" in options else "close"
    return ""


def encode(reply: Reply, *, connection: str = "", is_head: bool = False) -> bytes:
    """Return the bytes of a reply. `connection`: value of that header. `is_head`: the reply is to a HEAD, so that its body is left
    out."""
    first = f"HTTP/1.1 {int(reply.status)} {reply.phrase or _PHRASES.get(reply.status, '-')}"
    headers = {**reply.headers, "Content-Length": str(len(reply.body))}
    head = messages.write_head(first, headers | ({"Connection": connection} if connection else {}))
    return head if is_head else head + reply.body

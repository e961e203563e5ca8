"""The HTTP side: buffering a request as a task, which the client has no method for, and the keys to check tokens with."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from peeklock.emulators.cloudtasks import http1, oidc, targets
from peeklock.emulators.cloudtasks.book import Book
from peeklock.emulators.cloudtasks.errors import HTTP_STATUS, Code, Refused, invalid
from peeklock.emulators.cloudtasks.sdk import as_json, new

CERTS_PATH = "/oauth2/v1/certs"
KEYS_PATH = "/oauth2/v3/certs"
# the paths of https://www.googleapis.com, where the real ones are
MAX_BODY = 2 * 2**20
_BUFFER = re.compile(r"/v2(?:beta3)?/(projects/[^/]+/locations/[^/]+/queues/[^/:]+)/tasks(?:/([^/:]+))?:buffer")
_OWN_HEADERS = frozenset(["accept", "authorization", "x-goog-api-key", "x-goog-user-project"])
"""Between the producer and the service; not the task's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that was read."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What is answered."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str]


class Rest:
    """Serves one connection after the other's requests, and closes one that is no HTTP."""

    def __init__(self, book: Book, create: Callable[[Any], Any]) -> None:
        self._book = book
        self._create = create
        self._open: set[asyncio.StreamWriter] = set()

    async def serve(self, host: str, port: int) -> asyncio.Server:
        return await asyncio.start_server(self._connection, host, port, limit=http1.MAX_HEAD, backlog=1024)

    def close(self) -> None:
        """Every connection, at once."""
        for writer in self._open:
            writer.transport.abort()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (EOFError, OSError):
            pass
        finally:
            self._open.discard(writer)
            with contextlib.suppress(OSError):
                writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether another request may follow."""
        try:
            call = await _read(reader)
            reply, goes_on = self.answer(call), call.headers.get("connection", "").lower() != "close"
        except http1.Malformed as exc:
            reply, goes_on = _refusal(invalid(str(exc))), False
        writer.write(_bytes_of(reply))
        await writer.drain()
        return goes_on

    def answer(self, call: Call) -> Reply:
        """Never raises."""
        if call.method == "GET" and call.path in {CERTS_PATH, KEYS_PATH}:
            held = oidc.certificates() if call.path == CERTS_PATH else oidc.key_set()
            return Reply(status=200, body=held, headers={"Cache-Control": "public, max-age=3600"})
        found = _BUFFER.fullmatch(call.path)
        if call.method != "POST" or found is None:
            return _refusal(Refused(Code.NOT_FOUND, f"The requested URL {call.path} was not found on this server."))
        try:
            return self._buffer(found[1], found[2] or "", call)
        except Refused as refused:
            return _refusal(refused)

    def _buffer(self, queue: str, task_id: str, call: Call) -> Reply:
        """A task from a request. Its URL and method are the queue's. Raises Refused."""
        target = self._book.queue(queue).message.http_target
        task = new("Task", name=f"{queue}/tasks/{task_id}" if task_id else "")
        task.http_request.url = _url_of(target)
        task.http_request.http_method = target.http_method
        if targets.METHODS[target.http_method or 1] in targets.WITH_BODY:
            task.http_request.body = call.body
        task.http_request.headers.update({k: v for k, v in call.headers.items() if k not in _OWN_HEADERS})
        made = self._create(new("CreateTaskRequest", parent=queue, task=task))
        return Reply(status=200, body={"task": as_json(made)}, headers={})


def _url_of(target: Any) -> str:
    """Where a queue sends what has no URL itself. Raises Refused for one that sends nowhere."""
    if not target.uri_override.HasField("host"):
        raise invalid("The queue has no http_target with a host: a request can be buffered only where one is set.")
    uri = target.uri_override
    enforced = new("HttpTarget")
    enforced.uri_override.CopyFrom(uri)
    enforced.uri_override.ClearField("uri_override_enforce_mode")
    return targets.address("https://unset.invalid/", enforced)


async def _read(reader: asyncio.StreamReader) -> Call:
    """Raises Malformed and EOFError."""
    head = await http1.read_head(reader)
    method, target, version = head.first
    if not version.startswith("HTTP/1."):
        raise http1.Malformed("no HTTP/1 request")
    body = bytearray()
    async for piece in http1.body(reader, head.headers, until_end=False):
        body += piece
        if len(body) > MAX_BODY:
            raise http1.Malformed("the body is too large")
    try:
        path = unquote(urlsplit(target).path)
    except ValueError as exc:
        raise http1.Malformed("no URL") from exc
    return Call(method=method, path=path, headers=head.headers, body=bytes(body))


def _refusal(refused: Refused) -> Reply:
    status = HTTP_STATUS.get(refused.code, 500)
    error = {"code": status, "message": refused.text, "status": refused.code.name}
    return Reply(status=status, body={"error": error}, headers={})


def _bytes_of(reply: Reply) -> bytes:
    body = json.dumps(reply.body, indent=2).encode()
    headers = {"Content-Type": "application/json; charset=UTF-8", "Content-Length": str(len(body)), **reply.headers}
    return http1.write_head(f"HTTP/1.1 {reply.status} -", headers) + body

"""The Lambda runtime API, from which a function's process gets events, and to which it posts its results.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

from cloudqueues.quotas.aws import EVENT_BYTES
from cloudqueues.sqs_lambda import http1

MAX_RESPONSE = EVENT_BYTES + 100
"""Bytes. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

PREFIX = "/2018-06-01/runtime/"
_ANSWER = re.compile(r"invocation/([^/]+)/(response|error)")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeEvent:
    """Event for the process, with headers for the handler's context."""

    request_id: str
    event: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationResult:
    """Result that the process posted."""

    kind: Literal["response", "error"]
    body: bytes

    @property
    def error(self) -> str | None:
        """Error as `ValueError: text`; None for a response."""
        return _error_text(self.body) if self.kind == "error" else None


_RESPONSE_TOO_LARGE = InvocationResult(
    kind="error",
    body=json.dumps(
        {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": "the answer is longer than 6 MB"}
    ).encode(),
)


class RuntimeApi:
    """Runtime API of one process, on a port of its own, as in Lambda."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        """Set while the process waits for an event, after it was initialised."""
        self.init_error: str | None = None
        self._events: asyncio.Queue[RuntimeEvent] = asyncio.Queue()
        self._answers: dict[str, asyncio.Future[InvocationResult]] = {}
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> str:
        """Start to serve, and return `host:port` for the process's environment."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=http1.MAX_HEAD)
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    def dispatch(self, event: RuntimeEvent) -> asyncio.Future[InvocationResult]:
        """Hand an event to the process, and return the future of its result."""
        answer = asyncio.get_running_loop().create_future()
        self._answers = {event.request_id: answer}
        self._events.put_nowait(event)
        return answer

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await http1.read_request(reader, MAX_RESPONSE)) is not None:
                writer.write(await self._answer(request))
                await writer.drain()
        except http1.BadRequestError as exc:
            writer.write(_failure(HTTPStatus.BAD_REQUEST, "InvalidRequest", str(exc)))
        except ConnectionError:
            return  # the process has ended, which `FunctionProcess.exited` reports
        finally:
            writer.close()

    async def _answer(self, request: http1.Request) -> bytes:
        what = request.path.removeprefix(PREFIX)
        if request.method == "GET" and what == "invocation/next":
            return await self._next()
        if request.method == "POST" and what == "init/error":
            self.init_error = _error_text(request.body or b"")
            return http1.answer(HTTPStatus.ACCEPTED, b'{"status":"OK"}')
        posted = _ANSWER.fullmatch(what)
        if request.method == "POST" and posted is not None:
            return self._take(posted[1], posted[2], request.body)
        return _failure(HTTPStatus.NOT_FOUND, "NotFound", f"{request.method} {request.path} is not of this API")

    async def _next(self) -> bytes:
        self.asked.set()
        runtime_event = await self._events.get()
        self.asked.clear()
        return http1.answer(HTTPStatus.OK, runtime_event.event, runtime_event.headers)

    def _take(self, request_id: str, kind: str, body: bytes | None) -> bytes:
        answer = self._answers.pop(request_id, None)
        if answer is None or answer.done():
            return _failure(HTTPStatus.BAD_REQUEST, "InvalidRequestID", "no such invocation is under way")
        if body is None:
            answer.set_result(_RESPONSE_TOO_LARGE)
            return _failure(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "RequestEntityTooLarge", "at most 6 MB")
        answer.set_result(InvocationResult(kind="error" if kind == "error" else "response", body=body))
        return http1.answer(HTTPStatus.ACCEPTED, b'{"status":"OK"}')


def _failure(status: HTTPStatus, kind: str, text: str) -> bytes:
    return http1.answer(status, json.dumps({"errorType": kind, "errorMessage": text}).encode())


def _error_text(body: bytes) -> str:
    try:
        error = json.loads(body)
        return f"{error['errorType']}: {error['errorMessage']}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return body[:1000].decode(errors="replace")

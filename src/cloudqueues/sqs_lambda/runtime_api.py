"""The Lambda runtime API, from which a function's process gets events, and to which it posts its results.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

from cloudqueues.http1.messages import Malformed
from cloudqueues.http1.server import HttpServer, Limits, Reply, Request
from cloudqueues.quotas.aws import EVENT_BYTES

MAX_RESPONSE = EVENT_BYTES + 100
"""Bytes. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

_MAX_HEAD = 2 * 1024 * 1024
"""Bytes of the head of a request: a header of up to 1 MB repeats a function's error."""

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
        self._events: deque[RuntimeEvent] = deque()
        self._next: asyncio.Future[RuntimeEvent | None] | None = None
        """Event that the process waits for; None in it once another request waits for it."""
        self._answers: dict[str, asyncio.Future[InvocationResult]] = {}
        limits = Limits(head=_MAX_HEAD, body=MAX_RESPONSE, discards_excess=True, takes_chunks=False)
        self._server = HttpServer(self._answer, _malformed, limits)

    async def start(self) -> str:
        """Start to serve, and return `host:port` for the process's environment."""
        host = "127.0.0.1"
        return f"{host}:{await self._server.listen(host, 0)}"

    def dispatch(self, event: RuntimeEvent) -> asyncio.Future[InvocationResult]:
        """Hand an event to the process, and return the future of its result."""
        answer = asyncio.get_running_loop().create_future()
        self._answers = {event.request_id: answer}
        self._events.append(event)
        self._hand_over()
        return answer

    async def close(self) -> None:
        await self._server.close()

    async def _answer(self, request: Request) -> Reply:
        what = request.path.removeprefix(PREFIX)
        if request.method == "GET" and what == "invocation/next":
            return await self._take_event()
        if request.method == "POST" and what == "init/error":
            self.init_error = _error_text(request.body)
            return _ACCEPTED
        posted = _ANSWER.fullmatch(what)
        if request.method == "POST" and posted is not None:
            return self._take(posted[1], posted[2], request)
        return _failure(HTTPStatus.NOT_FOUND, "NotFound", f"{request.method} {request.path} is not of this API")

    async def _take_event(self) -> Reply:
        """Wait for an event. A process waits for one at a time: its earlier request belongs to a connection that it has
        given up, and an event must not go there."""
        if self._next is not None and not self._next.done():
            self._next.set_result(None)
        self._next = asyncio.get_running_loop().create_future()
        self.asked.set()
        self._hand_over()
        runtime_event = await self._next
        if runtime_event is None:
            return _failure(HTTPStatus.CONFLICT, "Conflict", "another request waits for the next invocation")
        return _reply(HTTPStatus.OK, runtime_event.event, runtime_event.headers)

    def _hand_over(self) -> None:
        if self._events and self._next is not None and not self._next.done():
            self.asked.clear()
            self._next.set_result(self._events.popleft())

    def _take(self, request_id: str, kind: str, request: Request) -> Reply:
        answer = self._answers.pop(request_id, None)
        if answer is None or answer.done():
            return _failure(HTTPStatus.BAD_REQUEST, "InvalidRequestID", "no such invocation is under way")
        if request.is_too_large:
            answer.set_result(_RESPONSE_TOO_LARGE)
            return _failure(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "RequestEntityTooLarge", "at most 6 MB")
        answer.set_result(InvocationResult(kind="error" if kind == "error" else "response", body=request.body))
        return _ACCEPTED


def _failure(status: HTTPStatus, kind: str, text: str) -> Reply:
    return _reply(status, json.dumps({"errorType": kind, "errorMessage": text}).encode())


def _malformed(malformed: Malformed) -> Reply:
    return _failure(HTTPStatus.BAD_REQUEST, "InvalidRequest", str(malformed))


def _reply(status: HTTPStatus, body: bytes, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status=status, body=body, headers={"Content-Type": "application/json", **(headers or {})})


_ACCEPTED = _reply(HTTPStatus.ACCEPTED, b'{"status":"OK"}')


def _error_text(body: bytes) -> str:
    try:
        error = json.loads(body)
        return f"{error['errorType']}: {error['errorMessage']}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return body[:1000].decode(errors="replace")

"""HTTP/1.1 requests and replies, to the extent that administration clients use them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from cloudqueues.servicebus.admin.values import digits

_LOG = logging.getLogger(__name__)

LONGEST_LINE = 8 * 1024
LONGEST_HEAD = 64 * 1024
LONGEST_BODY = 2**20
"""Bytes of the head and of the body."""
_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    path: str
    """Decoded path without leading and trailing slashes."""
    query: Mapping[str, str]
    """Query parameters by lower-case name."""
    headers: Mapping[str, str]
    """Headers by lower-case name."""
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    status: HTTPStatus = HTTPStatus.OK
    phrase: str = ""
    """Reason phrase of the status line; empty for the standard phrase of the status."""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


class Writer(Protocol):
    """Transport that answers are written to, or a TLS layer on one."""

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def write(self, data: bytes, /) -> None: ...
    def is_closing(self) -> bool: ...
    def close(self) -> None: ...


class Malformed(Exception):
    """Request that is malformed or exceeds a limit; the text says why."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    method: str
    target: str
    headers: Mapping[str, str]
    length: int
    is_last: bool
    """True if the connection closes after the reply."""


class HttpConnection(asyncio.Protocol):
    """HTTP connection of one client. It answers one request per turn of the event loop, while the client reads the
    replies."""

    def __init__(self, writer: Writer, answer: Callable[[Request], Reply]) -> None:
        self._writer = writer
        self._answer = answer
        self._in = bytearray()
        self._head: Head | None = None
        self._is_scheduled = False
        self._is_full = False

    # -- asyncio protocol

    def data_received(self, data: bytes) -> None:
        self._in += data
        if not self._is_scheduled:
            self._work()
        if self._is_scheduled or self._is_full:
            self._writer.pause_reading()

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self._schedule()

    # -- requests

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._work)

    def _work(self) -> None:
        """Answer one request and schedule the next."""
        self._is_scheduled = False
        if self._is_full or self._writer.is_closing():
            return
        try:
            is_answered = self._next()
        except Malformed as malformed:
            self._write(Reply(status=malformed.status, body=f"{malformed}\n".encode()), is_last=True)
            return
        if is_answered and self._in:
            self._schedule()
        else:
            self._writer.resume_reading()

    def _next(self) -> bool:
        """Answer the next request, or return False while it is incomplete."""
        head = self._head = self._head or self._take_head()
        if head is None or len(self._in) < head.length:
            return False
        body = bytes(self._in[: head.length])
        del self._in[: head.length]
        self._head = None
        self._write(self._reply(_request(head, body)), is_last=head.is_last)
        return True

    def _reply(self, request: Request) -> Reply:
        try:
            return self._answer(request)
        except Exception:  # noqa: BLE001 - a bug of the emulator fails this request, and no other
            _LOG.exception("a request to the management API could not be answered")
            return Reply(status=HTTPStatus.INTERNAL_SERVER_ERROR)

    def _take_head(self) -> Head | None:
        size = self._in.find(_END)
        if max(size, len(self._in) if size < 0 else 0) > LONGEST_HEAD:
            raise Malformed(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a head has at most {LONGEST_HEAD} bytes")
        if size < 0:
            return None
        head = _head(self._in[:size].decode("latin-1"))
        del self._in[: size + len(_END)]
        if head.headers.get("expect", "").lower() == "100-continue" and len(self._in) < head.length:
            self._writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return head

    def _write(self, reply: Reply, *, is_last: bool) -> None:
        headers = {**reply.headers, "Content-Length": str(len(reply.body))}
        if is_last:
            headers["Connection"] = "close"
        fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        line = f"HTTP/1.1 {reply.status.value} {reply.phrase or reply.status.phrase}\r\n"
        self._writer.write(f"{line}{fields}\r\n".encode("latin-1") + reply.body)
        if is_last:
            self._writer.close()


def _head(text: str) -> Head:
    line, *rest = text.split("\r\n")
    words = line.split(" ")
    if len(line) > LONGEST_LINE:
        raise Malformed(HTTPStatus.REQUEST_URI_TOO_LONG, f"a request line has at most {LONGEST_LINE} characters")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):  # noqa: PLR2004 - method, target and version
        raise Malformed(HTTPStatus.BAD_REQUEST, "this is not an HTTP/1.1 request")
    pairs = (header.partition(":") for header in rest)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    is_last = words[2] == "HTTP/1.0" or headers.get("connection", "").lower() == "close"
    return Head(method=words[0], target=words[1], headers=headers, length=_length(headers), is_last=is_last)


def _length(headers: Mapping[str, str]) -> int:
    if "transfer-encoding" in headers:
        raise Malformed(HTTPStatus.LENGTH_REQUIRED, "send a body with its Content-Length")
    text = headers.get("content-length", "0")
    length = digits(text)
    if length is None:
        raise Malformed(HTTPStatus.BAD_REQUEST, f"the Content-Length {text!r} is not a number")
    if length > LONGEST_BODY:
        raise Malformed(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {LONGEST_BODY} bytes")
    return length


def _request(head: Head, body: bytes) -> Request:
    try:
        parts = urlsplit(head.target)
    except ValueError as exc:
        raise Malformed(HTTPStatus.BAD_REQUEST, f"the target {head.target!r} is not an address: {exc}") from exc
    query = {name.lower(): value for name, value in parse_qsl(parts.query)}
    path = unquote(parts.path).strip("/")
    return Request(method=head.method, path=path, query=query, headers=head.headers, body=body)

"""Requests and answers of HTTP/1.1, as little of it as administration clients use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from cloudqueues.servicebus.admin.values import digits

LONGEST_HEAD = 64 * 1024
LONGEST_BODY = 2**20
"""Bytes."""
_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    path: str
    """Decoded, without the slashes around it."""
    query: Mapping[str, str]
    """By names in lower case."""
    headers: Mapping[str, str]
    """By names in lower case."""
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    status: HTTPStatus = HTTPStatus.OK
    phrase: str = ""
    """In the status line; empty for the status' own."""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


class Writer(Protocol):
    """What answers are written to: a transport, or a TLS layer on one."""

    def write(self, data: bytes, /) -> None: ...
    def is_closing(self) -> bool: ...
    def close(self) -> None: ...


class Malformed(Exception):
    """What came is no request, or none that is taken; the text says why."""

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
    """Whether the connection ends with the answer."""


class HttpConnection(asyncio.Protocol):
    """Answers the requests of one connection, one after the other."""

    def __init__(self, writer: Writer, answer: Callable[[Request], Reply]) -> None:
        self._writer = writer
        self._answer = answer
        self._in = bytearray()
        self._head: Head | None = None

    def data_received(self, data: bytes) -> None:
        self._in += data
        try:
            while not self._writer.is_closing() and self._next():
                pass
        except Malformed as malformed:
            self._write(Reply(status=malformed.status, body=f"{malformed}\n".encode()), is_last=True)

    def _next(self) -> bool:
        """Take the next head or body; return False while it has not all come."""
        head = self._head
        if head is None:
            return self._take_head()
        if len(self._in) < head.length:
            return False
        body = bytes(self._in[: head.length])
        del self._in[: head.length]
        self._head = None
        self._write(self._answer(_request(head, body)), is_last=head.is_last)
        return True

    def _take_head(self) -> bool:
        text, end, _ = self._in.partition(_END)
        if len(text) > LONGEST_HEAD:
            raise Malformed(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"a head has at most {LONGEST_HEAD} bytes")
        if end:
            del self._in[: len(text) + len(end)]
            self._head = _head(text.decode("latin-1"))
        return bool(end)

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
    if len(words) != 3 or not words[2].startswith("HTTP/1."):  # noqa: PLR2004 - method, target and version
        raise Malformed(HTTPStatus.BAD_REQUEST, "this is no request of HTTP/1.1")
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
        raise Malformed(HTTPStatus.BAD_REQUEST, f"the Content-Length {text!r} is no number")
    if length > LONGEST_BODY:
        raise Malformed(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {LONGEST_BODY} bytes")
    return length


def _request(head: Head, body: bytes) -> Request:
    parts = urlsplit(head.target)
    query = {name.lower(): value for name, value in parse_qsl(parts.query)}
    path = unquote(parts.path).strip("/")
    return Request(method=head.method, path=path, query=query, headers=head.headers, body=body)

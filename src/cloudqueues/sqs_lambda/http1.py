"""The part of HTTP/1.1 that the Lambda runtime API uses: requests and responses with a length, and kept connections."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

MAX_HEAD = 2 * 1024 * 1024
"""Largest head of a request, in bytes: a header of up to 1 MB repeats a function's error."""

_PIECE = 64 * 1024


class BadRequestError(Exception):
    """Raised for a malformed request, after which the connection cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    """Headers, with their names in lower case."""
    body: bytes | None
    """Body, or None if it was longer than allowed and discarded."""


async def read_request(reader: asyncio.StreamReader, max_body: int) -> Request | None:
    """Return the next request, or None at the end of the connection. Raises BadRequestError."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        method, path, headers = _head(head)
        body = await _body(reader, _length(headers), max_body)
    except asyncio.LimitOverrunError as exc:
        raise BadRequestError("a head that does not end") from exc
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return Request(method=method, path=path, headers=headers, body=body)


def _head(head: bytes) -> tuple[str, str, dict[str, str]]:
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):  # noqa: PLR2004 - method, path, version
        raise BadRequestError("not a request of HTTP/1")
    pairs = [line.partition(":") for line in lines]
    return words[0], words[1], {name.strip().lower(): value.strip() for name, _, value in pairs}


def _length(headers: Mapping[str, str]) -> int:
    length = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not (length.isascii() and length.isdigit()):
        raise BadRequestError("a body takes a content-length")
    return int(length)


async def _body(reader: asyncio.StreamReader, length: int, most: int) -> bytes | None:
    if length <= most:
        return await reader.readexactly(length)
    while length > 0:
        length -= len(await reader.readexactly(min(length, _PIECE)))
    return None


def answer(status: HTTPStatus, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """Return a response with a JSON body."""
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body

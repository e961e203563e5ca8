"""HTTP/1.1 messages on asyncio's streams, for a dispatcher and a small server."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

MAX_HEAD = 64 * 1024
CHUNK = 64 * 1024


class Malformed(Exception):
    """Data that is not an HTTP message, or a message that is too large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """First line and headers of a message."""

    first: tuple[str, str, str]
    """Three parts of the first line of a request or a response."""
    headers: Mapping[str, str]
    """Headers by their names in lower case; of several with one name the last."""


async def read_head(reader: asyncio.StreamReader) -> Head:
    """Read the head of a message. Raises Malformed, and EOFError when the connection ends before."""
    try:
        text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.LimitOverrunError as exc:
        raise Malformed("the head is too long") from exc
    first, *lines = text[:-4].split("\r\n")
    parts = first.split(" ", 2)
    if len(parts) < 2:  # noqa: PLR2004 - the reason may be missing
        raise Malformed("the first line is incomplete")
    return Head(first=(parts[0], parts[1], parts[2] if parts[2:] else ""), headers=dict(map(_header, lines)))


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name or name != name.strip():
        raise Malformed("a line is not a header")
    return name.lower(), value.strip()


def _number(text: str, base: int = 10) -> int:
    if not text.isascii() or not text.isalnum():
        raise Malformed("a length is not a number")
    try:
        return int(text, base)
    except ValueError as exc:
        raise Malformed("a length is not a number") from exc


def is_chunked(headers: Mapping[str, str]) -> bool:
    return headers.get("transfer-encoding", "").lower().endswith("chunked")


async def body(
    reader: asyncio.StreamReader, headers: Mapping[str, str], *, until_end: bool, limit: float = math.inf
) -> AsyncIterator[bytes]:
    """Yield a body in pieces. `until_end`: a body without a length ends with the connection, as only a response's may.

    Raises Malformed, for more than `limit` bytes before they are read, and EOFError when the connection ends within it.
    """
    if is_chunked(headers):
        async for piece in _chunks(reader, limit):
            yield piece
    elif "content-length" in headers:
        async for piece in _exactly(reader, _within(_number(headers["content-length"]), limit)):
            yield piece
    elif until_end:
        while piece := await reader.read(CHUNK):
            yield piece


async def _exactly(reader: asyncio.StreamReader, left: int) -> AsyncIterator[bytes]:
    while left:
        piece = await reader.read(min(left, CHUNK))
        if not piece:
            raise EOFError
        left -= len(piece)
        yield piece


def _within(size: int, limit: float) -> int:
    if size > limit:
        raise Malformed("the body is too large")
    return size


async def _chunks(reader: asyncio.StreamReader, limit: float) -> AsyncIterator[bytes]:
    while size := _number((await _line(reader)).partition(b";")[0].strip().decode("latin-1"), 16):
        limit -= _within(size, limit)
        async for piece in _exactly(reader, size):
            yield piece
        if await _line(reader):
            raise Malformed("a chunk is longer than its size")
    while await _line(reader):  # trailers
        pass


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return (await reader.readuntil(b"\r\n"))[:-2]
    except asyncio.LimitOverrunError as exc:
        raise Malformed("a line is too long") from exc


def write_head(first: str, headers: Mapping[str, str]) -> bytes:
    """Encode a head. Headers must not contain line breaks; those of tasks are replaced before."""
    lines = [first, *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

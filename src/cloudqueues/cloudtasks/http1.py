"""HTTP/1.1 over asyncio's streams, as little of it as a dispatcher and a small server need."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

MAX_HEAD = 64 * 1024
CHUNK = 64 * 1024


class Malformed(Exception):
    """What came is no HTTP message, or a larger one than is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """All that stands before a body."""

    first: tuple[str, str, str]
    """The three parts of a request's or an answer's first line."""
    headers: Mapping[str, str]
    """By their names in lower case; the last one where there are several."""


async def read_head(reader: asyncio.StreamReader) -> Head:
    """Raises Malformed, and EOFError when the other side ends before."""
    try:
        text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.LimitOverrunError as exc:
        raise Malformed("the head is too long") from exc
    first, *lines = text[:-4].split("\r\n")
    parts = first.split(" ", 2)
    if len(parts) < 2:  # noqa: PLR2004 - a reason may be missing
        raise Malformed("no first line")
    return Head(first=(parts[0], parts[1], parts[2] if parts[2:] else ""), headers=dict(map(_header, lines)))


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name or name != name.strip():
        raise Malformed("no header")
    return name.lower(), value.strip()


def _number(text: str, base: int = 10) -> int:
    if not text.isascii() or not text.isalnum():
        raise Malformed("no length")
    try:
        return int(text, base)
    except ValueError as exc:
        raise Malformed("no length") from exc


def is_chunked(headers: Mapping[str, str]) -> bool:
    return headers.get("transfer-encoding", "").lower().endswith("chunked")


async def body(reader: asyncio.StreamReader, headers: Mapping[str, str], *, until_end: bool) -> AsyncIterator[bytes]:
    """In pieces. Until end: one without a length goes on until the other side closes, as only an answer may.

    Raises Malformed, and EOFError when the other side ends within it.
    """
    if is_chunked(headers):
        async for piece in _chunks(reader):
            yield piece
    elif "content-length" in headers:
        async for piece in _exactly(reader, _number(headers["content-length"])):
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


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := _number((await _line(reader)).partition(b";")[0].strip().decode("latin-1"), 16):
        async for piece in _exactly(reader, size):
            yield piece
        if await _line(reader):
            raise Malformed("a chunk is longer than it says")
    while await _line(reader):  # trailers
        pass


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return (await reader.readuntil(b"\r\n"))[:-2]
    except asyncio.LimitOverrunError as exc:
        raise Malformed("a line is too long") from exc


def write_head(first: str, headers: Mapping[str, str]) -> bytes:
    """Nothing in a header begins another one: its line breaks were replaced before."""
    lines = [first, *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

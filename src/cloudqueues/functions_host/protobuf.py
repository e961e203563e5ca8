"""Protobuf encoding for the settlement service: messages of strings, bytes and nested messages.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MORE = 0x80


def fields(data: bytes) -> dict[int, bytes]:
    """Return a message's fields with a length, by number; of a repeated field the last, as in protobuf. Raises ValueError."""
    return dict(_read(data))


def _read(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == _LENGTH:
            size, at = _varint(data, at)
            yield key >> 3, data[at : at + size]
            at += size
        else:
            at = _skip(data, at, kind)
    if at != len(data):
        raise ValueError("the message ends within a field")


def _skip(data: bytes, at: int, kind: int) -> int:
    """Return the position after a field of another kind, which a later version may have added."""
    if kind == _VARINT:
        return _varint(data, at)[1]
    if kind in {_FIXED64, _FIXED32}:
        return at + (8 if kind == _FIXED64 else 4)
    raise ValueError(f"no such wire type: {kind}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        byte, at = data[at], at + 1
        value |= (byte & 0x7F) << shift
        if byte < _MORE:
            return value, at
        shift += 7
    raise ValueError("the message ends within a number")


def number(field: int, value: int) -> bytes:
    """Encode a field with a non-negative integer; nothing for 0, which is its default."""
    return _encoded(field << 3 | _VARINT) + _encoded(value) if value else b""


def chunk(field: int, value: bytes) -> bytes:
    """Encode a field with bytes or a message."""
    return _encoded(field << 3 | _LENGTH) + _encoded(len(value)) + value


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value >= _MORE:
        out.append(value & 0x7F | _MORE)
        value >>= 7
    out.append(value)
    return bytes(out)

"""Strict AMQP decoder: raises AmqpError for any bytes that are not valid AMQP.

Widths are lost: all integers become int, symbols str, timestamps datetime in UTC. To pass a value on unchanged, keep
its bytes, which `scan` finds without decoding.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeGuard

from cloudqueues.servicebus.amqp.scan import DEEPEST, within
from cloudqueues.servicebus.errors import DECODE, AmqpError

MOST = 16
"""Maximum elements of an array whose elements take no bytes, whose number the size does not bound. A frame can hold
thousands of such arrays; with this limit it has not many more values than bytes."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)
_SIZE = struct.Struct(">I")
_SIZES = struct.Struct(">II")
_WRONG = (struct.error, IndexError, UnicodeDecodeError, TypeError, OverflowError)
"""Exceptions of decoding truncated or invalid bytes."""

Decoder = Callable[[bytes, int, int], tuple[Any, int]]


@dataclass(frozen=True, slots=True)
class Described:
    """Value with its descriptor."""

    descriptor: object
    value: Any


def decode(data: bytes, at: int = 0) -> tuple[Any, int]:
    """Return the value that begins at `at`, and the position of its end."""
    try:
        return _value(data, at, DEEPEST)
    except _WRONG as exc:
        raise AmqpError(DECODE, f"invalid AMQP value at byte {at}: {exc}") from exc


def whole(data: bytes) -> Any:
    """Return the value that takes up all of `data`."""
    value, end = decode(data)
    if end != len(data):
        raise AmqpError(DECODE, f"{len(data) - end} bytes after the value")
    return value


def is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def is_map(value: object) -> TypeGuard[dict[Any, Any]]:
    return isinstance(value, dict)


def listed(value: object) -> list[Any]:
    """Return a list as it is, or an empty list for any other value."""
    return value if is_list(value) else []


def mapped(value: object) -> dict[Any, Any]:
    """Return a map as it is, or an empty map for any other value."""
    return value if is_map(value) else {}


def _value(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    decoder = _DECODERS[data[at]]
    if decoder is None or not depth:
        raise AmqpError(
            DECODE, f"constructor {data[at]:#04x} at byte {at} is {'unknown' if depth else 'nested too deeply'}"
        )
    return decoder(data, at + 1, depth - 1)


def _described(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    descriptor, at = _value(data, at, depth)
    inner, at = _value(data, at, depth)
    return Described(descriptor, inner), at


def _constant(result: Any) -> Decoder:
    return lambda _data, at, _depth: (result, at)


def _empty(_data: bytes, at: int, _depth: int) -> tuple[Any, int]:
    return [], at


def _fixed(layout: str, make: Callable[[Any], Any] | None = None) -> Decoder:
    reader = struct.Struct(layout)
    width, unpack = reader.size, reader.unpack_from

    def plain(data: bytes, at: int, _depth: int) -> tuple[Any, int]:
        return unpack(data, at)[0], at + width

    def made(data: bytes, at: int, _depth: int) -> tuple[Any, int]:
        return make(unpack(data, at)[0]), at + width  # type: ignore[misc] # only chosen when there is one

    return made if make else plain


def _moment(milliseconds: int) -> datetime:
    """Return a time, clamped to the range of datetime: the largest TimeSpan of .NET is beyond it."""
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return _LAST if milliseconds > 0 else _FIRST


def _short(make: Callable[[bytes], Any]) -> Decoder:
    def read(data: bytes, at: int, _depth: int) -> tuple[Any, int]:
        end = within(data, at + 1 + data[at])
        return make(data[at + 1 : end]), end

    return read


def _long(make: Callable[[bytes], Any]) -> Decoder:
    def read(data: bytes, at: int, _depth: int) -> tuple[Any, int]:
        end = within(data, at + 4 + _SIZE.unpack_from(data, at)[0])
        return make(data[at + 4 : end]), end

    return read


def _text(data: bytes) -> str:
    return data.decode()


def _symbol(data: bytes) -> str:
    return data.decode("ascii")


Build = Callable[[bytes, int, int, int], tuple[Any, int]]


def _narrow(build: Build) -> Decoder:
    def read(data: bytes, at: int, depth: int) -> tuple[Any, int]:
        end = within(data, at + 1 + data[at])
        return _exactly(build(data, at + 2, data[at + 1], depth), end)

    return read


def _wide(build: Build) -> Decoder:
    def read(data: bytes, at: int, depth: int) -> tuple[Any, int]:
        size, count = _SIZES.unpack_from(data, at)
        end = within(data, at + 4 + size)
        if count > max(size, MOST):
            raise AmqpError(DECODE, f"{count} elements in {size} bytes")
        return _exactly(build(data, at + 8, count, depth), end)

    return read


def _exactly(decoded: tuple[Any, int], end: int) -> tuple[Any, int]:
    if decoded[1] != end:
        raise AmqpError(DECODE, f"a compound value of {end} bytes has {decoded[1]} bytes of elements")
    return decoded


def _list(data: bytes, at: int, count: int, depth: int) -> tuple[Any, int]:
    items: list[Any] = []
    for _ in range(count):
        item, at = _value(data, at, depth)
        items.append(item)
    return items, at


def _map(data: bytes, at: int, count: int, depth: int) -> tuple[Any, int]:
    items, at = _list(data, at, count, depth)
    if count % 2:
        raise AmqpError(DECODE, "a map with a key and no value")
    return dict(zip(items[::2], items[1::2], strict=True)), at


def _array(data: bytes, at: int, count: int, depth: int) -> tuple[Any, int]:
    descriptor, code = None, data[at]
    at += 1
    if not code:
        descriptor, at = _value(data, at, depth)
        code = data[at]
        at += 1
    decoder = _DECODERS[code]
    if decoder is None or not code or not depth:
        raise AmqpError(DECODE, f"constructor {code:#04x} of an array is unknown")
    items: list[Any] = []
    for _ in range(count):
        item, at = decoder(data, at, depth - 1)
        items.append(item if descriptor is None else Described(descriptor, item))
    return items, at


def _table() -> list[Decoder | None]:
    decoders: dict[int, Decoder] = {
        0x00: _described,
        0x40: _constant(None),
        0x41: _constant(True),
        0x42: _constant(False),
        0x43: _constant(0),
        0x44: _constant(0),
        0x45: _empty,
        0x56: _fixed(">B", bool),
        **{code: _fixed(">B") for code in (0x50, 0x52, 0x53)},
        **{code: _fixed(">b") for code in (0x51, 0x54, 0x55)},
        0x60: _fixed(">H"),
        0x61: _fixed(">h"),
        0x70: _fixed(">I"),
        0x71: _fixed(">i"),
        0x72: _fixed(">f"),
        0x73: _fixed("4s", lambda data: data.decode("utf-32-be")),
        0x74: _fixed("4s"),
        0x80: _fixed(">Q"),
        0x81: _fixed(">q"),
        0x82: _fixed(">d"),
        0x83: _fixed(">q", _moment),
        0x84: _fixed("8s"),
        0x94: _fixed("16s"),
        0x98: _fixed("16s", lambda data: uuid.UUID(bytes=data)),
        0xA0: _short(bytes),
        0xA1: _short(_text),
        0xA3: _short(_symbol),
        0xB0: _long(bytes),
        0xB1: _long(_text),
        0xB3: _long(_symbol),
        **{code: _narrow(build) for code, build in ((0xC0, _list), (0xC1, _map), (0xE0, _array))},
        **{code: _wide(build) for code, build in ((0xD0, _list), (0xD1, _map), (0xF0, _array))},
    }
    return [decoders.get(code) for code in range(256)]


_DECODERS = _table()

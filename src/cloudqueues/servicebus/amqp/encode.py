"""AMQP 1.0 encoder: one function for each type, which returns the value with its constructor.

Compound values are built from encoded parts, so that constant parts are encoded once. Layout of each type:
https://docs.oasis-open.org/amqp/core/v1.0/os/amqp-core-types-v1.0-os.html
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

NULL = b"\x40"
TRUE = b"\x41"
FALSE = b"\x42"
EMPTY_LIST = b"\x45"

_MOST = 2**63 - 1
"""Largest long."""
_EPOCH, _MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
_UINT = struct.Struct(">BI")
_ULONG = struct.Struct(">BQ")
_LONG = struct.Struct(">Bq")
_WIDE = struct.Struct(">BII")


def boolean(value: bool) -> bytes:  # noqa: FBT001 - it is the value
    return TRUE if value else FALSE


def ubyte(value: int) -> bytes:
    return bytes((0x50, value))


def ushort(value: int) -> bytes:
    return struct.pack(">BH", 0x60, value)


def uint(value: int) -> bytes:
    return bytes((0x52, value)) if value < 256 else _UINT.pack(0x70, value)  # noqa: PLR2004 - a byte


def ulong(value: int) -> bytes:
    return bytes((0x53, value)) if value < 256 else _ULONG.pack(0x80, value)  # noqa: PLR2004 - a byte


def integer(value: int) -> bytes:
    """Return a 32-bit int."""
    return struct.pack(">Bi", 0x71, value)


def long(value: int) -> bytes:
    return _LONG.pack(0x81, value)


def _whole(value: int) -> bytes:
    return ulong(value) if value > _MOST else long(value)


def double(value: float) -> bytes:
    return struct.pack(">Bd", 0x82, value)


def timestamp(seconds: float) -> bytes:
    """Return seconds since 1970 as a timestamp, rounded down to the millisecond so that a lock never seems longer than
    it is."""
    return _LONG.pack(0x83, int(seconds * 1000))


def uuid_(value: uuid.UUID) -> bytes:
    return b"\x98" + value.bytes


def string(text: str) -> bytes:
    return _variable(0xA1, text.encode())


def symbol(text: str) -> bytes:
    return _variable(0xA3, text.encode("ascii"))


def binary(data: bytes) -> bytes:
    return _variable(0xA0, data)


def _variable(narrow: int, data: bytes) -> bytes:
    """Return a value of variable width. For each type, the constructor with a 32-bit length is the narrow one plus
    0x10."""
    size = len(data)
    return bytes((narrow, size)) + data if size < 256 else _UINT.pack(narrow + 0x10, size) + data  # noqa: PLR2004


def list_(items: Sequence[bytes]) -> bytes:
    return _compound(0xC0, len(items), b"".join(items)) if items else EMPTY_LIST


def map_(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    parts = [part for pair in pairs for part in pair]
    return _compound(0xC1, len(parts), b"".join(parts))


def _compound(narrow: int, count: int, body: bytes) -> bytes:
    if len(body) < 255 and count < 256:  # noqa: PLR2004 - the size counts the byte of the count
        return bytes((narrow, len(body) + 1, count)) + body
    return _WIDE.pack(narrow + 0x10, len(body) + 4, count) + body


def array(items: Sequence[bytes]) -> bytes:
    """Return an array of items of one type and width, which share the first item's constructor."""
    body = (items[0][:1] if items else NULL) + b"".join(item[1:] for item in items)
    return _WIDE.pack(0xF0, len(body) + 4, len(items)) + body


def symbols(names: Iterable[str]) -> bytes:
    return array([_UINT.pack(0xB3, len(name)) + name.encode("ascii") for name in names])


def described(code: int, value: bytes) -> bytes:
    """Return a described value. The descriptor is always a smallulong: azure-servicebus assumes its three bytes
    (`decode_frame`)."""
    return bytes((0x00, 0x53, code)) + value


def value(thing: object) -> bytes:
    """Return a Python value as the nearest AMQP type. Raises TypeError where there is none."""
    for kind, encode in _NATURAL:
        if isinstance(thing, kind):
            return encode(thing)
    raise TypeError(f"{type(thing).__name__} is not an AMQP type")


def _moment(moment: datetime) -> bytes:
    return _LONG.pack(0x83, (moment.astimezone(UTC) - _EPOCH) // _MILLISECOND)


def _span(span: timedelta) -> bytes:
    """Return a timespan: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide"""
    return b"\x00" + symbol("com.microsoft:timespan") + long(10 * (span // timedelta(microseconds=1)))


def _items(items: list[object]) -> bytes:
    return list_([value(item) for item in items])


def _pairs(items: dict[object, object]) -> bytes:
    return map_((value(key), value(item)) for key, item in items.items())


def _null(_nothing: None) -> bytes:
    return NULL


_NATURAL: tuple[tuple[type, Callable[[Any], bytes]], ...] = (
    (type(None), _null),
    (bool, boolean),
    (int, _whole),
    (float, double),
    (str, string),
    (bytes, binary),
    (uuid.UUID, uuid_),
    (datetime, _moment),
    (timedelta, _span),
    (list, _items),
    (dict, _pairs),
)

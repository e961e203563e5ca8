"""Boundaries of AMQP values, found without decoding, for values that are passed on unchanged."""

from __future__ import annotations

import struct
from collections.abc import Callable

from cloudqueues.servicebus.errors import DECODE, AmqpError

DEEPEST = 32
"""Maximum levels of nesting; the SDKs need five."""

_SIZE = struct.Struct(">I")


def skip(data: bytes, at: int) -> int:
    """Return the end of the value that begins at `at`."""
    try:
        for _ in range(DEEPEST):
            if data[at]:
                return _past(data, at)
            at = _past(data, at + 1)
    except (struct.error, IndexError, KeyError) as exc:
        raise AmqpError(DECODE, f"invalid AMQP value at byte {at}: {exc!r}") from exc
    raise AmqpError(DECODE, "descriptors without a value")


def _past(data: bytes, at: int) -> int:
    return within(data, at + 1 + _WIDTHS[data[at] >> 4](data, at + 1))


def fields(data: bytes, at: int = 0) -> list[bytes]:
    """Return the encoded elements of the list or map that begins at `at`."""
    code = data[at]
    if code == 0x45:  # noqa: PLR2004 - the empty list
        return []
    end, first = skip(data, at), at + (3 if code in {0xC0, 0xC1} else 9)
    elements: list[bytes] = []
    while first < end:
        after = skip(data, first)
        elements.append(data[first:after])
        first = after
    return elements


_WIDTHS: dict[int, Callable[[bytes, int], int]] = {
    0x4: lambda _data, _at: 0,
    0x5: lambda _data, _at: 1,
    0x6: lambda _data, _at: 2,
    0x7: lambda _data, _at: 4,
    0x8: lambda _data, _at: 8,
    0x9: lambda _data, _at: 16,
    **dict.fromkeys((0xA, 0xC, 0xE), lambda data, at: 1 + data[at]),
    **dict.fromkeys((0xB, 0xD, 0xF), lambda data, at: 4 + int(_SIZE.unpack_from(data, at)[0])),
}
"""Functions that return the bytes after the constructor, by its upper four bits."""


def within(data: bytes, end: int) -> int:
    """Return `end`. Raises AmqpError where it is beyond the data."""
    if end > len(data):
        raise AmqpError(DECODE, f"a value ends {end - len(data)} bytes after the data")
    return end

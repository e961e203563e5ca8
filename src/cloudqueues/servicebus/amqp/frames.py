"""AMQP 1.0 frames: codes, parser and builders.

All fields are written, unset ones as null, since azure-servicebus before 7.15 reads them by position. The frames of a
message are packed at once, the others field by field. Layout:
https://docs.oasis-open.org/amqp/core/v1.0/os/amqp-core-transport-v1.0-os.html
"""

from __future__ import annotations

import struct
from typing import Any

from cloudqueues.servicebus.amqp import encode
from cloudqueues.servicebus.amqp.decode import Described, decode, is_list
from cloudqueues.servicebus.amqp.encode import EMPTY_LIST, NULL
from cloudqueues.servicebus.amqp.scan import skip
from cloudqueues.servicebus.errors import DECODE, FRAMING, AmqpError

OPEN, BEGIN, ATTACH, FLOW, TRANSFER, DISPOSITION, DETACH, END, CLOSE = range(0x10, 0x19)
MECHANISMS, SASL_INIT, _CHALLENGE, _RESPONSE, SASL_OUTCOME = range(0x40, 0x45)
RECEIVED, ACCEPTED, REJECTED, RELEASED, MODIFIED = range(0x23, 0x28)
SOURCE, TARGET, ERROR, TRANSACTIONAL = 0x28, 0x29, 0x1D, 0x34

HEADER = struct.Struct(">IBBH")
"""Size, data offset in words of four bytes, type, channel."""
AMQP, SASL = 0, 1
SMALLEST_MAXIMUM = 512
"""Bytes of a frame that every peer must accept."""

_FIELDS = {OPEN: 10, BEGIN: 8, ATTACH: 14, FLOW: 11, TRANSFER: 11, DISPOSITION: 6, DETACH: 3, END: 1, CLOSE: 1}
_SASL_FIELDS = {MECHANISMS: 1, SASL_INIT: 3, _CHALLENGE: 1, _RESPONSE: 1, SASL_OUTCOME: 2}
_COUNTS = _FIELDS | _SASL_FIELDS

TAG = 16
"""Bytes of the longest delivery tag."""
_TRANSFERS = {size: struct.Struct(f">IBBH4sBBBIBIBB{size}sBBB5s") for size in (0, TAG)}
TRANSFER_SIZE = _TRANSFERS[TAG].size
_NOT_COUNTED = HEADER.size + 5
"""Bytes before the elements of a frame's list8, whose size counts neither the constructors nor itself."""
_DISPOSITION = struct.Struct(">IBBH4sBBBBIBIB")
_LONGEST_STATE = 255 - 32
"""Bytes of a state that fit in a list8 beside the other fields."""
_TRUE, _FALSE, _UINT, _BINARY, _ZERO = 0x41, 0x42, 0x70, 0xA0, 0x43


def parse(data: bytes, at: int, kind: int) -> tuple[int, list[Any], bytes]:
    """Return the code, all the fields and the payload of the performative that begins at `at`.

    An attach has no payload: its encoded list of fields is returned instead.
    """
    performative, end = decode(data, at)
    code = performative.descriptor if isinstance(performative, Described) else None
    field_counts = _SASL_FIELDS if kind == SASL else _FIELDS
    count = field_counts.get(code) if isinstance(code, int) else None
    if not isinstance(code, int) or count is None or not is_list(performative.value):
        raise AmqpError(FRAMING, f"a frame of type {kind} with {code!r}")
    values: list[Any] = performative.value
    if len(values) > count:
        raise AmqpError(DECODE, f"{len(values)} fields where there are {count}")
    rest = data[skip(data, at + 1) : end] if code == ATTACH else data[end:]
    return code, values + [None] * (count - len(values)), rest


def frame(channel: int, code: int, *fields: bytes, kind: int = AMQP) -> bytes:
    """Return a frame of encoded fields; omitted fields at the end are null."""
    body = encode.described(code, encode.list_((*fields, *[NULL] * (_COUNTS[code] - len(fields)))))
    return HEADER.pack(HEADER.size + len(body), 2, kind, channel) + body


HEARTBEAT = HEADER.pack(HEADER.size, 2, AMQP, 0)


def transfer(channel: int, handle: int, number: int, tag: bytes, *, settled: bool, more: bool, payload: bytes) -> bytes:
    """Return one frame of a delivery. The tag has 16 bytes, or none where the delivery is sent settled."""
    layout = _TRANSFERS[len(tag)]
    head = layout.pack(
        layout.size + len(payload), 2, AMQP, channel,
        b"\x00\x53\x14\xc0", layout.size - _NOT_COUNTED, 11,
        _UINT, handle, _UINT, number, _BINARY, len(tag), tag, _ZERO,
        _TRUE if settled else _FALSE, _TRUE if more else _FALSE, NULL * 5,
    )  # fmt: skip
    return head + payload


def disposition(channel: int, *, receiver: bool, number: int, state: bytes) -> bytes:
    """Return the settled outcome of a delivery. `receiver` is the role of the sender of this frame."""
    if len(state) > _LONGEST_STATE:
        fields = (encode.boolean(receiver), encode.uint(number), encode.uint(number), encode.TRUE, state)
        return frame(channel, DISPOSITION, *fields)
    size = _DISPOSITION.size + len(state) + 1
    head = _DISPOSITION.pack(
        size, 2, AMQP, channel, b"\x00\x53\x15\xc0", size - HEADER.size - 5, 6,
        _TRUE if receiver else _FALSE, _UINT, number, _UINT, number, _TRUE,
    )  # fmt: skip
    return head + state + NULL


def error(condition: str, text: str) -> bytes:
    return encode.described(ERROR, encode.list_((encode.symbol(condition), encode.string(text), NULL)))


def outcome(code: int) -> bytes:
    """Return a delivery state without fields."""
    return encode.described(code, EMPTY_LIST)


def is_outcome(state: object) -> bool:
    """Return whether a delivery state is terminal, a transactional one included."""
    code = state.descriptor if isinstance(state, Described) else None
    return isinstance(code, int) and (ACCEPTED <= code <= MODIFIED or code == TRANSACTIONAL)


def rejected(condition: str, text: str) -> bytes:
    return encode.described(REJECTED, encode.list_((error(condition, text),)))

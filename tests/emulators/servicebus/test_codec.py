"""AMQP's types, held against the codec of azure-servicebus and against bytes that are none."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.servicebus._pyamqp._decode import _DECODE_BY_CONSTRUCTOR
from azure.servicebus._pyamqp._encode import encode_value
from azure.servicebus._pyamqp.types import TYPE, VALUE, AMQPTypes
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudqueues.servicebus.amqp import encode
from cloudqueues.servicebus.amqp.decode import Described, decode, whole
from cloudqueues.servicebus.amqp.scan import DEEPEST, fields, skip
from cloudqueues.servicebus.errors import DECODE, AmqpError

UNHURRIED = settings(deadline=None)
"""A busy machine may stop a test for longer than an example takes."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENTS = st.integers(-62_135_596_800_000, 253_402_300_799_000).map(lambda ms: EPOCH + timedelta(milliseconds=ms))
SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(max_size=300),
    st.uuids(),
    MOMENTS,
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=20), inner, max_size=5),
    max_leaves=30,
)


@UNHURRIED
@given(VALUES)
def test_a_value_comes_back(value: Any) -> None:
    data = encode.value(value)
    assert whole(data) == value
    assert skip(data, 0) == len(data)


@UNHURRIED
@given(VALUES)
def test_the_sdk_reads_what_we_write(value: Any) -> None:
    data = memoryview(encode.value(value))
    rest, decoded = _DECODE_BY_CONSTRUCTOR[data[0]](data[1:])
    assert not rest
    assert decoded == as_the_sdk_has_it(value)


def as_the_sdk_has_it(value: Any) -> Any:
    """It keeps text as bytes and times as numbers."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, datetime):
        return round((value - EPOCH) / timedelta(milliseconds=1))
    if isinstance(value, list):
        return [as_the_sdk_has_it(item) for item in value]
    if isinstance(value, dict):
        return {as_the_sdk_has_it(key): as_the_sdk_has_it(item) for key, item in value.items()}
    return value


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (AMQPTypes.ubyte, 200),
        (AMQPTypes.ushort, 60_000),
        (AMQPTypes.uint, 0),
        (AMQPTypes.uint, 200),
        (AMQPTypes.uint, 2**32 - 1),
        (AMQPTypes.ulong, 0),
        (AMQPTypes.ulong, 200),
        (AMQPTypes.ulong, 2**64 - 1),
        (AMQPTypes.byte, -5),
        (AMQPTypes.short, -5),
        (AMQPTypes.int, -5),
        (AMQPTypes.int, -100_000),
        (AMQPTypes.long, -5),
        (AMQPTypes.long, -(2**60)),
        (AMQPTypes.float, 0.5),
        (AMQPTypes.double, 0.1),
        (AMQPTypes.boolean, True),
        (AMQPTypes.symbol, "symbol"),
        (AMQPTypes.string, "ä" * 300),
        (AMQPTypes.binary, b"x" * 300),
        (AMQPTypes.uuid, uuid.UUID(int=5)),
    ],
)
def test_we_read_what_the_sdk_writes(kind: Any, value: Any) -> None:
    output = bytearray()
    encode_value(output, {TYPE: kind, VALUE: value})
    assert whole(bytes(output)) == value


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\x56\x01", True),
        (b"\x56\x00", False),
        (b"\x73\x00\x00\x00\x41", "A"),
        (b"\x74\x00\x00\x00\x01", b"\x00\x00\x00\x01"),
        (b"\x84" + bytes(8), bytes(8)),
        (b"\x94" + bytes(16), bytes(16)),
        (b"\xe0\x04\x02\x50\x01\x02", [1, 2]),
        (b"\xf0\x00\x00\x00\x05\x00\x00\x00\x00\x40", []),
        (b"\xe0\x07\x02\x00\x53\x10\x50\x01\x02", [Described(16, 1), Described(16, 2)]),
        (b"\x00\x53\x24\x45", Described(0x24, [])),
        (b"\x83" + struct.pack(">q", 2**62), datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)),
        (b"\x83" + struct.pack(">q", -(2**62)), datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_types_that_the_sdk_does_not_write(data: bytes, value: Any) -> None:
    assert whole(data) == value
    assert skip(data, 0) == len(data)


@pytest.mark.parametrize(
    ("make", "value"),
    [
        (encode.uint, 255),
        (encode.uint, 256),
        (encode.ulong, 255),
        (encode.ulong, 256),
        (encode.ubyte, 255),
        (encode.ushort, 65_535),
        (encode.integer, -1),
        (encode.symbol, "x" * 255),
        (encode.symbol, "x" * 256),
        (encode.symbols, ["PLAIN", "ANONYMOUS"]),
        (encode.symbols, []),
    ],
)
def test_widths_at_their_borders(make: Callable[[Any], bytes], value: Any) -> None:
    assert whole(make(value)) == value


@pytest.mark.parametrize("size", [0, 1, 251, 252, 253, 254, 255, 256, 1000])
def test_compounds_at_their_borders(size: int) -> None:
    items = [None] * size
    assert whole(encode.list_([encode.NULL] * size)) == items
    assert fields(encode.list_([encode.NULL] * size)) == [encode.NULL] * size
    text = "x" * size
    assert whole(encode.map_([(encode.string("k"), encode.string(text))])) == {"k": text}


def test_no_amqp_type_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="object is not an AMQP type"):
        encode.value(object())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x3f",  # no such constructor
        b"\x70\x00",  # four bytes wanted
        b"\xa1\x05abc",  # five wanted
        b"\xb1\xff\xff\xff\xffabc",
        b"\xa1\x01\xff",  # not UTF-8
        b"\xa3\x01\xc3",  # not ASCII
        b"\xc0\x03\x02\x40",  # ends in mid-list
        b"\xc0\x03\x01\x40\x40",  # one element, two there
        b"\xc1\x02\x01\x40",  # a key without a value
        b"\xc1\x03\x02\x45\x40",  # a list as a key
        b"\xd0\x00\x00\x00\x04\xff\xff\xff\xff",  # four thousand million elements
        b"\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x40",  # of no bytes each
        b"\xe0\x02\x01\x00",
        b"\xe0\x03\x01\x3f\x00",
        b"\x00\x53",
        b"\x00" * 200,
        b"\x73\xff\xff\xff\xff",  # no character
        b"\x40\x40",  # two values
        b"\xc0\xff\x01" * 80,
    ],
)
def test_what_is_no_value_is_an_amqp_error(data: bytes) -> None:
    with pytest.raises(AmqpError) as caught:
        whole(data)
    assert caught.value.condition == DECODE


def test_nesting_ends() -> None:
    data = encode.NULL
    for _ in range(DEEPEST - 1):
        data = encode.list_([data])
    assert skip(data, 0) == len(data)
    whole(data)
    with pytest.raises(AmqpError, match="nested too deeply"):
        whole(encode.list_([data]))


def outcome(read: Callable[[bytes], Any], data: bytes) -> str:
    """Return the condition of the AmqpError, or `a value`; no other outcome is allowed."""
    try:
        read(data)
    except AmqpError as error:
        return error.condition
    return "a value"


@UNHURRIED
@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_an_amqp_error(data: bytes) -> None:
    assert outcome(decode, data) in {"a value", DECODE}
    assert outcome(lambda octets: skip(octets, 0), data) in {"a value", DECODE}


@UNHURRIED
@given(VALUES, st.data())
def test_a_value_with_a_changed_byte_is_a_value_or_an_amqp_error(value: Any, data: st.DataObject) -> None:
    encoded = bytearray(encode.value(value))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] = data.draw(st.integers(0, 255))
    try:
        _, end = decode(bytes(encoded))
    except AmqpError:
        return
    assert end <= len(encoded)


@UNHURRIED
@given(st.integers(0, 60))
def test_a_value_that_is_cut_off_is_an_amqp_error(cut: int) -> None:
    whole_value = encode.value({"a": [1, "two", b"three", None, 4.0], "b": {"c": uuid.UUID(int=7)}})
    if cut < len(whole_value):
        with pytest.raises(AmqpError):
            decode(whole_value[:cut])

"""`TypedData`, in which the Functions host sends values to a worker, in proto3's JSON mapping.

The conversion from .NET values is the host's `ToRpc`:
https://github.com/Azure/azure-functions-host/blob/dev/src/WebJobs.Script.Grpc/MessageExtensions/GrpcMessageConversionExtensions.cs
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

TypedData = dict[str, Any]

FOREVER = "9999-12-31T23:59:59.9999999"
"""`DateTimeOffset.MaxValue`, at which a message without a time to live expires."""


def text(value: str) -> TypedData:
    return {"string": value}


def data(value: bytes) -> TypedData:
    return {"bytes": base64.b64encode(value).decode()}


def as_json(value: object) -> TypedData:
    """Encode JSON as Json.NET does: without spaces, and with characters rather than escapes."""
    return {"json": json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))}


def texts(values: Iterable[str | None]) -> TypedData:
    """Encode strings without missing and empty ones, so that later ones move up: the Python worker does not ask for them.

    https://github.com/Azure/azure-functions-python-worker/issues/1122
    """
    return {"collectionString": {"string": [item for item in values if item]}}


def datas(values: Iterable[bytes]) -> TypedData:
    """Encode bodies, including empty ones."""
    return {"collectionBytes": {"bytes": [base64.b64encode(item).decode() for item in values]}}


def longs(values: Iterable[int]) -> TypedData:
    return {"collectionSint64": {"sint64": [str(item) for item in values]}}


def moment(when: datetime | None, *, zone: bool) -> str:
    """Format a `DateTimeOffset`, or without its zone a `DateTime`, in UTC. None stands for the largest value."""
    end = "+00:00" if zone else ""
    if when is None:
        return FOREVER + end
    fraction = f"{when.microsecond:06}".rstrip("0")
    return f"{when:%Y-%m-%dT%H:%M:%S}{fraction and '.'}{fraction}{end}"


def plain(value: Any) -> object:
    """Convert a value of AMQP to JSON's types, as Json.NET does."""
    if isinstance(value, bytes):
        return decoded(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, datetime):
        return moment(value, zone=value.tzinfo is not None)
    return _plain_parts(value)


def _plain_parts(value: Any) -> object:
    if isinstance(value, Mapping):
        named = cast("Mapping[object, object]", value)
        return {decoded(key): plain(item) for key, item in named.items()}
    if isinstance(value, Sequence):
        return [plain(item) for item in cast("Sequence[object]", value)]
    return str(value)  # such as a UUID


def decoded(value: object) -> str:
    """Decode a string of AMQP, which the SDK leaves as bytes; bytes that are not UTF-8 become base64, as in .NET."""
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()

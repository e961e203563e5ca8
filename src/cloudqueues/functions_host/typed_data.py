"""Values as the Functions host sends them to a worker: `TypedData`, in proto3's JSON mapping.

How .NET values become typed data is the host's `ToRpc`:
https://github.com/Azure/azure-functions-host/blob/dev/src/WebJobs.Script.Grpc/MessageExtensions/GrpcMessageConversionExtensions.cs
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

Typed = dict[str, Any]

FOREVER = "9999-12-31T23:59:59.9999999"
"""`DateTimeOffset.MaxValue`: a message without a time to live expires then."""


def text(value: str) -> Typed:
    return {"string": value}


def data(value: bytes) -> Typed:
    return {"bytes": base64.b64encode(value).decode()}


def as_json(value: object) -> Typed:
    """As Json.NET writes it: without spaces, and with characters rather than escapes."""
    return {"json": json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))}


def texts(values: Iterable[str | None]) -> Typed:
    """Without those that are missing or empty, since the Python worker does not ask for them: what follows moves up.

    https://github.com/Azure/azure-functions-python-worker/issues/1122
    """
    return {"collectionString": {"string": [one for one in values if one]}}


def datas(values: Iterable[bytes]) -> Typed:
    """Empty ones stay."""
    return {"collectionBytes": {"bytes": [base64.b64encode(one).decode() for one in values]}}


def longs(values: Iterable[int]) -> Typed:
    return {"collectionSint64": {"sint64": [str(one) for one in values]}}


def moment(when: datetime | None, *, zone: bool) -> str:
    """A `DateTimeOffset`, or without its zone the `DateTime` that it is made into; in UTC. None is the end of time."""
    end = "+00:00" if zone else ""
    if when is None:
        return FOREVER + end
    fraction = f"{when.microsecond:06}".rstrip("0")
    return f"{when:%Y-%m-%dT%H:%M:%S}{fraction and '.'}{fraction}{end}"


def plain(value: Any) -> object:
    """What JSON can say of a value that AMQP can: as Json.NET does, where JSON cannot."""
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
        return {decoded(key): plain(one) for key, one in named.items()}
    if isinstance(value, Sequence):
        return [plain(one) for one in cast("Sequence[object]", value)]
    return str(value)  # a UUID, for one


def decoded(value: object) -> str:
    """A string of AMQP, which the SDK leaves as bytes; bytes that are no text are base64, as in .NET."""
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()

"""Sample events of Service Bus: the host's invocation request as JSON, converted to the function's argument.

The form is proto3's JSON mapping of `InvocationRequest` in the host's FunctionRpc.proto; the objects are built by azure-functions'
own converter: https://github.com/Azure/azure-functions-language-worker-protobuf
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from peeklock.errors import EventError
from peeklock.registry import missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """Argument of a function, and the kind of its trigger."""

    argument: Any
    batch: bool
    sessions: bool


def matches(event: object) -> bool:
    """Return whether a sample event has the shape of an invocation request."""
    return isinstance(event, dict) and isinstance(event.get("inputData"), list) and "triggerMetadata" in event


def function_of(event: Any) -> str | None:
    """Return the name of the function that a sample event invokes, the only origin that a host names; None where it names none.
    https://learn.microsoft.com/azure/azure-functions/functions-bindings-expressions-patterns"""
    metadata = event.get("triggerMetadata") if isinstance(event, dict) else None
    system = metadata.get("sys") if isinstance(metadata, dict) else None
    try:
        name = json.loads(system["json"])["MethodName"] if isinstance(system, dict) else None
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    return name if isinstance(name, str) and name else None


def load(event: Any) -> Trigger:
    """Return the function's argument from a sample event. Raises EventError for one that no host would send, and ConfigError where
    azure-functions is missing."""
    if not matches(event) or not isinstance(event["triggerMetadata"], dict) or not event["inputData"]:
        raise EventError(
            "not a Service Bus event: it has inputData and triggerMetadata, as the host's InvocationRequest"
        )
    try:
        from azure.functions.meta import Datum
        from azure.functions.servicebus import ServiceBusMessageInConverter
    except ImportError as exc:
        raise missing(exc) from exc
    try:
        metadata = {name: Datum(*_typed(value)) for name, value in event["triggerMetadata"].items()}
        value = event["inputData"][0].get("data")
        data: Any = Datum(*_typed(value)) if value else None  # a message without a body has no data
        argument: Any = ServiceBusMessageInConverter.decode(data, trigger_metadata=metadata)
        batch = isinstance(argument, list)
        _check(argument if batch else [argument], data.python_value if batch else None)
        sessions = any(name in metadata for name in ("SessionId", "SessionIdArray"))
    except (NotImplementedError, *_MALFORMED) as exc:
        raise EventError(f"not a Service Bus event: {type(exc).__name__}: {exc}") from exc
    return Trigger(argument=argument, batch=batch, sessions=sessions)


def _check(messages: Sequence[Any], bodies: Any) -> None:
    """Raise ValueError for errors that the converter reports late or not at all: metadata that are no JSON, and more bodies than
    messages."""
    for message in messages[:1]:
        _ = message.metadata
    if bodies is not None and len(bodies) != len(messages):
        raise ValueError(f"{len(bodies)} bodies, and properties of {len(messages)} messages")


_MALFORMED = (
    KeyError,
    TypeError,
    ValueError,
    IndexError,
    AttributeError,
    AssertionError,
    OverflowError,
    RecursionError,
    binascii.Error,
)
"""Exceptions of the converter for malformed values."""


def _typed(value: Mapping[str, Any]) -> tuple[Any, str]:
    """Return the value and type of a `TypedData`."""
    ((kind, inner),) = value.items()
    match kind:
        case "string" | "json":
            return str(inner), kind
        case "bytes":
            return base64.b64decode(inner, validate=True), kind
        case "int" | "double":
            return float(inner) if kind == "double" else int(inner), kind
        case "collectionBytes":
            decoded = [base64.b64decode(text, validate=True) for text in inner["bytes"]]
            return SimpleNamespace(bytes=decoded), "collection_bytes"
        case "collectionString":
            return SimpleNamespace(string=[str(text) for text in inner["string"]]), "collection_string"
        case "collectionSint64":
            return SimpleNamespace(sint64=[int(number) for number in inner["sint64"]]), "collection_sint64"
    raise EventError(f"not a Service Bus event: a value of kind {kind!r:.40}")

"""Input of a trigger: message bodies, encoded by the binding's data type and cardinality."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

from cloudqueues.functions_host import typed_data
from cloudqueues.functions_host.triggers import Trigger
from cloudqueues.functions_host.typed_data import TypedData


class BindingError(ValueError):
    """Bodies that the binding cannot take: the invocation fails before it reaches the worker."""


def encode(bodies: Sequence[bytes], trigger: Trigger) -> TypedData:
    """Encode the bodies for a trigger. Raises BindingError."""
    if trigger.data_type == "BINARY":
        return typed_data.datas(bodies) if trigger.many else typed_data.data(bodies[0])
    if not trigger.many:
        return typed_data.text(_decode(bodies[0]))
    if trigger.data_type == "STRING":
        return typed_data.texts(_decode(body) for body in bodies)
    return typed_data.as_json([_object(body) for body in bodies])


def _decode(body: bytes) -> str:
    return body.decode(errors="replace")


def _object(body: bytes) -> object:
    """Decode a body of a batch without data type, which the host binds as a JSON document."""
    try:
        return json.loads(body)
    except ValueError as exc:
        raise BindingError(
            f"a batch without data_type binds each body as JSON, and this one is not JSON: {body[:60]!r}; use data_type BINARY"
        ) from exc


def merge_body_properties(metadata: dict[str, TypedData], trigger_input: TypedData) -> dict[str, TypedData]:
    """Overwrite metadata with the properties of a JSON body, as the host does: all but arrays and nulls, whatever their
    case, and only for a body that is bound as text.

    https://github.com/Azure/azure-functions-dotnet-worker/issues/991
    """
    names = {name.lower(): name for name in metadata}
    changed = dict(metadata)
    for key, value in _properties(trigger_input.get("string", "")).items():
        if value is not None and not isinstance(value, list):
            changed[names.setdefault(key.lower(), key)] = _property(value)
    return changed


def _properties(body: str) -> dict[str, object]:
    stripped = body.strip()
    if not (stripped.startswith("{") and stripped.endswith("}")):
        return {}
    try:
        parsed: dict[str, object] = json.loads(stripped)
    except ValueError:
        return {}
    return parsed


def _property(value: Any) -> TypedData:
    """Encode an object as JSON, and any other value as .NET formats it."""
    return typed_data.as_json(cast("dict[str, Any]", value)) if isinstance(value, dict) else typed_data.text(str(value))

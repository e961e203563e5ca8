"""Values on the wire between Pulumi's engine, its programs and its providers.

They are protobuf structs: all numbers are floats, and a value that JSON lacks (a secret, an asset, a reference, an unknown
value) is an object under a reserved key.
https://www.pulumi.com/docs/iac/concepts/how-pulumi-works/ and proto/pulumi/provider.proto of pulumi/pulumi
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from google.protobuf import empty_pb2, json_format, struct_pb2  # type: ignore[import-untyped]
from pulumi.runtime import rpc

UNKNOWN: str = rpc.UNKNOWN
"""Placeholder in a preview for a value that only a real run produces."""

SIGNATURE: str = rpc._special_sig_key  # noqa: SLF001 (the protocol's own key, which pulumi exports nowhere else)
_SECRET: str = rpc._special_secret_sig  # noqa: SLF001
_ASSET: str = rpc._special_asset_sig  # noqa: SLF001
_ARCHIVE: str = rpc._special_archive_sig  # noqa: SLF001


def plain(struct: Any) -> dict[str, Any]:
    """Return Python values: whole numbers as int, secrets unwrapped, assets and unknown values unchanged."""
    values = _unwrapped(json_format.MessageToDict(struct))
    return values if isinstance(values, dict) else {}


def struct(values: Mapping[str, Any]) -> Any:
    """Return a protobuf struct, the opposite of `plain`."""
    message = struct_pb2.Struct()
    json_format.ParseDict(dict(values), message)
    return message


def parsed(values: Mapping[str, Any], message: Any) -> Any:
    """Fill a protobuf message from its JSON form. Raises ParseError for an unknown field."""
    return json_format.ParseDict(dict(values), message)


def as_json(message: Any) -> dict[str, Any]:
    """Return the JSON form of a protobuf message, without fields that are 0 or empty."""
    return dict(json_format.MessageToDict(message))


def empty() -> Any:
    """Return an empty message."""
    return empty_pb2.Empty()


def exported(value: Any) -> Any:
    """Return a value of a state that was exported with `--show-secrets`, with each secret unwrapped."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == _SECRET:
            return exported(json.loads(value["plaintext"]))
        return {name: exported(inner) for name, inner in value.items()}
    return [exported(item) for item in value] if isinstance(value, list) else value


def is_asset(value: Any) -> bool:
    """Return whether a value is a file, a text or an archive to upload, on the wire or in the form of `readable`."""
    if not isinstance(value, dict):
        return False
    return value.get(SIGNATURE) in {_ASSET, _ARCHIVE} or (
        len(value) == 1 and next(iter(value)) in {"$asset", "$archive"}
    )


def readable(value: Any) -> Any:
    """Return a value for people: an asset as `{"$asset": path or text}`, an archive as `{"$archive": path or its assets}`."""
    if is_asset(value) and SIGNATURE in value:
        kind = "$archive" if value[SIGNATURE] == _ARCHIVE else "$asset"
        within = value.get("assets")
        content = value.get("path") or value.get("uri") or value.get("text")
        return {kind: {name: readable(asset) for name, asset in within.items()} if within else content}
    if isinstance(value, dict):
        return {name: readable(inner) for name, inner in value.items()}
    return [readable(item) for item in value] if isinstance(value, list) else value


def _unwrapped(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get(SIGNATURE) == _SECRET:
            return _unwrapped(value.get("value"))
        return {name: _unwrapped(inner) for name, inner in value.items() if name != "__defaults"}
    if isinstance(value, list):
        return [_unwrapped(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value

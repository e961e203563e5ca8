"""Values as they pass between Pulumi's engine, its programs and its providers.

They are protobuf structs: all numbers are floats, and what JSON does not have (secrets, assets, references, values not
known yet) is an object under a key that nobody else would use.
https://www.pulumi.com/docs/iac/concepts/how-pulumi-works/ and proto/pulumi/provider.proto of pulumi/pulumi
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format, struct_pb2
from pulumi.runtime import rpc

UNKNOWN: str = rpc.UNKNOWN
"""Stands in a preview for a value that only a real run can give."""

SIGNATURE: str = rpc._special_sig_key  # noqa: SLF001 (it is the protocol's own key, and pulumi exports it nowhere else)
_SECRET: str = rpc._special_secret_sig  # noqa: SLF001
_ASSET: str = rpc._special_asset_sig  # noqa: SLF001
_ARCHIVE: str = rpc._special_archive_sig  # noqa: SLF001


def plain(struct: struct_pb2.Struct) -> dict[str, Any]:
    """As Python's own values: whole numbers as int, secrets opened, assets and unknowns as they are."""
    opened = _opened(json_format.MessageToDict(struct))
    return opened if isinstance(opened, dict) else {}


def struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """The opposite of `plain`."""
    made = struct_pb2.Struct()
    json_format.ParseDict(dict(values), made)
    return made


def has_unknown(value: Any) -> bool:
    """Whether any part of it is not known before a real run."""
    if isinstance(value, dict):
        return any(has_unknown(one) for one in value.values())
    if isinstance(value, list):
        return any(has_unknown(one) for one in value)
    return bool(value == UNKNOWN)


def is_asset(value: Any) -> bool:
    """Whether it is a file, a text or an archive to upload, on the wire or as `readable` says it."""
    if not isinstance(value, dict):
        return False
    return value.get(SIGNATURE) in {_ASSET, _ARCHIVE} or (
        len(value) == 1 and next(iter(value)) in {"$asset", "$archive"}
    )


def readable(value: Any) -> Any:
    """For people: an asset as `{"$asset": path or text}`, an archive as `{"$archive": path or its assets}`."""
    if is_asset(value) and SIGNATURE in value:
        kind = "$archive" if value[SIGNATURE] == _ARCHIVE else "$asset"
        within = value.get("assets")
        said = value.get("path") or value.get("uri") or value.get("text")
        return {kind: {name: readable(one) for name, one in within.items()} if within else said}
    if isinstance(value, dict):
        return {name: readable(one) for name, one in value.items()}
    return [readable(one) for one in value] if isinstance(value, list) else value


def _opened(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get(SIGNATURE) == _SECRET:
            return _opened(value.get("value"))
        return {name: _opened(one) for name, one in value.items() if name != "__defaults"}
    if isinstance(value, list):
        return [_opened(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value

"""Values as they pass between Pulumi's engine, its programs and its providers.

They are protobuf structs: all numbers are floats, and what JSON does not have (secrets, assets, references, values not
known yet) is an object under a key that nobody else would use.
https://www.pulumi.com/docs/iac/concepts/how-pulumi-works/ and proto/pulumi/provider.proto of pulumi/pulumi
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from google.protobuf import empty_pb2, json_format, struct_pb2  # type: ignore[import-untyped]
from pulumi.runtime import rpc

UNKNOWN: str = rpc.UNKNOWN
"""Stands in a preview for a value that only a real run can give."""

SIGNATURE: str = rpc._special_sig_key  # noqa: SLF001 (it is the protocol's own key, and pulumi exports it nowhere else)
_SECRET: str = rpc._special_secret_sig  # noqa: SLF001
_ASSET: str = rpc._special_asset_sig  # noqa: SLF001
_ARCHIVE: str = rpc._special_archive_sig  # noqa: SLF001


def plain(struct: Any) -> dict[str, Any]:
    """As Python's own values: whole numbers as int, secrets opened, assets and unknowns as they are."""
    opened = _opened(json_format.MessageToDict(struct))
    return opened if isinstance(opened, dict) else {}


def struct(values: Mapping[str, Any]) -> Any:
    """The opposite of `plain`."""
    made = struct_pb2.Struct()
    json_format.ParseDict(dict(values), made)
    return made


def parsed(values: Mapping[str, Any], message: Any) -> Any:
    """A protobuf message, filled from its JSON form. Raises ParseError for what it does not have."""
    return json_format.ParseDict(dict(values), message)


def shown(message: Any) -> dict[str, Any]:
    """The JSON form of a protobuf message: what is 0 or empty is left out."""
    return dict(json_format.MessageToDict(message))


def empty() -> Any:
    """The answer that says nothing."""
    return empty_pb2.Empty()


def exported(value: Any) -> Any:
    """A value of a state that was exported with its secrets shown, where each is still wrapped: without the wrapping."""
    if isinstance(value, dict):
        if value.get(SIGNATURE) == _SECRET:
            return exported(json.loads(value["plaintext"]))
        return {name: exported(one) for name, one in value.items()}
    return [exported(one) for one in value] if isinstance(value, list) else value


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

"""Messages of the host, decoded to the attributes of protobuf's classes, which the worker library reads."""

from __future__ import annotations

import base64
from types import SimpleNamespace
from typing import Any


class TypedData:
    """`TypedData`: has its one value as the attribute named by its kind."""

    def __init__(self, content: dict[str, Any]) -> None:
        self._kind: str | None = None
        for kind, value in content.items():
            self._kind = KINDS.get(kind, kind)
            setattr(self, self._kind, _value(kind, value))

    def WhichOneof(self, _: str) -> str | None:  # noqa: N802 - protobuf's name
        return self._kind


KINDS = {
    "collectionBytes": "collection_bytes",
    "collectionSint64": "collection_sint64",
    "collectionString": "collection_string",
}
"""Kinds whose names in JSON differ from those in the message."""


def _value(kind: str, value: Any) -> Any:
    match kind:
        case "bytes":
            return base64.b64decode(value)
        case "collectionBytes":
            return SimpleNamespace(bytes=[base64.b64decode(item) for item in value["bytes"]])
        case "collectionSint64":
            return SimpleNamespace(sint64=[int(item) for item in value["sint64"]])
        case "collectionString":
            return SimpleNamespace(string=value["string"])
        case _:
            return value


class ParameterBinding:
    """`ParameterBinding`."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.name: str = content["name"]
        self.data = TypedData(content["data"])

    def WhichOneof(self, _: str) -> str:  # noqa: N802 - protobuf's name
        return "data"


class Status(SimpleNamespace):
    Failure, Success = 0, 1


class _BindingInfo(SimpleNamespace):
    undefined, out, inout = 0, 1, 2


PROTOS = SimpleNamespace(
    BindingInfo=_BindingInfo,
    FunctionLoadResponse=SimpleNamespace,
    FunctionMetadataResponse=SimpleNamespace,
    InvocationResponse=SimpleNamespace,
    RpcException=SimpleNamespace,
    RpcFunctionMetadata=SimpleNamespace,
    RpcRetryOptions=SimpleNamespace,
    StatusResult=Status,
    WorkerInitResponse=SimpleNamespace,
    WorkerMetadata=SimpleNamespace,
)

"""Transcoding of REST requests to the messages of gRPC, with the service's refusals.

The rules are those of https://google.aip.dev/127; the refusals were recorded (tests/emulators/cloudtasks/facts.md).
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from cloudqueues.cloudtasks.errors import bad_request, invalid
from cloudqueues.cloudtasks.routes import EVERYTHING, Match

Violation: TypeAlias = tuple[str, str]
"""Path of a field, and its problem."""

_BAD = "Invalid JSON payload received."
_BASE64 = re.compile(r"([A-Za-z0-9+/]*|[A-Za-z0-9_-]*)={0,2}")
_SPACE = re.compile(r"[ \t\n\v\f\r]+")
_WHOLE = ("google.protobuf.Duration", "google.protobuf.Timestamp", "google.protobuf.FieldMask")
"""Messages that have a JSON form of their own."""


def request_of(kind: Any, match: Match, query: Mapping[str, str], body: bytes) -> Any:
    """Return a message of this kind. Raises Refused with all values that do not fit."""
    try:
        return _filled(kind(), match, query, body)
    except RecursionError as exc:  # also where the refusal would quote a value that is too deep
        raise invalid(f"{_BAD} Message too deep.") from exc


def _filled(message: Any, match: Match, query: Mapping[str, str], body: bytes) -> Any:
    violations: list[Violation] = []
    if match.body:
        into, path = (message, "") if match.body == EVERYTHING else (getattr(message, match.body), match.body)
        into.SetInParent()
        violations += _fill(into, _json(body), path)
    for name, text in query.items():
        violations += _bind(message, name, text)
    if violations:
        raise bad_request(violations)
    _set(message, match.field, match.name)
    return message


def _set(message: Any, path: str, text: str) -> None:
    outer, _, last = path.rpartition(".")
    setattr(getattr(message, outer) if outer else message, last, text)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body) if body.strip() else {}
    except ValueError as exc:
        raise invalid(f"{_BAD} {exc}") from exc


def _fill(message: Any, value: Any, path: str) -> Iterator[Violation]:
    """Fill a message from JSON, and yield the values that do not fit."""
    if not isinstance(value, dict):
        yield path, f'{_BAD} Unknown name "": Root element must be a message.'
        return
    fields = _fields(message.DESCRIPTOR)
    for name, inner in value.items():
        if name not in fields:
            at = f" at '{path}'" if path else ""
            yield path, f'{_BAD} Unknown name "{name}"{at}: Cannot find field.'
        elif inner is not None:
            yield from _one_of(message, fields[name], name, path) or _put(message, fields[name], inner, path)


def _fields(descriptor: Any) -> dict[str, Any]:
    """Return the fields of a message by both of their names in JSON."""
    return {name: field for field in descriptor.fields for name in (field.name, field.json_name)}


def _one_of(message: Any, field: Any, name: str, path: str) -> list[Violation]:
    """Return the violation of a field whose alternative is set already; nothing where none is."""
    union = field.containing_oneof
    taken = message.WhichOneof(union.name) if union is not None else None
    if taken in (None, field.name):
        return []
    return [
        (path, f"Invalid value at '{path}' (oneof), oneof field '{union.name}' is already set. Cannot set '{name}'")
    ]


def _put(message: Any, field: Any, value: Any, outer: str) -> Iterator[Violation]:
    path = f"{outer}.{field.name}" if outer else field.name
    if not _is_open(field):
        yield from _leaf(message, field, value, path)
    elif not field.is_repeated:
        inner = getattr(message, field.name)
        inner.SetInParent()
        yield from _inner(inner, field, value, path)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _inner(getattr(message, field.name).add(), field, item, f"{path}[{number}]")
    else:
        yield path, _misfit(field, value, path)


def _inner(message: Any, field: Any, value: Any, path: str) -> Iterator[Violation]:
    if isinstance(value, dict):
        yield from _fill(message, value, path)
    else:
        yield path, _misfit(field, value, path)


def _is_open(field: Any) -> bool:
    """Return True for a message whose fields are filled one by one."""
    kind = field.message_type
    return kind is not None and kind.full_name not in _WHOLE and not kind.GetOptions().map_entry


def _leaf(message: Any, field: Any, value: Any, path: str) -> Iterator[Violation]:
    if field.type == field.TYPE_BYTES and isinstance(value, str):
        value = _SPACE.sub("", value)
        if not _is_base64(value):  # json_format leaves out the characters that it does not know
            yield path, f"Invalid value at '{path}' (TYPE_BYTES), Base64 decoding failed for {json.dumps(value)}"
            return
    json_format: Any = importlib.import_module("google.protobuf.json_format")
    try:
        json_format.ParseDict({field.json_name: value}, message)
    except json_format.ParseError:
        yield path, _misfit(field, value, path)


def _is_base64(text: str) -> bool:
    """Return True for base64 in one of its two alphabets, with all of its padding or none."""
    digits = text.rstrip("=")
    return bool(_BASE64.fullmatch(text)) and len(digits) % 4 != 1 and (digits == text or len(text) % 4 == 0)


def _misfit(field: Any, value: Any, path: str) -> str:
    return f"Invalid value at '{path}' ({_type(field)}), {json.dumps(value, ensure_ascii=False)}"


def _type(field: Any) -> str:
    named = field.message_type or field.enum_type
    if named is not None:
        return f"type.googleapis.com/{named.full_name}"
    types: Any = importlib.import_module("google.protobuf.descriptor_pb2")
    return str(types.FieldDescriptorProto.Type.Name(field.type))


def _bind(message: Any, name: str, text: str) -> Iterator[Violation]:
    """Fill a field from a parameter of the query, whose name may be a path, and yield the values that do not fit."""
    *outer, last = name.split(".")
    for part in outer:
        field = _fields(message.DESCRIPTOR).get(part)
        if field is None or not _is_open(field) or field.is_repeated:
            yield _unbound(name)
            return
        message = getattr(message, field.name)
    field = _fields(message.DESCRIPTOR).get(last)
    if field is None or _is_open(field):
        yield _unbound(name)
    else:
        yield from _leaf(message, field, _value(field, text), field.name)


def _unbound(name: str) -> Violation:
    text = f"Cannot bind query parameter. Field '{name}' could not be found in request message."
    return "", f'{_BAD} Unknown name "{name}": {text}'


def _value(field: Any, text: str) -> Any:
    """Return a parameter's text as a JSON value: a query has text only, and a mask's paths in both spellings."""
    if field.message_type is not None and field.message_type.name == "FieldMask":
        return ",".join(map(_camel, text.split(",")))
    return {"true": True, "false": False}.get(text, text) if field.cpp_type == field.CPPTYPE_BOOL else text


def _camel(path: str) -> str:
    first, *rest = path.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)

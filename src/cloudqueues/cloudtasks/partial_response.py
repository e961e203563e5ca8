"""Partial responses, which REST's parameter `fields` selects: `queues(name,state),nextPageToken`.

https://cloud.google.com/apis/docs/system-parameters and https://developers.google.com/slides/api/guides/performance
"""

from __future__ import annotations

import re
from typing import Any, TypeAlias

from cloudqueues.cloudtasks.errors import INVALID, Detail, Refused, invalid

Part: TypeAlias = dict[str, "Part"]
"""Selected names in JSON, each with the selection below it; an empty one selects everything."""

_TOKEN = re.compile(r"[A-Za-z0-9_@*]+|[(),/.]")


def part_of(text: str, descriptor: Any) -> Part:
    """Parse a selection in a response of this type. Raises Refused for an unknown field."""
    tokens = _TOKEN.findall(text)
    if "".join(tokens) != text.replace(" ", ""):
        raise _refused(text)
    part = _list(tokens, descriptor, text)
    if tokens:
        raise _refused(text)
    return part


def _list(tokens: list[str], descriptor: Any, text: str) -> Part:
    part: Part = {}
    while True:
        _field(tokens, descriptor, part, text)
        if not tokens or tokens[0] != ",":
            return part
        tokens.pop(0)


def _field(tokens: list[str], descriptor: Any, part: Part, text: str) -> None:
    name = tokens.pop(0) if tokens else ""
    if name == "*":
        return
    fields = (
        {name: field for field in descriptor.fields for name in (field.name, field.json_name)} if descriptor else {}
    )
    if name not in fields:
        raise _refused(name or text)
    inner = part.setdefault(fields[name].json_name, {})
    sign = tokens[0] if tokens else ""
    if sign in {"/", "."}:
        tokens.pop(0)
        _field(tokens, fields[name].message_type, inner, text)
    elif sign == "(":
        tokens.pop(0)
        inner |= _list(tokens, fields[name].message_type, text)
        if not tokens or tokens.pop(0) != ")":
            raise _refused(text)


def _refused(path: str) -> Refused:
    text = f"Error expanding 'fields' parameter. Cannot find matching fields for path '{path}'."
    violations: Detail = ("BadRequest", {"field_violations": [{"field": path, "description": text}]})
    return invalid(INVALID, violations)


def cut(value: Any, part: Part) -> Any:
    """Return the selected part of JSON."""
    if not part:
        return value
    if isinstance(value, list):
        return [cut(item, part) for item in value]
    return {name: cut(inner, part[name]) for name, inner in value.items() if name in part}

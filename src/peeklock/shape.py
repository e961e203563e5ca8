"""What pydantic's schema of a payload declares: the names that an error may show, and whether a float can be in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

_FIELDS = frozenset({"model-field", "typed-dict-field", "dataclass-field"})

_WITHOUT_FLOATS = frozenset(
    [
        *(
            "str",
            "int",
            "bool",
            "bytes",
            "none",
            "enum",
            "literal",
            "uuid",
            "date",
            "time",
            "datetime",
            "decimal",
            "url",
        ),
        *("timedelta", "multi-host-url", "definition-ref"),
    ]
)
"""Types of a schema that take no float, or refuse one that is not finite. `any` is not among them, nor what is new."""

_CONTAINERS = frozenset(
    [
        *("model", "model-fields", "typed-dict", "dataclass", "dataclass-args", "list", "tuple", "set", "frozenset"),
        *("dict", "nullable", "union", "tagged-union", "default", "definitions", "chain", "lax-or-strict", "generator"),
        *("function-before", "function-after", "function-wrap"),
        *_FIELDS,
    ]
)

_NOT_OF_THE_BODY = ("metadata", "serialization", "cls", "config", "default", "default_factory", "function", "expected")


class Shape:
    """Facts of one schema, each found out when it is first needed."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema

    @cached_property
    def holds_floats(self) -> bool:
        """Whether a number that is not finite could get into the payload."""
        types = {part["type"] for part in _parts(self._schema)}
        return not types <= _WITHOUT_FLOATS | _CONTAINERS

    @cached_property
    def names(self) -> frozenset[str]:
        """Names of fields, and their aliases."""
        found: set[str] = set()
        for part in _parts(self._schema):
            found.update(_names(part))
        return frozenset(found)

    def path(self, location: tuple[str | int, ...]) -> str:
        """A place in a body. What the body itself named is a `*`: the key of a mapping, a name that is not allowed."""
        path = "$"
        for part in location:
            if isinstance(part, int):
                path += f"[{part}]"
            else:
                path += f".{part}" if part in self.names else ".*"
        return path


def _parts(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Each schema within a schema. It has no cycles: a type that contains itself is a reference by name."""
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping):
            is_schema = isinstance(part.get("type"), str)  # else its keys are the names of fields or choices
            if is_schema:
                yield part
            waiting.extend(inner for name, inner in part.items() if not is_schema or name not in _NOT_OF_THE_BODY)
        elif isinstance(part, (list, tuple)):
            waiting.extend(part)


def _names(part: Mapping[str, Any]) -> Iterator[str]:
    kind = part["type"]
    if kind == "dataclass-field":
        yield part["name"]
    if kind in ("model-fields", "typed-dict"):
        yield from part["fields"]
    if kind in _FIELDS:
        yield from _texts(part.get("validation_alias"))


def _texts(alias: Any) -> Iterator[str]:
    """The names of an alias: one, a path, or several of these."""
    if isinstance(alias, str):
        yield alias
    elif isinstance(alias, list):
        for part in alias:
            yield from _texts(part)

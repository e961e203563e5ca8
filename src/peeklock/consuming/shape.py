"""Properties of a payload's type, read from its pydantic schema.

These are the names that an error may show, whether it can contain a float, and whether reading it calls user code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property, partial
from typing import Annotated, Any, get_args, get_origin

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
"""Schema types that accept no float, or refuse one that is not finite. `any` and unknown types are not among them."""

_CONTAINERS = frozenset(
    [
        *("model", "model-fields", "typed-dict", "dataclass", "dataclass-args", "list", "tuple", "set", "frozenset"),
        *("dict", "nullable", "union", "tagged-union", "default", "definitions", "chain", "lax-or-strict", "generator"),
        *("function-before", "function-after", "function-wrap"),
        *_FIELDS,
    ]
)

_NOT_OF_THE_BODY = ("metadata", "serialization", "cls", "config", "default", "default_factory", "function", "expected")


_HARMLESS = frozenset(
    [
        *("builtins", "pydantic", "pydantic_core", "annotated_types", "collections", "datetime", "decimal", "enum"),
        *("fractions", "ipaddress", "operator", "pathlib", "re", "typing", "uuid", "zoneinfo"),
    ]
)
"""Packages whose functions do not hang. Those of pydantic may wrap functions of the user, which count."""


_WRAPPERS = ("Required", "NotRequired", "ReadOnly", "Final")


class Shape:
    """Properties of one schema, each computed on first use."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema

    @cached_property
    def holds_floats(self) -> bool:
        """True if the payload can contain a number that is not finite."""
        parts = list(_parts(self._schema))
        return not {part["type"] for part in parts} <= _WITHOUT_FLOATS | _CONTAINERS or any(map(_takes_more, parts))

    @cached_property
    def runs_code(self) -> bool:
        """True if reading a payload calls user code, which may hang."""
        return any(_runs_code(part) for part in _parts(self._schema))

    @cached_property
    def names(self) -> frozenset[str]:
        """Names of fields, and their aliases."""
        return frozenset(name for part in _parts(self._schema) for name in _names(part))

    def path(self, location: tuple[str | int, ...]) -> str:
        """Return the path of a place in a body, with `*` for names that come from the body: keys of a mapping, and names that
        are not allowed."""
        path = "$"
        for part in location:
            if isinstance(part, int):
                path += f"[{part}]"
            else:
                path += f".{part}" if part in self.names else ".*"
        return path


def _parts(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Yield each schema within a schema. There are no cycles: a recursive type is referred to by name."""
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping):
            is_schema = isinstance(part.get("type"), str)  # otherwise its keys are names of fields or choices
            if is_schema:
                yield part
            waiting.extend(inner for name, inner in part.items() if not is_schema or name not in _NOT_OF_THE_BODY)
        elif isinstance(part, (list, tuple)):
            waiting.extend(part)


def _takes_more(part: Mapping[str, Any]) -> bool:
    """Return whether a schema keeps undeclared fields, which can contain anything."""
    settings = part.get("config") or {}
    return "allow" in (part.get("extra_behavior"), settings.get("extra_fields_behavior"))


def _runs_code(part: Mapping[str, Any]) -> bool:
    """Return whether a schema calls user code: a validator, a factory, a discriminator of a union, an enum's `_missing_`, or
    the construction of an instance."""
    function, factory = part.get("function"), part.get("default_factory")
    called = [
        function.get("function") if isinstance(function, Mapping) else function,
        None if isinstance(factory, type) else factory,
        part.get("discriminator"),
        getattr(part.get("cls"), "_missing_", None),
    ]
    return any(map(_is_user_code, called)) or _constructs_with_code(part)


def _constructs_with_code(part: Mapping[str, Any]) -> bool:
    """Return whether a class has an `__init__`, `__post_init__` or `model_post_init` other than pydantic's own."""
    after = part.get("post_init")
    if isinstance(after, str):
        after = getattr(part["cls"], after).__name__ != "init_private_attributes"
    return bool(after or part.get("custom_init"))


def _is_user_code(function: Any) -> bool:
    while isinstance(function, partial):
        function = function.func
    return callable(function) and (not _is_harmless(function) or any(map(_is_wrapped, _cells(function))))


def _is_harmless(function: Any) -> bool:
    return (getattr(function, "__module__", None) or "builtins").split(".")[0] in _HARMLESS


def _cells(function: Any) -> Iterator[Any]:
    for cell in getattr(function, "__closure__", None) or ():
        with suppress(ValueError):  # an empty cell
            yield cell.cell_contents


def _is_wrapped(held: Any) -> bool:
    """Return whether a function of pydantic wraps user code: a Predicate's function, or a validator of pydantic 1."""
    inner = getattr(held, "func", held)
    return callable(inner) and not isinstance(inner, type) and not _is_harmless(inner)


def _names(part: Mapping[str, Any]) -> Iterator[str]:
    kind = part["type"]
    if kind == "dataclass-field":
        yield part["name"]
    if kind in ("model-fields", "typed-dict"):
        yield from part["fields"]
    if kind in _FIELDS:
        yield from _texts(part.get("validation_alias"))


def _texts(alias: Any) -> Iterator[str]:
    """Yield the names in an alias, which is a name, a path, or several of these."""
    if isinstance(alias, str):
        yield alias
    elif isinstance(alias, list):
        for part in alias:
            yield from _texts(part)


def without_annotations(hint: Any) -> Any:
    """Return a type without Annotated, NewType, a `type` alias, and the qualifiers of a TypedDict's field."""
    while True:
        origin = get_origin(hint)
        if origin is Annotated or getattr(origin, "__name__", getattr(origin, "_name", None)) in _WRAPPERS:
            hint = get_args(hint)[0]
        elif hasattr(hint, "__supertype__"):
            hint = hint.__supertype__
        elif type(hint).__name__ == "TypeAliasType":
            hint = hint.__value__
        else:
            return hint

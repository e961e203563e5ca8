"""Shapes of an API's requests, as its own model states them, and checks of requests by them.

The models of all clouds are read into the same `Shape`s, which do not depend on Pulumi's SDKs.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cloudqueues.pulumi.wire import UNKNOWN, is_asset

Lazy = Callable[[], "Shape"]
"""Models contain themselves, so a shape is read when it is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One place of a request. `least` and `most` are of a number, or of the length of a text, a list or a map."""

    source: str
    """The package and the name of the model, such as `botocore lambda CreateFunctionRequest`."""
    kind: str = "anything"
    """`anything`, `object`, `map`, `list`, `text`, `number`, `whole` or `flag`."""
    fields: Mapping[str, Lazy] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    item: Lazy | None = None
    key: Lazy | None = None
    """The keys of a map."""
    values: tuple[Any, ...] = ()
    pattern: str | None = None
    least: float | None = None
    most: float | None = None
    form: str | None = None
    """One of `FORMS`."""
    variant: Callable[[Mapping[str, Any]], Shape] | None = None
    """Choice of the form that a value names, for a model with several."""


FORMS = {
    "ISO 8601 duration": r"P(?=.)(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?",
    "duration in seconds, such as 30s": r"\d+(\.\d{1,9})?s",
}


def problems(shape: Shape, value: Any, path: str = "") -> list[str]:
    """Return all problems of a request, each as `path=value: rule (source)`: kinds, unknown and missing properties included."""
    return list(_check(shape, value, path))


def refused_values(shape: Shape, value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path and the problem of each value that no enumeration, range or pattern of the model allows.

    Properties that the model does not have, and those that are missing, are left out: a program's inputs are only in part
    those of the API.
    """
    if value in (UNKNOWN, None) or is_asset(value) or not KINDS[shape.kind](value):
        return
    if shape.kind == "object":
        for name in value.keys() & shape.fields.keys():
            yield from refused_values(shape.fields[name](), value[name], f"{path}.{name}".removeprefix("."))
    elif shape.kind == "list" and shape.item:
        for index, inner in enumerate(value):
            yield from refused_values(shape.item(), inner, f"{path}[{index}]")
    for rule in (_values, _range, _text):
        for problem in rule(shape, value, path):
            yield path, problem.removeprefix(f"{path}=")


def _check(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if value in (UNKNOWN, None) or is_asset(value):
        return
    if not KINDS[shape.kind](value):
        yield f"{path}={value!r}: is no {shape.kind} ({shape.source})"
        return
    for rule in (_fields, _items, _values, _range, _text):
        yield from rule(shape, value, path)


def _fields(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if shape.kind != "object":
        return
    chosen = shape.variant(value) if shape.variant else shape
    for name, inner in value.items():
        where = f"{path}.{name}".removeprefix(".")
        if name in chosen.fields:
            yield from _check(chosen.fields[name](), inner, where)
        else:
            yield f"{where}={inner!r}: the model has no such property ({chosen.source})"
    for name in sorted(chosen.required - set(value)):
        yield f"{path}.{name}".removeprefix(".") + f": is missing, and required ({chosen.source})"


def _items(shape: Shape, value: Any, path: str) -> Iterator[str]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        if shape.key:
            yield from _check(shape.key(), key, f"{path}[{key!r}]")
        if shape.item:
            yield from _check(shape.item(), inner, f"{path}[{key!r}]")


def _range(shape: Shape, value: Any, path: str) -> Iterator[str]:
    size, what = (len(value), "length ") if isinstance(value, str | Sequence | Mapping) else (value, "")
    if shape.least is not None and size < shape.least:
        yield f"{path}={value!r}: {what}{size} is less than {shape.least:g} ({shape.source})"
    if shape.most is not None and size > shape.most:
        yield f"{path}={value!r}: {what}{size} is more than {shape.most:g} ({shape.source})"


def _values(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if shape.values and value not in shape.values:
        yield f"{path}={value!r}: is none of {', '.join(map(str, shape.values))} ({shape.source})"


def _text(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, str):
        return
    if shape.pattern and not _compiled(shape.pattern).fullmatch(value):
        yield f"{path}={value!r}: does not match {shape.pattern} ({shape.source})"
    if shape.form and not re.fullmatch(FORMS[shape.form], value):
        yield f"{path}={value!r}: is no {shape.form} ({shape.source})"


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern of a model, which may have classes of Unicode that `re` does not have."""
    for name, characters in UNICODE_CLASSES.items():
        pattern = pattern.replace(name, characters)
    return re.compile(pattern)


UNICODE_CLASSES = {
    r"\p{L}": r"\w",
    r"\p{N}": r"\d",
    r"\p{Z}": r" \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000",
}
"""Letters, numbers and separators, as they are written within a set. https://unicode.org/reports/tr18/#General_Category_Property"""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


KINDS: Mapping[str, Callable[[Any], bool]] = {
    "anything": lambda _: True,
    "object": lambda value: isinstance(value, dict),
    "map": lambda value: isinstance(value, dict),
    "list": lambda value: isinstance(value, list),
    "text": lambda value: isinstance(value, str),
    "number": _is_number,
    "whole": lambda value: _is_number(value) and float(value).is_integer(),
    "flag": lambda value: isinstance(value, bool),
}

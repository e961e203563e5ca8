"""Results of handlers as they are kept in records."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from peeklock.errors import ConfigError
from peeklock.strict_json import check_dumped

MAX_RESULT = 24 * 1024
"""Maximum length of a kept result in characters, as JSON inside the record's JSON. The most restrictive database takes 32 Ki
characters in one property, including the rest of the record. All stores have this limit, so that a handler behaves the
same on each.
https://learn.microsoft.com/azure/storage/tables/scalability-targets"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Conversion of a handler's results to text and back."""

    dump: Callable[[Any], str]
    load: Callable[[str], Any]


def results_of(hint: Any, where: str) -> Results:
    """Return the conversion for a return annotation. Raises ConfigError for a type that JSON cannot represent."""
    kind = object if hint is Any else hint
    if kind is object or (isinstance(kind, type) and kind in _KINDS):
        return Results(dump=partial(_dump, _KINDS.get(kind, object)), load=json.loads)
    try:
        from pydantic import TypeAdapter
    except ImportError as exc:
        raise ConfigError(
            f"{where}: keep_result=True of {hint!r} needs pydantic: pip install 'peeklock[pydantic]'"
        ) from exc
    try:
        adapter = TypeAdapter(hint)
    except Exception as exc:
        raise ConfigError(
            f"{where}: keep_result=True needs a result that JSON can hold, not {hint!r} ({str(exc).splitlines()[0]})"
        ) from exc
    return Results(dump=partial(_dump_typed, adapter), load=adapter.validate_json)


def _dump_typed(adapter: Any, value: Any) -> str:
    """Return a result as JSON. Raises ValueError for a value that could not be read back unchanged.

    It is written with aliases and without computed fields, as `send` does, because that is how its type is read.
    """
    dumped: bytes = adapter.dump_json(value, by_alias=True, round_trip=True, warnings="error")
    text = check_dumped(dumped, partial(adapter.dump_python, value))
    again = adapter.validate_json(text)
    if again != value and _parts_of(adapter, again) != _parts_of(adapter, value):
        raise ValueError(_ANOTHER)
    return text.decode()


def _parts_of(adapter: Any, value: Any) -> Any:
    """Return the plain values of a result, because its class may not implement `__eq__`."""
    return adapter.dump_python(value, round_trip=True)


_ANOTHER = "it would be read as something else"


_KINDS: dict[Any, type | tuple[type, ...]] = {
    float: (float, int),
    **{kind: kind for kind in (dict, list, str, int, bool)},
}
"""Types that a plain annotation accepts."""


def _dump(kind: type | tuple[type, ...], value: Any) -> str:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind not in (bool, object)):
        raise TypeError(f"a result of type {type(value).__name__}")
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    if json.loads(text) != value:
        raise ValueError(_ANOTHER)
    return text


def is_too_large(result: str) -> bool:
    """Return whether a result exceeds the limit when stored inside another JSON text, where a quotation mark takes two
    characters, and a character beyond ASCII six or twelve."""
    return len(result) > MAX_RESULT or len(json.dumps(result)) > MAX_RESULT

"""The result of a handler, as a record keeps it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from peeklock.errors import ConfigError
from peeklock.strict_json import check_dumped

MAX_RESULT = 24 * 1024
"""Characters of a kept result, as JSON inside the record's JSON. The smallest of the databases takes 32 Ki characters in
one property, the rest of the record included; the same bound everywhere, so that a handler behaves the same everywhere.
https://learn.microsoft.com/azure/storage/tables/scalability-targets"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """How a handler's result becomes text, and a result again."""

    dump: Callable[[Any], str]
    load: Callable[[str], Any]


def results_of(hint: Any, where: str) -> Results:
    """For what the handler is annotated to return. Raises ConfigError for what no JSON can hold."""
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
    """Raises ValueError for what would not be read as it is. As `send` writes it, since that is how its type reads it: with
    aliases, without computed fields."""
    told: bytes = adapter.dump_json(value, by_alias=True, round_trip=True, warnings="error")
    text = check_dumped(told, partial(adapter.dump_python, value))
    again = adapter.validate_json(text)
    if again != value and _parts_of(adapter, again) != _parts_of(adapter, value):
        raise ValueError(_ANOTHER)
    return text.decode()


def _parts_of(adapter: Any, value: Any) -> Any:
    """Its plain values, since an object need not know what it equals."""
    return adapter.dump_python(value, round_trip=True)


_ANOTHER = "it would be read as something else"


_KINDS: dict[Any, type | tuple[type, ...]] = {
    float: (float, int),
    **{kind: kind for kind in (dict, list, str, int, bool)},
}
"""What a plain annotation stands for."""


def _dump(kind: type | tuple[type, ...], value: Any) -> str:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind not in (bool, object)):
        raise TypeError(f"a result of type {type(value).__name__}")
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    if json.loads(text) != value:
        raise ValueError(_ANOTHER)
    return text


def is_too_large(result: str) -> bool:
    """Measured as it is stored: inside another JSON text, where a quotation mark takes two characters, and one beyond
    ASCII six or twelve."""
    return len(result) > MAX_RESULT or len(json.dumps(result)) > MAX_RESULT

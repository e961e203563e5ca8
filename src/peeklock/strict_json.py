"""Strict JSON, with finite numbers only, as every language reads it; and the unchanged text of an object's members."""

from __future__ import annotations

import json
import math
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING
from json.decoder import scanstring  # type: ignore[attr-defined] # typeshed leaves it out
from typing import Any, NoReturn

from peeklock.errors import InvalidMessage

MAX_FLOAT_DIGITS = 200
"""A number with fewer digits, and an exponent of fewer than three digits, is finite: the largest float is 1.8e308."""

_MAY_OVERFLOW = re.compile(rb"[eE]\+?[0-9]{3}")
_MAY_BE_LONG = re.compile(rb"[0-9]{%d}" % MAX_FLOAT_DIGITS)
_MAY_HIDE = re.compile(rb"(?i)nan|inf|\\u|e\+?[0-9_]{3}|[0-9_]{%d}" % MAX_FLOAT_DIGITS)
"""Parts of a body from which pydantic can make a float that is not finite, such as the text "NaN"."""

_ASTERISKS = "*" * 10
"""Text that pydantic writes for a secret."""

_MAY_BE_CHANGED = re.compile(rb'null|NaN|Infinity|"\*{10}"')
"""Signs, in JSON written by pydantic, of a number that is not finite, and of a secret."""

_SPACE = re.compile(r"[ \t\n\r]*")


def _no_constant(name: str) -> NoReturn:
    raise InvalidMessage(f"not JSON: {name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise InvalidMessage("a number is too large")
    return number


def _finite_integer(text: str) -> int:
    number = int(text)
    try:
        float(number)
    except OverflowError:
        raise InvalidMessage("a number is too large") from None
    return number


_DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite)
_FLOATS = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite, parse_int=_finite_integer)


def loads(text: str) -> Any:
    """Parse JSON. Raises InvalidMessage, without any value of the text."""
    if text.startswith("\ufeff"):
        raise InvalidMessage("not JSON: Unexpected UTF-8 BOM at character 0")
    return _read(_DECODER, text)


def _read(decoder: json.JSONDecoder, text: str) -> Any:
    try:
        return decoder.decode(text)
    except json.JSONDecodeError as exc:
        raise InvalidMessage(f"not JSON: {exc.msg} at character {exc.pos}") from None
    except RecursionError:
        raise InvalidMessage("nested too deeply") from None
    except ValueError:  # an integer with more digits than Python converts
        raise InvalidMessage("a number is too large") from None


def check_floats(body: bytes) -> None:
    """Raise InvalidMessage for a number that does not fit into a float.

    The text is valid JSON, except for the constants NaN and Infinity. It is parsed again only if it may contain such a
    number.
    """
    if (
        b"NaN" in body
        or b"Infinity" in body
        or _MAY_OVERFLOW.search(body)
        or (len(body) > MAX_FLOAT_DIGITS and _MAY_BE_LONG.search(body))
    ):
        _read(_FLOATS, body.decode())


def check_payload(body: bytes, payload: object) -> None:
    """Raise InvalidMessage for a payload with a number that is not finite, after `check_floats` has accepted the body.

    Pydantic also makes numbers from strings, and from JSON within a string. Defaults may be infinite.
    """
    if _MAY_HIDE.search(body) and any(map(_is_not_finite, _values_from_body(payload))):
        raise InvalidMessage("a number is too large, or none")


def _values_from_body(payload: object) -> Iterator[object]:
    """Yield each value within a payload that is not a default. Validators may have created cycles."""
    waiting, seen = [payload], set[int]()
    while waiting:
        part = waiting.pop()
        yield part
        if id(part) not in seen:
            seen.add(id(part))
            waiting.extend(_within(part))


def _within(part: object) -> Iterable[object]:
    if isinstance(part, Mapping):
        return [*part, *part.values()]
    if isinstance(part, (list, tuple, set, frozenset, deque)):
        return part
    return () if isinstance(part, type) else _fields_from_body(part)


def _fields_from_body(part: Any) -> list[object]:
    """Return the values of a model or a dataclass, except defaults. Other objects contain nothing from the body."""
    named = getattr(part, "__dict__", {})
    if hasattr(part, "__pydantic_fields_set__"):
        named = {**named, **(part.__pydantic_extra__ or {})}
        return [value for name, value in named.items() if name in part.__pydantic_fields_set__]
    declared = getattr(part, "__dataclass_fields__", None)
    if declared is None:
        return []
    named = {**{name: getattr(part, name, None) for name in declared}, **named}
    return [value for name, value in named.items() if value is not getattr(declared.get(name), "default", MISSING)]


def check_dumped(text: bytes, values: Callable[..., Any]) -> bytes:
    """Return a JSON text written by pydantic with `round_trip`, if it holds the values unchanged.

    `values` returns the same as plain Python, if needed: a model's `model_dump`, or an adapter's `dump_python`.

    Raises ValueError for values that pydantic does not write as they are: numbers that are not finite, and secrets.
    """
    if _MAY_BE_CHANGED.search(text):
        written, original = list(_parts(json.loads(text))), list(_parts(values(round_trip=True)))
        if any(map(_is_not_finite, original)) and _count(_is_nothing, written) > _count(_is_none, original):
            raise ValueError("a number is NaN or infinite")
        if any(map(_is_secret, original)) and _count(_is_hidden, written) > _count(_is_hidden, original):
            raise ValueError("a secret would be sent as asterisks: make the field a str, or give it a field_serializer")
    return text


def _count(matches: Callable[[object], bool], parts: list[Any]) -> int:
    """Count matching values.

    Serializers may have replaced such a value, and nulls and asterisks may be genuine. So `check_dumped` looks whether
    more of them were written than there were before.
    """
    return sum(map(matches, parts))


def _is_not_finite(part: object) -> bool:
    return isinstance(part, float) and not math.isfinite(part)


def _is_none(part: object) -> bool:
    return part is None


def _is_nothing(part: object) -> bool:
    return part is None or _is_not_finite(part)


def _is_secret(part: object) -> bool:
    return hasattr(part, "get_secret_value")


def _is_hidden(part: object) -> bool:
    return isinstance(part, str) and part == _ASTERISKS


def _parts(value: Any) -> Iterator[Any]:
    """Yield each value within a value."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        yield part
        if isinstance(part, Mapping):
            waiting.extend(part.values())
        elif isinstance(part, (list, tuple, set, frozenset, deque)):
            waiting.extend(part)


def members(text: str) -> dict[str, str]:
    """Return the members of a JSON object as their original texts, so that numbers keep their digits.

    The last member of a repeated name counts. Raises InvalidMessage as `loads` does.
    """
    if not isinstance(loads(text), dict):
        raise InvalidMessage("a JSON object is needed", where="$")
    texts: dict[str, str] = {}
    at = _skip(text, text.index("{") + 1)
    while text[at] != "}":
        name, at = scanstring(text, at + 1, True)
        start = _skip(text, _skip(text, at) + 1)
        _, at = _DECODER.raw_decode(text, start)
        texts[name] = text[start:at]
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return texts


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return at if match is None else match.end()

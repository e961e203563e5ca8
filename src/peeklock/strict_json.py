"""JSON as every language reads it: finite numbers only. The text of one member of an object, unchanged."""

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
"""A number of fewer digits, and with an exponent of fewer than three, is finite: floats end at 1.8e308."""

_MAY_OVERFLOW = re.compile(rb"[eE]\+?[0-9]{3}")
_MAY_BE_LONG = re.compile(rb"[0-9]{%d}" % MAX_FLOAT_DIGITS)
_MAY_HIDE = re.compile(rb"(?i)nan|inf|\\u|e\+?[0-9_]{3}|[0-9_]{%d}" % MAX_FLOAT_DIGITS)
"""In a body: what a float may be made of that is none in JSON, such as the text "NaN"."""

_ASTERISKS = "*" * 10
"""What pydantic writes of a secret."""

_MAY_BE_CHANGED = re.compile(rb'null|NaN|Infinity|"\*{10}"')
"""In what pydantic wrote: signs of a number that is not finite, and of a secret."""

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
    """Read a JSON text. Raises InvalidMessage for what is none, without a value of it."""
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
    except ValueError:  # an integer of more digits than Python converts
        raise InvalidMessage("a number is too large") from None


def check_floats(body: bytes) -> None:
    """Raise InvalidMessage for a number that a float cannot hold, in a text that is known to be JSON but for the
    constants NaN and Infinity. A text without a trace of one is not read again."""
    if (
        b"NaN" in body
        or b"Infinity" in body
        or _MAY_OVERFLOW.search(body)
        or (len(body) > MAX_FLOAT_DIGITS and _MAY_BE_LONG.search(body))
    ):
        _read(_FLOATS, body.decode())


def check_payload(body: bytes, payload: object) -> None:
    """Raise InvalidMessage for a number that is not finite, in what pydantic made of a body that has passed `check_floats`: it
    makes one of a text as well, and of JSON within a text. Defaults may be what they are."""
    if _MAY_HIDE.search(body) and any(map(_is_no_number, _given(payload))):
        raise InvalidMessage("a number is too large, or none")


def _given(payload: object) -> Iterator[object]:
    """Each value within a payload that is no default. A validator may have linked values in a circle."""
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
    return () if isinstance(part, type) else _given_fields(part)


def _given_fields(part: Any) -> list[object]:
    """The values of a model or a dataclass but for its defaults. What else an object holds is not the body's."""
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
    """Return a JSON text that pydantic wrote with `round_trip`. `values` gives the same as plain Python, where it matters: a
    model's `model_dump`, or an adapter's `dump_python` of the value.

    Raises ValueError for what pydantic does not write as it is: a number that is not finite, and a secret.
    """
    if _MAY_BE_CHANGED.search(text):
        written, given = list(_parts(json.loads(text))), list(_parts(values(round_trip=True)))
        if any(map(_is_no_number, given)) and _count(_is_nothing, written) > _count(_is_none, given):
            raise ValueError("a number is NaN or infinite")
        if any(map(_is_secret, given)) and _count(_is_hidden, written) > _count(_is_hidden, given):
            raise ValueError("a secret would be sent as asterisks: make the field a str, or give it a field_serializer")
    return text


def _count(is_one: Callable[[object], bool], parts: list[Any]) -> int:
    """A serializer may have mended what is wrong with a value, and nulls and asterisks may be given ones: what counts is
    whether more of them were written than were given."""
    return sum(map(is_one, parts))


def _is_no_number(part: object) -> bool:
    return isinstance(part, float) and not math.isfinite(part)


def _is_none(part: object) -> bool:
    return part is None


def _is_nothing(part: object) -> bool:
    return part is None or _is_no_number(part)


def _is_secret(part: object) -> bool:
    return hasattr(part, "get_secret_value")


def _is_hidden(part: object) -> bool:
    return isinstance(part, str) and part == _ASTERISKS


def _parts(value: Any) -> Iterator[Any]:
    """Each value within a value."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        yield part
        if isinstance(part, Mapping):
            waiting.extend(part.values())
        elif isinstance(part, (list, tuple, set, frozenset, deque)):
            waiting.extend(part)


def members(text: str) -> dict[str, str]:
    """The members of a JSON object, each as the text that it has there: a number keeps its digits.

    Raises InvalidMessage, as `loads`. Of a repeated name the last one counts.
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

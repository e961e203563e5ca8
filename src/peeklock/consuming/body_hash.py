"""Hash of a body, by which `check_body` compares two bodies."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from peeklock.errors import InvalidMessage

VERSION = "2"
"""Version of the rules below. Hashes of different versions are not compared."""

MAX_DEPTH = 100
"""Depth beyond which a body is compared byte by byte. The limit of Python's own parser depends on its caller."""


class _Text(str):
    """A finished piece of the canonical text."""

    __slots__ = ()


def hash_of(body: bytes) -> str:
    """Return the version, a colon and a hash that is equal for equivalent bodies.

    White space and the order of names in JSON do not matter; `1`, `1.0` and `1e0` are the same number, and so are 0 and
    -0. Numbers are compared exactly, whatever their size. A body that is not JSON is compared byte by byte.

    Raises InvalidMessage for an object with a repeated name, because parsers differ in which of its values counts.
    """
    import hashlib

    try:
        text = "".join(_pieces(_DECODER.decode(body.decode()))).encode()
    except (ValueError, RecursionError):  # not JSON, or nested deeply
        text = body
    return f"{VERSION}:{hashlib.sha256(text).hexdigest()[:32]}"


def _pieces(value: Any) -> Iterator[str]:
    """Yield the canonical text of a parsed body. Not recursive, because the producer decides how deep a body is."""
    waiting: list[tuple[Any, int]] = [(value, 0)]
    while waiting:
        part, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise RecursionError
        if isinstance(part, _Text):
            yield part
        elif isinstance(part, (dict, list)):
            inner = _object(part) if isinstance(part, dict) else _array(part)
            waiting.extend((piece, depth + 1) for piece in reversed(inner))
        else:
            yield json.dumps(part)


def _object(members: dict[str, Any]) -> list[Any]:
    parts: list[Any] = [_Text("{")]
    for name in sorted(members):
        parts += [name, _Text(":"), members[name], _Text(",")]
    return [*parts, _Text("}")]


def _array(values: Sequence[Any]) -> list[Any]:
    parts: list[Any] = [_Text("[")]
    for value in values:
        parts += [value, _Text(",")]
    return [*parts, _Text("]")]


def _number(text: str) -> _Text:
    """Return the significant digits and the power of ten. Never a float, and never the number written out."""
    mantissa, _, exponent = text.lower().partition("e")
    whole, _, fraction = mantissa.removeprefix("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    significant = digits.rstrip("0")
    if not significant:
        return _Text("0")
    power = int(exponent or 0) - len(fraction) + len(digits) - len(significant)
    sign = "-" if text.startswith("-") else ""
    return _Text(f"{sign}{significant}e{power}")


def _constant(name: str) -> _Text:
    raise ValueError(name)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise InvalidMessage("a name is repeated in an object")
    return members


_DECODER = json.JSONDecoder(parse_float=_number, parse_int=_number, parse_constant=_constant, object_pairs_hook=_unique)

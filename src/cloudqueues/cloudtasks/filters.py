"""Filter of ListQueues: the part of https://google.aip.dev/160 that was recorded from the service."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeAlias

from cloudqueues.cloudtasks.errors import INVALID, Refused, invalid
from cloudqueues.cloudtasks.sdk import kind, seconds_of

Test: TypeAlias = Callable[[Any], bool]
"""Predicate of a queue."""

_TOKEN = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|(<=|>=|!=|[:=<>()])|([^\s:=<>()"!]+))')
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ":": operator.eq,
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_DURATION = re.compile(r"-?\d+(\.\d+)?s")
_UNKNOWN = object()


def selects(text: str) -> Test:
    """Return the predicate for a filter. Raises Refused for a filter that cannot be parsed."""
    if not text.strip():
        return lambda _: True
    parser = _Parser(text)
    try:
        test = parser.all_of()
    except RecursionError as exc:
        raise invalid(INVALID) from exc
    if not parser.at_end:
        raise invalid(INVALID)
    return test


class _Parser:
    """Recursive descent parser of a filter."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._next = 0

    @property
    def at_end(self) -> bool:
        return self._next >= len(self._tokens)

    def _peek(self) -> str:
        return "" if self.at_end else self._tokens[self._next][1]

    def _take(self) -> tuple[str, str]:
        if self.at_end:
            raise invalid(INVALID)
        self._next += 1
        return self._tokens[self._next - 1]

    def all_of(self) -> Test:
        """Parse terms that follow each other, with or without an AND between them."""
        tests = [self._any_of()]
        while not self.at_end and self._peek() != ")":
            if self._peek() == "AND":
                self._take()
            tests.append(self._any_of())
        return lambda queue: all(test(queue) for test in tests)

    def _any_of(self) -> Test:
        """Parse an OR, which binds closer than an AND."""
        tests = [self._term()]
        while self._peek() == "OR":
            self._take()
            tests.append(self._term())
        return lambda queue: any(test(queue) for test in tests)

    def _term(self) -> Test:
        sort, text = self._take()
        if sort == "word" and (text == "NOT" or (text.startswith("-") and len(text) > 1)):
            return self._negated(text)
        if text == "(" and sort == "sign":
            return self._group()
        if sort != "word":
            raise invalid(INVALID)
        return self._comparison(text)

    def _negated(self, text: str) -> Test:
        test = self._term() if text == "NOT" else self._comparison(text[1:])
        return lambda queue: not test(queue)

    def _group(self) -> Test:
        test = self.all_of()
        if self._take() != ("sign", ")"):
            raise invalid(INVALID)
        return test

    def _comparison(self, path: str) -> Test:
        sort, sign = self._take()
        if sort != "sign" or sign not in _COMPARE:
            raise invalid(INVALID)
        sort, value = self._take()
        if sort == "sign":
            raise invalid(INVALID)
        return _comparison(path, sign, value, is_star=sort == "word" and value == "*")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at, text = 0, text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise invalid(INVALID)
        quoted, sign, word = match.groups()
        at = match.end()
        if word is not None:
            yield "word", word
        elif sign is not None:
            yield "sign", sign
        else:
            yield "quoted", re.sub(r"\\(.)", r"\1", quoted)


def _comparison(path: str, sign: str, value: str, *, is_star: bool) -> Test:
    fields = _fields(path)
    last = fields[-1]
    if is_star and sign == ":":
        return lambda queue: any(map(_is_set, _values(queue, fields, raw=True)))
    if last.message_type is not None and last.message_type.name not in {"Duration", "Timestamp"}:
        raise invalid(
            f"Cannot match a nested type '{last.name}'. A member field of scalar or enum type must be provided."
        )
    wanted = _parse(last, value)
    if sign == ":" and isinstance(wanted, str):
        return lambda queue: any(wanted.lower() in str(value).lower() for value in _values(queue, fields))
    compare = _COMPARE[sign]
    return lambda queue: any(compare(value, wanted) for value in _values(queue, fields))


def _fields(path: str) -> list[Any]:
    """Return the descriptors of a path, whose names may be those of the proto or of JSON, in any case."""
    descriptors: list[Any] = []
    descriptor = kind("Queue").DESCRIPTOR
    for name in path.split("."):
        names = {field.name.replace("_", ""): field for field in (descriptor.fields if descriptor else ())}
        field = names.get(name.replace("_", "").lower())
        if field is None:
            raise invalid(f"Field not found: '{path}'.")
        descriptors.append(field)
        descriptor = field.message_type
    return descriptors


def _values(message: Any, fields: list[Any], *, raw: bool = False) -> Iterator[Any]:
    """Yield the values at a path: several where it goes through a list."""
    field, *rest = fields
    value = getattr(message, field.name)
    if field.name == "header_overrides":
        for item in value:
            yield from _values(item, rest, raw=raw) if rest else (item,)
    elif rest:
        yield from _values(value, rest, raw=raw)
    elif field.message_type is None:
        yield value
    elif raw:
        yield value if message.HasField(field.name) else None
    else:
        yield seconds_of(value)


def _is_set(value: Any) -> bool:
    return value is not None and value not in ("", 0, b"")


def _parse(field: Any, text: str) -> Any:
    """Parse the value to compare with. Raises Refused for one of another type."""
    wrong = invalid(f"The value '{text.lower()}' is of incorrect type.")
    if field.enum_type is not None:
        numbers = {name.lower(): value.number for name, value in field.enum_type.values_by_name.items()}
        return _checked(numbers.get(text.lower(), _UNKNOWN), wrong)
    if field.message_type is not None:
        read = _duration if field.message_type.name == "Duration" else _timestamp
        return _checked(read(text), wrong)
    if field.cpp_type == field.CPPTYPE_STRING:
        return text
    return _checked(_number(text), wrong)


def _checked(value: Any, wrong: Refused) -> Any:
    if value is _UNKNOWN:
        raise wrong
    return value


def _duration(text: str) -> Any:
    return float(text[:-1]) if _DURATION.fullmatch(text) else _UNKNOWN


def _timestamp(text: str) -> Any:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return _UNKNOWN
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return _UNKNOWN

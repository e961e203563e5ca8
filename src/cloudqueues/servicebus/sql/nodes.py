"""What a filter's parts come to for a message: closures, put together once when the text is read.

None is unknown, and logic has three values:
https://learn.microsoft.com/azure/service-bus-messaging/service-bus-messaging-sql-filter#property-evaluation-semantics
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cloudqueues.servicebus.sql import values
from cloudqueues.servicebus.sql.errors import EvaluationError
from cloudqueues.servicebus.sql.pattern import like
from cloudqueues.servicebus.view import View

Run = Callable[[View], object]


@dataclass(frozen=True, slots=True)
class Property:
    name: str
    system: bool

    def of(self, seen: View) -> Mapping[str, object]:
        return seen.system if self.system else seen.properties

    def key(self, seen: View) -> str | None:
        """How the message writes it, for case does not matter; None where it has no such property."""
        return named(self.of(seen), self.name)

    def __call__(self, seen: View) -> object:
        """Its value. Raises EvaluationError where a filter cannot use it."""
        return usable(self.of(seen), self.key(seen))


def named(properties: Mapping[str, object], name: str) -> str | None:
    if name in properties:
        return name
    return next((one for one in properties if one.lower() == name.lower()), None)


def usable(properties: Mapping[str, object], key: str | None) -> object:
    found = None if key is None else properties[key]
    if found is not None:
        values.kind(found)
    return found


def constant(value: object) -> Run:
    return lambda _seen: value


def new_id() -> Run:
    return lambda _seen: uuid.uuid4()


def looked_up(name: Run) -> Run:
    """The property that an expression names."""

    def run(seen: View) -> object:
        found = name(seen)
        if found is not None and not isinstance(found, str):
            raise EvaluationError("property() takes the name of a property, which is a text")
        return None if found is None else usable(seen.properties, named(seen.properties, found))

    return run


def exists(one: Property) -> Run:
    return lambda seen: one.key(seen) is not None


def is_null(one: Property) -> Run:
    def run(seen: View) -> bool:
        key = one.key(seen)
        return key is None or one.of(seen)[key] is None

    return run


def all_of(parts: Sequence[Run]) -> Run:
    """AND: the first that is false decides."""
    return lambda seen: _decided(parts, seen, False)


def any_of(parts: Sequence[Run]) -> Run:
    """OR: the first that is true decides."""
    return lambda seen: _decided(parts, seen, True)


def _decided(parts: Sequence[Run], seen: View, decisive: bool) -> bool | None:  # noqa: FBT001 - it is the value
    found: bool | None = not decisive
    for part in parts:
        value = part(seen)
        if value is decisive:
            return decisive
        found = None if value is None else found
    return found


def negation(part: Run) -> Run:
    def run(seen: View) -> bool | None:
        value = part(seen)
        return None if value is None else not value

    return run


def comparison(sign: str, left: Run, right: Run) -> Run:
    return lambda seen: values.compare(sign, left(seen), right(seen))


def membership(value: Run, options: Sequence[Run]) -> Run:
    return lambda seen: _among(value(seen), options, seen)


def _among(value: object, options: Sequence[Run], seen: View) -> bool | None:
    equal: set[bool | None] = set()
    for option in options:
        equal.add(values.compare("=", value, option(seen)))
        if True in equal:
            return True
    return None if None in equal else False


def likeness(value: Run, pattern: Run, escape: Run) -> Run:
    return lambda seen: like(value(seen), pattern(seen), escape(seen))


def calculation(first: Run, rest: Sequence[tuple[str, Run]]) -> Run:
    """From left to right."""

    def run(seen: View) -> object:
        found = first(seen)
        for sign, operand in rest:
            found = values.calculate(sign, found, operand(seen))
        return found

    return run


def signed(sign: str, operand: Run) -> Run:
    return lambda seen: values.signed(sign, operand(seen))

"""Evaluators of filters: closures over parsed parts, built once for each filter.

None is unknown, and logic has three values:
https://learn.microsoft.com/azure/service-bus-messaging/service-bus-messaging-sql-filter#property-evaluation-semantics
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cloudqueues.servicebus.message_properties import MessageProperties
from cloudqueues.servicebus.sql import values
from cloudqueues.servicebus.sql.errors import EvaluationError
from cloudqueues.servicebus.sql.pattern import like

Evaluator = Callable[[MessageProperties], object]


@dataclass(frozen=True, slots=True)
class Property:
    """Property of a message, in the `sys.` scope or among the application properties."""

    name: str
    system: bool

    def of(self, message: MessageProperties) -> Mapping[str, object]:
        return message.system if self.system else message.application

    def key(self, message: MessageProperties) -> str | None:
        """Return the message's spelling of the name, which is case-insensitive, or None where it has no such
        property."""
        return named(self.of(message), self.name)

    def __call__(self, message: MessageProperties) -> object:
        """Return the value. Raises EvaluationError for a type that filters cannot use."""
        return usable(self.of(message), self.key(message))


def named(properties: Mapping[str, object], name: str) -> str | None:
    if name in properties:
        return name
    return next((key for key in properties if key.lower() == name.lower()), None)


def usable(properties: Mapping[str, object], key: str | None) -> object:
    value = None if key is None else properties[key]
    if value is not None:
        values.kind(value)
    return value


def constant(value: object) -> Evaluator:
    return lambda _seen: value


def new_id() -> Evaluator:
    return lambda _seen: uuid.uuid4()


def looked_up(name: Evaluator) -> Evaluator:
    """Return an evaluator of the property that an expression names."""

    def evaluate(message: MessageProperties) -> object:
        key = name(message)
        if key is not None and not isinstance(key, str):
            raise EvaluationError("property() takes the name of a property, which is a text")
        return None if key is None else usable(message.application, named(message.application, key))

    return evaluate


def exists(tested: Property) -> Evaluator:
    return lambda message: tested.key(message) is not None


def is_null(tested: Property) -> Evaluator:
    def evaluate(message: MessageProperties) -> bool:
        key = tested.key(message)
        return key is None or tested.of(message)[key] is None

    return evaluate


def all_of(parts: Sequence[Evaluator]) -> Evaluator:
    """Return the evaluator of AND: the first false part decides."""
    return lambda message: _decided(parts, message, False)


def any_of(parts: Sequence[Evaluator]) -> Evaluator:
    """Return the evaluator of OR: the first true part decides."""
    return lambda message: _decided(parts, message, True)


def _decided(parts: Sequence[Evaluator], message: MessageProperties, decisive: bool) -> bool | None:  # noqa: FBT001 - it is the value
    decision: bool | None = not decisive
    for part in parts:
        value = part(message)
        if value is decisive:
            return decisive
        decision = None if value is None else decision
    return decision


def negation(part: Evaluator) -> Evaluator:
    def evaluate(message: MessageProperties) -> bool | None:
        value = part(message)
        return None if value is None else not value

    return evaluate


def comparison(sign: str, left: Evaluator, right: Evaluator) -> Evaluator:
    return lambda message: values.compare(sign, left(message), right(message))


def membership(value: Evaluator, options: Sequence[Evaluator]) -> Evaluator:
    return lambda message: _among(value(message), options, message)


def _among(value: object, options: Sequence[Evaluator], message: MessageProperties) -> bool | None:
    equal: set[bool | None] = set()
    for option in options:
        equal.add(values.compare("=", value, option(message)))
        if True in equal:
            return True
    return None if None in equal else False


def likeness(value: Evaluator, pattern: Evaluator, escape: Evaluator) -> Evaluator:
    return lambda message: like(value(message), pattern(message), escape(message))


def calculation(first: Evaluator, rest: Sequence[tuple[str, Evaluator]]) -> Evaluator:
    """Return an evaluator of operators of equal precedence, from left to right."""

    def evaluate(message: MessageProperties) -> object:
        result = first(message)
        for sign, operand in rest:
            result = values.calculate(sign, result, operand(message))
        return result

    return evaluate


def signed(sign: str, operand: Evaluator) -> Evaluator:
    return lambda message: values.signed(sign, operand(message))

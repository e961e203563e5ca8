"""Actions of rules, which change a rule's copy of a message.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-messaging-sql-rule-action
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cloudqueues.servicebus.message_properties import FIELDS, MessageProperties
from cloudqueues.servicebus.sql import evaluators, values
from cloudqueues.servicebus.sql.cursor import Cursor
from cloudqueues.servicebus.sql.evaluators import Evaluator, Property
from cloudqueues.servicebus.sql.grammar import Grammar
from cloudqueues.servicebus.sql.terms import property_
from cloudqueues.servicebus.sql.tokens import Kind

MOST = 32
"""Maximum statements of an action: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas"""

Statement = Callable[[MessageProperties], MessageProperties]


def statements(text: str, parameters: Mapping[str, object]) -> list[Statement]:
    """Parse the statements of an action. Raises FilterError."""
    cursor = Cursor(text)
    grammar = Grammar(cursor, parameters)
    parsed = [_statement(grammar)]
    while not cursor.take(Kind.END):
        if len(parsed) == MOST:
            cursor.fail(f"an action has at most {MOST} statements")
        parsed.append(_statement(grammar))
    return parsed


def _statement(grammar: Grammar) -> Statement:
    cursor = grammar.cursor
    if cursor.take(Kind.KEYWORD, "SET"):
        statement = _setting(grammar)
    elif cursor.take(Kind.KEYWORD, "REMOVE"):
        statement = _removal(_changeable(cursor))
    else:
        cursor.fail(f"SET or REMOVE is missing before {cursor.token}")
    cursor.take(Kind.SIGN, ";", ",")
    return statement


def _setting(grammar: Grammar) -> Statement:
    target = _changeable(grammar.cursor)
    grammar.cursor.need(Kind.SIGN, "=")
    return _assignment(target, grammar.expression().evaluate)


def _changeable(cursor: Cursor) -> Property:
    at = cursor.token.at
    target = property_(cursor)
    if target.system and target.name not in FIELDS:
        names = ", ".join(f"sys.{name}" for name in FIELDS)
        cursor.fail(f"sys.{target.name} is the service's own; an action can change {names}", at)
    return target


def _assignment(target: Property, value: Evaluator) -> Statement:
    def evaluate(message: MessageProperties) -> MessageProperties:
        assigned = value(message)
        old = target.of(message)
        key = target.key(message) or target.name
        return _with(message, target, {**old, key: _converted(target, old.get(key), assigned)})

    return evaluate


def _converted(target: Property, old: object, new: object) -> object:
    """Convert a value to the type of the value that it replaces, where C# converts implicitly. System properties are
    text."""
    if new is None:
        return None
    if target.system:
        return values.text(new)
    if isinstance(old, float) and isinstance(new, int) and not isinstance(new, bool):
        return float(new)
    return new


def _removal(target: Property) -> Statement:
    def evaluate(message: MessageProperties) -> MessageProperties:
        key = evaluators.named(target.of(message), target.name)
        return _with(message, target, {name: value for name, value in target.of(message).items() if name != key})

    return evaluate


def _with(message: MessageProperties, target: Property, properties: dict[str, object]) -> MessageProperties:
    if not target.system:
        return MessageProperties(message.system, properties)
    return MessageProperties(
        {name: value for name, value in properties.items() if value is not None}, message.application
    )

"""What an action changes of the copy of a message that its rule made.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-messaging-sql-rule-action
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cloudqueues.servicebus.sql import nodes, values
from cloudqueues.servicebus.sql.cursor import Cursor
from cloudqueues.servicebus.sql.grammar import Grammar
from cloudqueues.servicebus.sql.nodes import Property, Run
from cloudqueues.servicebus.sql.terms import property_
from cloudqueues.servicebus.sql.tokens import Kind
from cloudqueues.servicebus.view import FIELDS, View

MOST = 32
"""Statements of an action: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas"""

Statement = Callable[[View], View]


def statements(text: str, parameters: Mapping[str, object]) -> list[Statement]:
    """Raises FilterError."""
    words = Cursor(text)
    grammar = Grammar(words, parameters)
    found = [_statement(grammar)]
    while not words.take(Kind.END):
        if len(found) == MOST:
            words.fail(f"an action has at most {MOST} statements")
        found.append(_statement(grammar))
    return found


def _statement(grammar: Grammar) -> Statement:
    words = grammar.words
    if words.take(Kind.KEYWORD, "SET"):
        statement = _setting(grammar)
    elif words.take(Kind.KEYWORD, "REMOVE"):
        statement = _removal(_changeable(words))
    else:
        words.fail(f"SET or REMOVE is missing before {words.token}")
    words.take(Kind.SIGN, ";", ",")
    return statement


def _setting(grammar: Grammar) -> Statement:
    one = _changeable(grammar.words)
    grammar.words.need(Kind.SIGN, "=")
    return _assignment(one, grammar.expression().run)


def _changeable(words: Cursor) -> Property:
    at = words.token.at
    one = property_(words)
    if one.system and one.name not in FIELDS:
        names = ", ".join(f"sys.{name}" for name in FIELDS)
        words.fail(f"sys.{one.name} is the service's own; an action can change {names}", at)
    return one


def _assignment(one: Property, value: Run) -> Statement:
    def run(seen: View) -> View:
        found = value(seen)
        old = one.of(seen)
        key = one.key(seen) or one.name
        return _with(seen, one, {**old, key: _converted(one, old.get(key), found)})

    return run


def _converted(one: Property, old: object, new: object) -> object:
    """To the type of what it replaces, where C# would do that by itself; a system property is a text."""
    if new is None:
        return None
    if one.system:
        return values.text(new)
    if isinstance(old, float) and isinstance(new, int) and not isinstance(new, bool):
        return float(new)
    return new


def _removal(one: Property) -> Statement:
    def run(seen: View) -> View:
        key = nodes.named(one.of(seen), one.name)
        return _with(seen, one, {name: value for name, value in one.of(seen).items() if name != key})

    return run


def _with(seen: View, one: Property, properties: dict[str, object]) -> View:
    if not one.system:
        return View(seen.system, properties)
    return View({name: value for name, value in properties.items() if value is not None}, seen.properties)

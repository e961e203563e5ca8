"""Terms of expressions: constants, parameters and properties. All functions raise FilterError."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from cloudqueues.servicebus.message_properties import SYSTEM
from cloudqueues.servicebus.sql import evaluators
from cloudqueues.servicebus.sql.cursor import Cursor
from cloudqueues.servicebus.sql.errors import EvaluationError
from cloudqueues.servicebus.sql.evaluators import Property
from cloudqueues.servicebus.sql.tokens import NAMES, Kind, Token

_LARGEST = 2**63 - 1
_OWN = {"TRUE": True, "FALSE": False, "NULL": None}


def constant(cursor: Cursor, parameters: Mapping[str, object]) -> object:
    if token := cursor.take(Kind.TEXT):
        return token.text
    if token := cursor.take(Kind.NUMBER):
        return _number(cursor, token)
    if token := cursor.take(Kind.PARAMETER):
        return _parameter(cursor, token, parameters)
    if token := cursor.take(Kind.KEYWORD, *_OWN):
        return _OWN[token.text]
    return cursor.fail(f"a property, a constant or ( is missing before {cursor.token}")


def _number(cursor: Cursor, token: Token) -> int | float:
    if not token.text.isdigit():
        return float(token.text)
    if int(token.text) > _LARGEST:
        cursor.fail(f"a whole number is at most {_LARGEST}: write {token.text}.0", token.at)
    return int(token.text)


def _parameter(cursor: Cursor, token: Token, parameters: Mapping[str, object]) -> object:
    name = token.text[1:].lower()
    if name not in parameters:
        cursor.fail(f"the parameter {token.text} is missing: add it to `parameters`", token.at)
    try:
        return evaluators.usable(parameters, name)
    except EvaluationError as exc:
        return cursor.fail(f"the parameter {token.text}: {exc}", token.at)


def property_(cursor: Cursor) -> Property:
    """Parse a property with its scope."""
    first = _name(cursor)
    if not cursor.take(Kind.SIGN, "."):
        return Property(first.text, system=False)
    if first.text.lower() not in {"sys", "user"}:
        cursor.fail(f"{first} is not a scope: use sys or user; write a name with a dot in brackets", first.at)
    name = _name(cursor)
    if first.text.lower() == "user":
        return Property(name.text, system=False)
    return Property(_system(cursor, name), system=True)


def _name(cursor: Cursor) -> Token:
    for kind in NAMES:
        if token := cursor.take(kind):
            return token
    return cursor.fail(f"the name of a property is missing before {cursor.token}; write a keyword in brackets")


def _system(cursor: Cursor, token: Token) -> str:
    names = {name.lower(): name for name in SYSTEM}
    if token.text.lower() in names:
        return names[token.text.lower()]
    near = difflib.get_close_matches(token.text.lower(), names, 1)
    hint = f"sys.{names[near[0]]}" if near else ", ".join(f"sys.{name}" for name in SYSTEM)
    return cursor.fail(f"there is no system property {token}: did you mean {hint}?", token.at)

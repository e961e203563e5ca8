"""What a filter's expressions are made of: constants, parameters and properties. All raise FilterError."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from cloudqueues.servicebus.sql import nodes
from cloudqueues.servicebus.sql.cursor import Cursor
from cloudqueues.servicebus.sql.errors import EvaluationError
from cloudqueues.servicebus.sql.nodes import Property
from cloudqueues.servicebus.sql.tokens import NAMES, Kind, Token
from cloudqueues.servicebus.view import SYSTEM

_LARGEST = 2**63 - 1
_OWN = {"TRUE": True, "FALSE": False, "NULL": None}


def constant(words: Cursor, parameters: Mapping[str, object]) -> object:
    if token := words.take(Kind.TEXT):
        return token.text
    if token := words.take(Kind.NUMBER):
        return _number(words, token)
    if token := words.take(Kind.PARAMETER):
        return _parameter(words, token, parameters)
    if token := words.take(Kind.KEYWORD, *_OWN):
        return _OWN[token.text]
    return words.fail(f"a property, a constant or ( is missing before {words.token}")


def _number(words: Cursor, token: Token) -> int | float:
    if not token.text.isdigit():
        return float(token.text)
    if int(token.text) > _LARGEST:
        words.fail(f"a whole number is at most {_LARGEST}: write {token.text}.0", token.at)
    return int(token.text)


def _parameter(words: Cursor, token: Token, parameters: Mapping[str, object]) -> object:
    name = token.text[1:].lower()
    if name not in parameters:
        words.fail(f"the parameter {token.text} is not given: add it to `parameters`", token.at)
    try:
        return nodes.usable(parameters, name)
    except EvaluationError as exc:
        return words.fail(f"the parameter {token.text}: {exc}", token.at)


def property_(words: Cursor) -> Property:
    """With its scope."""
    first = _name(words)
    if not words.take(Kind.SIGN, "."):
        return Property(first.text, system=False)
    if first.text.lower() not in {"sys", "user"}:
        words.fail(f"{first} is no scope: it is sys or user; write a name with a dot in brackets", first.at)
    name = _name(words)
    if first.text.lower() == "user":
        return Property(name.text, system=False)
    return Property(_system(words, name), system=True)


def _name(words: Cursor) -> Token:
    for kind in NAMES:
        if token := words.take(kind):
            return token
    return words.fail(f"the name of a property is missing before {words.token}; write a keyword in brackets")


def _system(words: Cursor, token: Token) -> str:
    known = {name.lower(): name for name in SYSTEM}
    if token.text.lower() in known:
        return known[token.text.lower()]
    near = difflib.get_close_matches(token.text.lower(), known, 1)
    hint = f"sys.{known[near[0]]}" if near else ", ".join(f"sys.{name}" for name in SYSTEM)
    return words.fail(f"there is no system property {token}: did you mean {hint}?", token.at)

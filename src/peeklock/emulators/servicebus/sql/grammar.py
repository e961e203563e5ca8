"""From the words of a filter to what it does, by recursive descent.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-messaging-sql-filter
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

from peeklock.emulators.servicebus.sql import nodes, values
from peeklock.emulators.servicebus.sql.errors import EvaluationError, FilterError
from peeklock.emulators.servicebus.sql.nodes import Property, Run
from peeklock.emulators.servicebus.sql.tokens import Kind, Token, tokens
from peeklock.emulators.servicebus.view import SYSTEM

DEEPEST = 32
"""Levels of parentheses, NOT and signs: Python's own stack has to hold them."""
_LARGEST = 2**63 - 1
_NAMES = (Kind.WORD, Kind.NAME)
_OWN = {"TRUE": True, "FALSE": False, "NULL": None}


@dataclass(frozen=True, slots=True)
class Node:
    at: int
    run: Run
    predicate: bool = False
    """Whether it says yes or no, rather than having a value."""
    named: Property | None = None
    """Where it is a property and nothing else."""


class Grammar:
    """Reads one text. All methods raise FilterError, and go on from the first token that was not read yet."""

    def __init__(self, text: str, parameters: Mapping[str, object]) -> None:
        self.text = text
        self._tokens = tokens(text)
        self._next = 0
        self._depth = 0
        self._parameters = {name.removeprefix("@").lower(): value for name, value in parameters.items()}

    # -- tokens

    @property
    def token(self) -> Token:
        """The next one."""
        return self._tokens[self._next]

    def take(self, kind: Kind, *texts: str) -> Token | None:
        """The next token, if it is one of these."""
        token = self.token
        if token.kind is not kind or (texts and token.text not in texts):
            return None
        self._next += kind is not Kind.END
        return token

    def need(self, kind: Kind, text: str) -> Token:
        return self.take(kind, text) or self.fail(f"{text} is missing before {self.token}")

    def fail(self, problem: str, at: int | None = None) -> NoReturn:
        raise FilterError(self.text, self.token.at if at is None else at, problem)

    @contextmanager
    def _deeper(self) -> Generator[None]:
        if self._depth == DEEPEST:
            self.fail(f"parentheses, NOT and signs go {DEEPEST} levels deep and no deeper")
        self._depth += 1
        yield
        self._depth -= 1

    # -- predicates

    def predicate(self) -> Node:
        """What a filter is."""
        return self._yes_or_no(self._alternatives())

    def _yes_or_no(self, node: Node) -> Node:
        if not node.predicate:
            self.fail("a value is no condition: compare it with something, = TRUE for one", node.at)
        return node

    def _alternatives(self) -> Node:
        return self._chain("OR", self._conditions, nodes.any_of)

    def _conditions(self) -> Node:
        return self._chain("AND", self._condition, nodes.all_of)

    def _chain(self, word: str, part: Callable[[], Node], join: Callable[[list[Run]], Run]) -> Node:
        first = part()
        parts = [first]
        while self.take(Kind.KEYWORD, word):
            parts.append(part())
        if len(parts) == 1:
            return first
        return Node(first.at, join([self._yes_or_no(one).run for one in parts]), predicate=True)

    def _condition(self) -> Node:
        token = self.take(Kind.KEYWORD, "NOT")
        if token is None:
            return self._comparison()
        with self._deeper():
            return Node(token.at, nodes.negation(self._yes_or_no(self._condition()).run), predicate=True)

    def _comparison(self) -> Node:
        left = self._sum()
        if token := self.take(Kind.SIGN, *values.COMPARISONS):
            right = self._operand(self._sum())
            return Node(left.at, nodes.comparison(token.text, self._operand(left).run, right.run), predicate=True)
        if self.take(Kind.KEYWORD, "IS"):
            return self._null_test(left)
        negated = self.take(Kind.KEYWORD, "NOT") is not None
        if self.take(Kind.KEYWORD, "IN"):
            return _predicate(left.at, nodes.membership(self._operand(left).run, self._options()), negated=negated)
        if self.take(Kind.KEYWORD, "LIKE"):
            return _predicate(left.at, self._likeness(self._operand(left).run), negated=negated)
        return self.fail(f"IN or LIKE is missing before {self.token}") if negated else left

    def _null_test(self, left: Node) -> Node:
        negated = self.take(Kind.KEYWORD, "NOT") is not None
        self.need(Kind.KEYWORD, "NULL")
        if left.named is None:
            self.fail("IS NULL asks for a property, not for what is made of it", left.at)
        return _predicate(left.at, nodes.is_null(left.named), negated=negated)

    def _options(self) -> list[Run]:
        self.need(Kind.SIGN, "(")
        options = [self.expression().run]
        while self.take(Kind.SIGN, ","):
            options.append(self.expression().run)
        self.need(Kind.SIGN, ")")
        return options

    def _likeness(self, value: Run) -> Run:
        pattern = self.expression().run
        escape = self.expression().run if self.take(Kind.KEYWORD, "ESCAPE") else nodes.constant("")
        return nodes.likeness(value, pattern, escape)

    # -- expressions

    def expression(self) -> Node:
        """What has a value."""
        return self._operand(self._sum())

    def _operand(self, node: Node) -> Node:
        if node.predicate:
            self.fail("a condition is no value: join conditions with AND and OR", node.at)
        return node

    def _sum(self) -> Node:
        return self._calculation(("+", "-"), self._product)

    def _product(self) -> Node:
        return self._calculation(("*", "/", "%"), self._signed)

    def _calculation(self, signs: tuple[str, ...], part: Callable[[], Node]) -> Node:
        first = part()
        rest: list[tuple[str, Run]] = []
        while token := self.take(Kind.SIGN, *signs):
            rest.append((token.text, self._operand(part()).run))
        return Node(first.at, nodes.calculation(self._operand(first).run, rest)) if rest else first

    def _signed(self) -> Node:
        token = self.take(Kind.SIGN, "+", "-")
        if token is None:
            return self._primary()
        with self._deeper():
            return Node(token.at, nodes.signed(token.text, self._operand(self._signed()).run))

    def _primary(self) -> Node:
        token = self.token
        if self.take(Kind.SIGN, "("):
            with self._deeper():
                inner = self._alternatives()
            self.need(Kind.SIGN, ")")
            return inner
        if token.kind in _NAMES:
            return self._function() or self._property_node()
        if self.take(Kind.KEYWORD, "EXISTS"):
            return self._existence(token.at)
        return Node(token.at, nodes.constant(self._constant()))

    def _existence(self, at: int) -> Node:
        self.need(Kind.SIGN, "(")
        one = self.property()
        self.need(Kind.SIGN, ")")
        return Node(at, nodes.exists(one), predicate=True)

    # -- constants, functions, properties

    def _constant(self) -> object:
        if token := self.take(Kind.TEXT):
            return token.text
        if token := self.take(Kind.NUMBER):
            return self._number(token)
        if token := self.take(Kind.PARAMETER):
            return self._parameter(token)
        if token := self.take(Kind.KEYWORD, *_OWN):
            return _OWN[token.text]
        return self.fail(f"a property, a constant or ( is missing before {self.token}")

    def _number(self, token: Token) -> int | float:
        if not token.text.isdigit():
            return float(token.text)
        if int(token.text) > _LARGEST:
            self.fail(f"a whole number is at most {_LARGEST}: write {token.text}.0", token.at)
        return int(token.text)

    def _parameter(self, token: Token) -> object:
        name = token.text[1:].lower()
        if name not in self._parameters:
            self.fail(f"the parameter {token.text} is not given: add it to `parameters`", token.at)
        try:
            return nodes.usable(self._parameters, name)
        except EvaluationError as exc:
            return self.fail(f"the parameter {token.text}: {exc}", token.at)

    def _function(self) -> Node | None:
        """None, and nothing is read, where none is called."""
        token, after = self.token, self._tokens[self._next + 1]
        if token.kind is not Kind.WORD or after.text != "(" or after.kind is not Kind.SIGN:
            return None
        self._next += 2
        with self._deeper():
            run = self._call(token)
        self.need(Kind.SIGN, ")")
        return Node(token.at, run)

    def _call(self, name: Token) -> Run:
        match name.text.lower():
            case "newid":
                return nodes.new_id()
            case "property" | "p":
                return nodes.looked_up(self.expression().run)
            case _:
                return self.fail(f"{name} is no function: there are newid(), property(name) and p(name)", name.at)

    def _property_node(self) -> Node:
        at = self.token.at
        one = self.property()
        return Node(at, one, named=one)

    def property(self) -> Property:
        """With its scope."""
        first = self._name()
        if not self.take(Kind.SIGN, "."):
            return Property(first.text, system=False)
        if first.text.lower() not in {"sys", "user"}:
            self.fail(f"{first} is no scope: it is sys or user; write a name with a dot in brackets", first.at)
        name = self._name()
        if first.text.lower() == "user":
            return Property(name.text, system=False)
        return Property(self._system(name), system=True)

    def _name(self) -> Token:
        for kind in _NAMES:
            if token := self.take(kind):
                return token
        return self.fail(f"the name of a property is missing before {self.token}; write a keyword in brackets")

    def _system(self, token: Token) -> str:
        known = {name.lower(): name for name in SYSTEM}
        if token.text.lower() in known:
            return known[token.text.lower()]
        near = difflib.get_close_matches(token.text.lower(), known, 1)
        hint = f"sys.{known[near[0]]}" if near else ", ".join(f"sys.{name}" for name in SYSTEM)
        return self.fail(f"there is no system property {token}: did you mean {hint}?", token.at)


def _predicate(at: int, run: Run, *, negated: bool) -> Node:
    return Node(at, nodes.negation(run) if negated else run, predicate=True)

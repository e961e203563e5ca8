"""From the words of a filter to what it does, by recursive descent.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-messaging-sql-filter
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cloudqueues.servicebus.sql import nodes, values
from cloudqueues.servicebus.sql.cursor import Cursor
from cloudqueues.servicebus.sql.nodes import Property, Run
from cloudqueues.servicebus.sql.terms import constant, property_
from cloudqueues.servicebus.sql.tokens import NAMES, Kind, Token


@dataclass(frozen=True, slots=True)
class Node:
    at: int
    run: Run
    predicate: bool = False
    """Whether it says yes or no, rather than having a value."""
    named: Property | None = None
    """Where it is a property and nothing else."""


class Grammar:
    """All methods raise FilterError, and read on from where `words` are."""

    def __init__(self, words: Cursor, parameters: Mapping[str, object]) -> None:
        self.words = words
        self._parameters = {name.removeprefix("@").lower(): value for name, value in parameters.items()}

    # -- predicates

    def predicate(self) -> Node:
        """What a filter is."""
        return self._yes_or_no(self._alternatives())

    def _yes_or_no(self, node: Node) -> Node:
        if not node.predicate:
            self.words.fail("a value is no condition: compare it with something, = TRUE for one", node.at)
        return node

    def _alternatives(self) -> Node:
        return self._chain("OR", self._conditions, nodes.any_of)

    def _conditions(self) -> Node:
        return self._chain("AND", self._condition, nodes.all_of)

    def _chain(self, word: str, part: Callable[[], Node], join: Callable[[list[Run]], Run]) -> Node:
        first = part()
        parts = [first]
        while self.words.take(Kind.KEYWORD, word):
            parts.append(part())
        if len(parts) == 1:
            return first
        return Node(first.at, join([self._yes_or_no(one).run for one in parts]), predicate=True)

    def _condition(self) -> Node:
        token = self.words.take(Kind.KEYWORD, "NOT")
        if token is None:
            return self._comparison()
        with self.words.deeper():
            return Node(token.at, nodes.negation(self._yes_or_no(self._condition()).run), predicate=True)

    def _comparison(self) -> Node:
        left = self._sum()
        if token := self.words.take(Kind.SIGN, *values.COMPARISONS):
            right = self._operand(self._sum())
            return Node(left.at, nodes.comparison(token.text, self._operand(left).run, right.run), predicate=True)
        if self.words.take(Kind.KEYWORD, "IS"):
            return self._null_test(left)
        negated = self.words.take(Kind.KEYWORD, "NOT") is not None
        if self.words.take(Kind.KEYWORD, "IN"):
            return _predicate(left.at, nodes.membership(self._operand(left).run, self._options()), negated=negated)
        if self.words.take(Kind.KEYWORD, "LIKE"):
            return _predicate(left.at, self._likeness(self._operand(left).run), negated=negated)
        return self.words.fail(f"IN or LIKE is missing before {self.words.token}") if negated else left

    def _null_test(self, left: Node) -> Node:
        negated = self.words.take(Kind.KEYWORD, "NOT") is not None
        self.words.need(Kind.KEYWORD, "NULL")
        if left.named is None:
            self.words.fail("IS NULL asks for a property, not for what is made of it", left.at)
        return _predicate(left.at, nodes.is_null(left.named), negated=negated)

    def _options(self) -> list[Run]:
        self.words.need(Kind.SIGN, "(")
        options = [self.expression().run]
        while self.words.take(Kind.SIGN, ","):
            options.append(self.expression().run)
        self.words.need(Kind.SIGN, ")")
        return options

    def _likeness(self, value: Run) -> Run:
        pattern = self.expression().run
        escape = self.expression().run if self.words.take(Kind.KEYWORD, "ESCAPE") else nodes.constant("")
        return nodes.likeness(value, pattern, escape)

    # -- expressions

    def expression(self) -> Node:
        """What has a value."""
        return self._operand(self._sum())

    def _operand(self, node: Node) -> Node:
        if node.predicate:
            self.words.fail("a condition is no value: join conditions with AND and OR", node.at)
        return node

    def _sum(self) -> Node:
        return self._calculation(("+", "-"), self._product)

    def _product(self) -> Node:
        return self._calculation(("*", "/", "%"), self._signed)

    def _calculation(self, signs: tuple[str, ...], part: Callable[[], Node]) -> Node:
        first = part()
        rest: list[tuple[str, Run]] = []
        while token := self.words.take(Kind.SIGN, *signs):
            rest.append((token.text, self._operand(part()).run))
        return Node(first.at, nodes.calculation(self._operand(first).run, rest)) if rest else first

    def _signed(self) -> Node:
        token = self.words.take(Kind.SIGN, "+", "-")
        if token is None:
            return self._primary()
        with self.words.deeper():
            return Node(token.at, nodes.signed(token.text, self._operand(self._signed()).run))

    def _primary(self) -> Node:
        token = self.words.token
        if self.words.take(Kind.SIGN, "("):
            with self.words.deeper():
                inner = self._alternatives()
            self.words.need(Kind.SIGN, ")")
            return inner
        if name := self.words.call():
            return self._call(name)
        if token.kind in NAMES:
            one = property_(self.words)
            return Node(token.at, one, named=one)
        if self.words.take(Kind.KEYWORD, "EXISTS"):
            return self._existence(token.at)
        return Node(token.at, nodes.constant(constant(self.words, self._parameters)))

    def _existence(self, at: int) -> Node:
        self.words.need(Kind.SIGN, "(")
        one = property_(self.words)
        self.words.need(Kind.SIGN, ")")
        return Node(at, nodes.exists(one), predicate=True)

    def _call(self, name: Token) -> Node:
        with self.words.deeper():
            run = self._called(name)
        self.words.need(Kind.SIGN, ")")
        return Node(name.at, run)

    def _called(self, name: Token) -> Run:
        match name.text.lower():
            case "newid":
                return nodes.new_id()
            case "property" | "p":
                return nodes.looked_up(self.expression().run)
            case _:
                return self.words.fail(f"{name} is no function: there are newid(), property(name) and p(name)", name.at)


def _predicate(at: int, run: Run, *, negated: bool) -> Node:
    return Node(at, nodes.negation(run) if negated else run, predicate=True)

"""Recursive-descent parser of filters.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-messaging-sql-filter
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cloudqueues.servicebus.sql import evaluators, values
from cloudqueues.servicebus.sql.cursor import Cursor
from cloudqueues.servicebus.sql.evaluators import Evaluator, Property
from cloudqueues.servicebus.sql.terms import constant, property_
from cloudqueues.servicebus.sql.tokens import NAMES, Kind, Token


@dataclass(frozen=True, slots=True)
class Node:
    at: int
    evaluate: Evaluator
    predicate: bool = False
    """True if it is a condition, rather than a value."""
    named: Property | None = None
    """Property, where the node is nothing else."""


class Grammar:
    """Parser of expressions. All methods raise FilterError and read on from the cursor."""

    def __init__(self, cursor: Cursor, parameters: Mapping[str, object]) -> None:
        self.cursor = cursor
        self._parameters = {name.removeprefix("@").lower(): value for name, value in parameters.items()}

    # -- predicates

    def predicate(self) -> Node:
        """Parse a whole condition."""
        return self._yes_or_no(self._alternatives())

    def _yes_or_no(self, node: Node) -> Node:
        if not node.predicate:
            self.cursor.fail("a value is not a condition: compare it with something, = TRUE for one", node.at)
        return node

    def _alternatives(self) -> Node:
        return self._chain("OR", self._conditions, evaluators.any_of)

    def _conditions(self) -> Node:
        return self._chain("AND", self._condition, evaluators.all_of)

    def _chain(self, word: str, part: Callable[[], Node], join: Callable[[list[Evaluator]], Evaluator]) -> Node:
        first = part()
        parts = [first]
        while self.cursor.take(Kind.KEYWORD, word):
            parts.append(part())
        if len(parts) == 1:
            return first
        return Node(first.at, join([self._yes_or_no(node).evaluate for node in parts]), predicate=True)

    def _condition(self) -> Node:
        token = self.cursor.take(Kind.KEYWORD, "NOT")
        if token is None:
            return self._comparison()
        with self.cursor.deeper():
            return Node(token.at, evaluators.negation(self._yes_or_no(self._condition()).evaluate), predicate=True)

    def _comparison(self) -> Node:
        left = self._sum()
        if token := self.cursor.take(Kind.SIGN, *values.COMPARISONS):
            right = self._operand(self._sum())
            return Node(
                left.at, evaluators.comparison(token.text, self._operand(left).evaluate, right.evaluate), predicate=True
            )
        if self.cursor.take(Kind.KEYWORD, "IS"):
            return self._null_test(left)
        negated = self.cursor.take(Kind.KEYWORD, "NOT") is not None
        if self.cursor.take(Kind.KEYWORD, "IN"):
            return _predicate(
                left.at, evaluators.membership(self._operand(left).evaluate, self._options()), negated=negated
            )
        if self.cursor.take(Kind.KEYWORD, "LIKE"):
            return _predicate(left.at, self._likeness(self._operand(left).evaluate), negated=negated)
        return self.cursor.fail(f"IN or LIKE is missing before {self.cursor.token}") if negated else left

    def _null_test(self, left: Node) -> Node:
        negated = self.cursor.take(Kind.KEYWORD, "NOT") is not None
        self.cursor.need(Kind.KEYWORD, "NULL")
        if left.named is None:
            self.cursor.fail("IS NULL takes a property, not an expression", left.at)
        return _predicate(left.at, evaluators.is_null(left.named), negated=negated)

    def _options(self) -> list[Evaluator]:
        self.cursor.need(Kind.SIGN, "(")
        options = [self.expression().evaluate]
        while self.cursor.take(Kind.SIGN, ","):
            options.append(self.expression().evaluate)
        self.cursor.need(Kind.SIGN, ")")
        return options

    def _likeness(self, value: Evaluator) -> Evaluator:
        pattern = self.expression().evaluate
        escape = self.expression().evaluate if self.cursor.take(Kind.KEYWORD, "ESCAPE") else evaluators.constant("")
        return evaluators.likeness(value, pattern, escape)

    # -- expressions

    def expression(self) -> Node:
        """Parse a value."""
        return self._operand(self._sum())

    def _operand(self, node: Node) -> Node:
        if node.predicate:
            self.cursor.fail("a condition is not a value: join conditions with AND and OR", node.at)
        return node

    def _sum(self) -> Node:
        return self._calculation(("+", "-"), self._product)

    def _product(self) -> Node:
        return self._calculation(("*", "/", "%"), self._signed)

    def _calculation(self, signs: tuple[str, ...], part: Callable[[], Node]) -> Node:
        first = part()
        rest: list[tuple[str, Evaluator]] = []
        while token := self.cursor.take(Kind.SIGN, *signs):
            rest.append((token.text, self._operand(part()).evaluate))
        return Node(first.at, evaluators.calculation(self._operand(first).evaluate, rest)) if rest else first

    def _signed(self) -> Node:
        token = self.cursor.take(Kind.SIGN, "+", "-")
        if token is None:
            return self._primary()
        with self.cursor.deeper():
            return Node(token.at, evaluators.signed(token.text, self._operand(self._signed()).evaluate))

    def _primary(self) -> Node:
        token = self.cursor.token
        if self.cursor.take(Kind.SIGN, "("):
            with self.cursor.deeper():
                inner = self._alternatives()
            self.cursor.need(Kind.SIGN, ")")
            return inner
        if name := self.cursor.call():
            return self._call(name)
        if token.kind in NAMES:
            named_property = property_(self.cursor)
            return Node(token.at, named_property, named=named_property)
        if self.cursor.take(Kind.KEYWORD, "EXISTS"):
            return self._existence(token.at)
        return Node(token.at, evaluators.constant(constant(self.cursor, self._parameters)))

    def _existence(self, at: int) -> Node:
        self.cursor.need(Kind.SIGN, "(")
        tested = property_(self.cursor)
        self.cursor.need(Kind.SIGN, ")")
        return Node(at, evaluators.exists(tested), predicate=True)

    def _call(self, name: Token) -> Node:
        with self.cursor.deeper():
            evaluate = self._called(name)
        self.cursor.need(Kind.SIGN, ")")
        return Node(name.at, evaluate)

    def _called(self, name: Token) -> Evaluator:
        match name.text.lower():
            case "newid":
                return evaluators.new_id()
            case "property" | "p":
                return evaluators.looked_up(self.expression().evaluate)
            case _:
                return self.cursor.fail(f"{name} is not a function: use newid(), property(name) or p(name)", name.at)


def _predicate(at: int, evaluate: Evaluator, *, negated: bool) -> Node:
    return Node(at, evaluators.negation(evaluate) if negated else evaluate, predicate=True)

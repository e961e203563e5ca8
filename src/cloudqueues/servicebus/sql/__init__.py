"""SQL of rules: filters that select messages, and actions that change them.

matches = parse("size > 10 AND sys.Label LIKE 'order-%'")
matches(MessageProperties({"Label": "order-7"}, {"size": 11}))        # True
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cloudqueues.servicebus.message_properties import MessageProperties
from cloudqueues.servicebus.sql.action import Statement, statements
from cloudqueues.servicebus.sql.cursor import Cursor
from cloudqueues.servicebus.sql.errors import EvaluationError, FilterError
from cloudqueues.servicebus.sql.evaluators import Evaluator
from cloudqueues.servicebus.sql.grammar import Grammar
from cloudqueues.servicebus.sql.tokens import Kind

__all__ = ["EvaluationError", "FilterError", "SqlAction", "SqlFilter", "parse", "parse_action"]


@dataclass(frozen=True, slots=True)
class SqlFilter:
    """Parsed filter with its text and parameters."""

    text: str
    _run: Evaluator = field(repr=False, compare=False)
    parameters: Mapping[str, object] = field(default_factory=dict[str, object])

    def __call__(self, message: MessageProperties) -> bool:
        """Return whether the filter is true, that is, neither false nor unknown. Raises EvaluationError."""
        return self._run(message) is True


@dataclass(frozen=True, slots=True)
class SqlAction:
    """Parsed action with its text and parameters."""

    text: str
    _statements: tuple[Statement, ...] = field(repr=False, compare=False)
    parameters: Mapping[str, object] = field(default_factory=dict[str, object])

    def __call__(self, message: MessageProperties) -> MessageProperties:
        """Apply the statements in order. Raises EvaluationError, and then changes nothing."""
        for statement in self._statements:
            message = statement(message)
        return message


def parse(sql: str, parameters: Mapping[str, object] | None = None) -> SqlFilter:
    """Parse a filter. `parameters`: values of `@name` in `sql`, by name with or without the `@`. Raises FilterError."""
    cursor = Cursor(sql)
    evaluate = Grammar(cursor, parameters or {}).predicate().evaluate
    if not cursor.take(Kind.END):
        cursor.fail(f"AND or OR is missing before {cursor.token}")
    return SqlFilter(sql, evaluate, dict(parameters or {}))


def parse_action(sql: str, parameters: Mapping[str, object] | None = None) -> SqlAction:
    """Parse an action, with `parameters` as in `parse`. Raises FilterError."""
    return SqlAction(sql, tuple(statements(sql, parameters or {})), dict(parameters or {}))

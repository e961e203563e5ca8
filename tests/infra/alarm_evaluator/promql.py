"""The part of PromQL that the alert policies use, over metrics with one time series each.

https://prometheus.io/docs/prometheus/latest/querying/basics/ and /operators/: a comparison keeps its left side where it is true,
an operation on an empty vector is empty, and `and` binds tighter than `or`. `increase` adds the values of a range, since each is
a difference already.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

Value = float | None
"""Value of the only series; None for an empty vector."""

LOOK_BACK = 5
"""Minutes in which an instant vector finds its latest value."""

TOKEN = re.compile(r"\s*([\w:]+\{[^}]*\}|\[\d+s\]|\d+s\b|\d+(?:\.\d+)?(?:e[+-]?\d+)?|\w+|>=|[-+*/()<>,])")
LEVELS: tuple[tuple[str, ...], ...] = (("or",), ("and", "unless"), (">", ">="), ("+", "-"), ("*", "/"))

OPERATIONS: Mapping[str, Callable[[Value, Value], Value]] = {
    "or": lambda a, b: b if a is None else a,
    "and": lambda a, b: None if b is None else a,
    "unless": lambda a, b: a if b is None else None,
    ">": lambda a, b: a if a is not None and b is not None and a > b else None,
    ">=": lambda a, b: a if a is not None and b is not None and a >= b else None,
    "+": lambda a, b: None if a is None or b is None else a + b,
    "-": lambda a, b: None if a is None or b is None else a - b,
    "*": lambda a, b: None if a is None or b is None else a * b,
    "/": lambda a, b: None if a is None or not b else a / b,
}
FUNCTIONS: Mapping[str, Callable[[list[Any]], Any]] = {
    "sum": lambda values: values[-1],
    "increase": lambda values: sum(values[0]) if values[0] else None,
    "min_over_time": lambda values: min(values[0], default=None),
    "count_over_time": lambda values: len(values[0]) or None,
    "histogram_quantile": lambda values: values[-1],
}

Source = Callable[[str], Mapping[int, float]]
"""Values by minute of a selector."""


def evaluate(query: str, source: Source, end: int) -> Value:
    """Return the value of a query at the end of a minute."""
    return _Parser(_tokens(query), source, end).level(0)


@cache
def _tokens(query: str) -> tuple[str, ...]:
    tokens = tuple(TOKEN.findall(query))
    assert "".join(tokens).replace(" ", "") == query.replace(" ", ""), query
    return tokens


class _Parser:
    """Parser that evaluates while it reads."""

    def __init__(self, tokens: tuple[str, ...], source: Source, end: int) -> None:
        self.tokens, self.source, self.end = [*tokens, ""], source, end

    def level(self, number: int) -> Any:
        """Evaluate operators of a precedence, and of the tighter ones."""
        if number == len(LEVELS):
            return self.primary()
        value = self.level(number + 1)
        while self.tokens[0] in LEVELS[number]:
            operation = OPERATIONS[self.tokens.pop(0)]
            value = operation(value, self.level(number + 1))
        return value

    def primary(self) -> Any:
        """Evaluate a number, a selector, a function, or what is in parentheses."""
        token = self.tokens.pop(0)
        if token == "(":
            return self.arguments()[0]
        if token in FUNCTIONS:
            self.skip_grouping()
            self.tokens.pop(0)
            return FUNCTIONS[token](self.arguments())
        return self.selected(token) if "{" in token else float(token)

    def skip_grouping(self) -> None:
        """Pass over `by (label)`: there is one series."""
        if self.tokens[0] == "by":
            del self.tokens[: self.tokens.index(")") + 1]

    def arguments(self) -> list[Any]:
        """Evaluate up to the closing parenthesis."""
        values = [self.level(0)]
        while self.tokens.pop(0) == ",":
            values.append(self.level(0))
        return values

    def selected(self, selector: str) -> Any:
        """Return the values of a range, or the latest value."""
        values, end, length = self.source(selector), self.end, None
        if self.tokens[0].startswith("["):
            length = int(self.tokens.pop(0)[1:-2]) // 60
        if self.tokens[0] == "offset":
            end -= int(self.tokens[1][:-1]) // 60
            del self.tokens[:2]
        window = [values[minute] for minute in range(end - (length or LOOK_BACK), end) if minute in values]
        return window if length else (window[-1] if window else None)

"""Alarms of CloudWatch, evaluated as documented.

Each minute, over windows that end then: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html.
Missing data: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html. Metric math:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

Values = Mapping[int, float]
Source = Callable[[str, Mapping[str, str]], Values]
"""Values by minute of a metric with its dimensions."""

MORE_PERIODS = 2
"""Periods before the evaluated ones whose data stands in for missing data: the documentation's example has five for three."""

STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "Sum": sum,
    "Maximum": max,
    "Minimum": min,
    "Average": lambda values: sum(values) / len(values),
}
OPERATORS: Mapping[type, Callable[[Any, Any], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
}
COMPARISONS = {"GreaterThanThreshold": operator.gt, "GreaterThanOrEqualToThreshold": operator.ge}


def rings(inputs: Mapping[str, Any], source: Source, minutes: int) -> list[int]:
    """Return the minutes in which the alarm goes from OK to ALARM."""
    states = [False, *(_alarming(inputs, source, minute) for minute in range(1, minutes + 1))]
    return [minute for minute in range(1, minutes + 1) if states[minute] and not states[minute - 1]]


def _alarming(inputs: Mapping[str, Any], source: Source, end: int) -> bool:
    """Return the state. Real data of the whole range is used first; missing data is not breaching."""
    assert inputs["treatMissingData"] == "notBreaching"
    periods = inputs["evaluationPeriods"]
    points = (_point(inputs, source, end, number) for number in range(periods + MORE_PERIODS))
    existing = [point for point in points if point is not None][:periods]
    breaching = COMPARISONS[inputs["comparisonOperator"]]
    return sum(breaching(point, inputs["threshold"]) for point in existing) >= inputs["datapointsToAlarm"]


def _point(inputs: Mapping[str, Any], source: Source, end: int, number: int) -> float | None:
    """Return a data point; number 0 is the latest."""
    queries = inputs.get("metricQueries")
    if queries is None:
        return _statistic(inputs, inputs["statistic"], source, end, number)
    values = {
        query["id"]: _statistic(query["metric"], query["metric"]["stat"], source, end, number)
        for query in queries
        if "metric" in query
    }
    (expression,) = (query["expression"] for query in queries if query.get("returnData"))
    return calculate(expression, values)


def _statistic(metric: Mapping[str, Any], name: str, source: Source, end: int, number: int) -> float | None:
    length = metric["period"] // 60
    values = source(metric["metricName"], metric["dimensions"])
    last = end - number * length
    window = [values[minute] for minute in range(last - length, last) if minute in values]
    return STATISTICS[name](window) if window else None


def calculate(expression: str, values: Mapping[str, float | None]) -> float | None:
    """Return the value of an expression at one time: an operation on missing data, or a division by zero, has none."""
    return _value(_parsed(expression), values)


@cache
def _parsed(expression: str) -> ast.expr:
    return ast.parse(expression.replace(" AND ", " and "), mode="eval").body


def _value(node: ast.AST, values: Mapping[str, float | None]) -> float | None:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return values[name]
        case ast.BinOp(left=left, op=op, right=right) | ast.Compare(left=left, ops=[op], comparators=[right]):
            return _operation(OPERATORS[type(op)], _value(left, values), _value(right, values))
        case ast.BoolOp(op=ast.And(), values=[left, right]):
            return _operation(lambda a, b: bool(a) and bool(b), _value(left, values), _value(right, values))
        case ast.Call(func=ast.Name(id="FILL"), args=[filled, fill]):
            value = _value(filled, values)
            return _value(fill, values) if value is None else value
        case ast.Call(func=ast.Name(id="IF"), args=[condition, then, otherwise]):
            truth = _value(condition, values)
            return None if truth is None else _value(then if truth else otherwise, values)
    raise AssertionError(ast.dump(node))


def _operation(operation: Callable[[Any, Any], float], left: float | None, right: float | None) -> float | None:
    if left is None or right is None:
        return None
    try:
        return operation(left, right)
    except ZeroDivisionError:
        return None

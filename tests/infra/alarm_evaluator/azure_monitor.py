"""Alert rules of Azure Monitor, evaluated as documented.

Metric alerts: https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-types#metric-alerts; with autoMitigate, one is over
after three evaluations below the threshold. Query rules: the query covers its window times the number of periods, unless that
is overridden, and its rows are aggregated by bins of the window, from the time in the rows
(https://learn.microsoft.com/javascript/api/@azure/arm-previewalertrule/logalertruleproperties). A row without a time counts as
one of the latest bin.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Values = Mapping[int, float]
CHECKS = 3
"""Evaluations below the threshold after which an alert is over."""

STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "Total": sum,
    "Maximum": max,
    "Minimum": min,
    "Average": lambda values: sum(values) / len(values),
}


def rings(fires: Callable[[int], bool], every: int, minutes: int) -> list[int]:
    """Return the minutes in which an alert is fired. `fires`: whether the condition is met at the end of a minute."""
    result, below = [], CHECKS
    for minute in range(every, minutes + 1, every):
        if fires(minute):
            if below >= CHECKS:
                result.append(minute)
            below = 0
        else:
            below += 1
    return result


def metric_alert(inputs: Mapping[str, Any], source: Callable[[str, str], Values], minutes: int) -> list[int]:
    """Return the minutes in which a metric alert rings. `source`: values by minute of a metric of an entity."""
    (criterion,) = inputs["criteria"]["allOf"]
    (dimension,) = criterion["dimensions"]
    values = source(criterion["metricName"], dimension["values"][0])
    length = length_of(inputs["windowSize"])

    def fires(end: int) -> bool:
        window = [values[minute] for minute in range(max(end - length, 0), end) if minute in values]
        return bool(window) and STATISTICS[criterion["timeAggregation"]](window) > criterion["threshold"]

    return rings(fires, length_of(inputs["evaluationFrequency"]), minutes)


def query_rule(inputs: Mapping[str, Any], facts: Mapping[str, Values], minutes: int) -> list[int]:
    """Return the minutes in which a query rule rings."""
    (condition,) = inputs["criteria"]["allOf"]
    periods, length = condition["failingPeriods"], length_of(inputs["windowSize"])
    covered = length * periods["numberOfEvaluationPeriods"]

    def fires(end: int) -> bool:
        rows = _rows(condition["query"], facts, range(end - covered, end), length)
        return sum(row > condition["threshold"] for row in rows) >= periods["minFailingPeriodsToAlert"]

    return rings(fires, length_of(inputs["evaluationFrequency"]), minutes)


def _rows(query: str, facts: Mapping[str, Values], covered: range, length: int) -> list[float]:
    """Return the values of the query's rows: of the settlements or of the dead letters, in bins if the query makes them."""
    size = length if "by bin(TimeGenerated, 5m)" in query else len(covered)
    bins = [covered[start : start + size] for start in range(0, len(covered), size)]
    if '== "dead_letter"' in query:
        return [_sum(facts, "dead_sent", minutes) for minutes in bins]
    enough = float(re.search(r"where settled >= (\d+)", query)[1])
    counted = [minutes for minutes in bins if _sum(facts, "settled", minutes) >= enough]
    return [100 * _sum(facts, "failed", minutes) / _sum(facts, "settled", minutes) for minutes in counted]


def _sum(facts: Mapping[str, Values], fact: str, minutes: range) -> float:
    values = facts.get(fact, {})
    return sum(values.get(minute, 0) for minute in minutes)


def length_of(duration: str) -> int:
    """Return the minutes of a duration such as `PT5M` or `PT1H`."""
    number, unit = re.fullmatch(r"PT(\d+)([MH])", duration).groups()
    return int(number) * {"M": 1, "H": 60}[unit]

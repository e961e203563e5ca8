"""Alert policies of Cloud Monitoring, evaluated as documented.

A condition has to hold for its duration: https://cloud.google.com/monitoring/alerts/concepts-indepth. Missing data ends it where
the policy says INACTIVE, and a query without a result is false.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.infra.alarm_evaluator.promql import Source, evaluate


def rings(inputs: Mapping[str, Any], source: Source, minutes: int) -> list[int]:
    """Return the minutes in which a policy opens an incident. `source`: values by minute of a filter or a selector."""
    (condition,) = inputs["conditions"]
    threshold = condition.get("conditionThreshold")
    if threshold is not None:
        return _opened(lambda end: _exceeded(threshold, source, end), _seconds(threshold["duration"]), minutes)
    query = condition["conditionPrometheusQueryLanguage"]
    return _opened(lambda end: evaluate(query["query"], source, end) is not None, _seconds(query["duration"]), minutes)


def _opened(true: Callable[[int], bool], duration: int, minutes: int) -> list[int]:
    opened, since = [], None
    for minute in range(1, minutes + 1):
        if not true(minute):
            since = None
        else:
            since = minute if since is None else since
            if minute - since == duration // 60:
                opened.append(minute)
    return opened


def _exceeded(threshold: Mapping[str, Any], source: Source, end: int) -> bool:
    assert threshold["evaluationMissingData"] == "EVALUATION_MISSING_DATA_INACTIVE"
    (aggregation,) = threshold["aggregations"]
    assert aggregation["perSeriesAligner"] == "ALIGN_MAX"
    values, length = source(threshold["filter"]), _seconds(aggregation["alignmentPeriod"]) // 60
    window = [values[minute] for minute in range(end - length, end) if minute in values]
    return bool(window) and max(window) > threshold["thresholdValue"]


def _seconds(duration: str) -> int:
    return int(duration.removesuffix("s"))

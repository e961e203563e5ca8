"""Alarms of CloudWatch, from their data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pulumi
from pulumi_aws import cloudwatch

from peeklock.infra.aws.alarms import Alarm, Metric, Names
from peeklock.infra.aws.shared import Shared


def alerts(
    shared: Shared,
    name: str,
    wanted: Callable[[Names], Sequence[Alarm]],
    names: Mapping[str, Any],
    tags: Mapping[str, str],
    parent: pulumi.Resource,
) -> dict[str, Any]:
    """The alarms by name. Which there are does not depend on `names`, which the engine learns later."""
    known = pulumi.Output.all(**names).apply(lambda found: {one.name: one for one in wanted(Names(**found))})
    made = {}
    for alarm in wanted(Names(app="", queue="", dead_letters="", function="")):
        made[alarm.name] = _alert(shared, f"{name}-alarm-{alarm.name}", alarm, known, tags, parent)
    return made


def _alert(
    shared: Shared, name: str, alarm: Alarm, known: Any, tags: Mapping[str, str], parent: pulumi.Resource
) -> Any:
    topic = shared.topics[alarm.severity]
    return cloudwatch.MetricAlarm(
        name,
        alarm_description=f"{alarm.severity}: {alarm.says} ({shared.notes})",
        comparison_operator="GreaterThanOrEqualToThreshold" if alarm.or_equal else "GreaterThanThreshold",
        threshold=alarm.threshold,
        evaluation_periods=alarm.periods,
        datapoints_to_alarm=alarm.failing,
        treat_missing_data="notBreaching",
        alarm_actions=[topic],
        ok_actions=[topic],
        tags={**tags, "severity": alarm.severity},
        **_watched(alarm, known.apply(lambda found: found[alarm.name])),
        opts=pulumi.ResourceOptions(parent=parent),
    )


def _watched(alarm: Alarm, known: Any) -> dict[str, Any]:
    """One metric by its name, or an expression over several."""
    if alarm.expression:
        return {"metric_queries": known.apply(_queries)}
    (metric,) = alarm.metrics
    return {
        "namespace": metric.namespace,
        "metric_name": metric.name,
        "statistic": metric.statistic,
        "period": metric.period,
        "dimensions": known.apply(lambda one: dict(one.metrics[0].dimensions)),
    }


def _queries(alarm: Alarm) -> list[dict[str, Any]]:
    result = {"id": "result", "expression": alarm.expression, "label": alarm.name, "return_data": True}
    return [result, *(_query(one) for one in alarm.metrics)]


def _query(metric: Metric) -> dict[str, Any]:
    watched = {
        "namespace": metric.namespace,
        "metric_name": metric.name,
        "stat": metric.statistic,
        "period": metric.period,
        "dimensions": dict(metric.dimensions),
    }
    return {"id": metric.id, "metric": watched, "return_data": False}

"""Alarms as resources of CloudWatch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pulumi
from pulumi_aws import cloudwatch

from peeklock.infra.alarms import Alarm
from peeklock.infra.aws.alarms import Metric, Names, Signal
from peeklock.infra.aws.shared import Shared


def make_alarms(
    shared: Shared,
    name: str,
    alarms_for: Callable[[Names], Sequence[Alarm[Signal]]],
    names: Mapping[str, Any],
    tags: Mapping[str, str],
    parent: pulumi.Resource,
) -> dict[str, Any]:
    """Make the alarms and return them by name. Which alarms there are does not depend on `names`, which are outputs."""
    alarms = pulumi.Output.all(**names).apply(
        lambda resolved: {alarm.name: alarm for alarm in alarms_for(Names(**resolved))}
    )
    unnamed = alarms_for(Names(app="", queue="", dead_letters="", function=""))
    return {
        alarm.name: _make_alarm(shared, f"{name}-alarm-{alarm.name}", alarm, alarms, tags, parent) for alarm in unnamed
    }


def _make_alarm(
    shared: Shared, name: str, alarm: Alarm[Signal], alarms: Any, tags: Mapping[str, str], parent: pulumi.Resource
) -> Any:
    topic = shared.topics[alarm.severity]
    return cloudwatch.MetricAlarm(
        name,
        alarm_description=f"{alarm.severity}: {alarm.description} ({shared.notes})",
        comparison_operator="GreaterThanOrEqualToThreshold" if alarm.signal.or_equal else "GreaterThanThreshold",
        threshold=alarm.threshold,
        evaluation_periods=alarm.signal.periods,
        datapoints_to_alarm=alarm.signal.failing,
        treat_missing_data="notBreaching",
        alarm_actions=[topic],
        ok_actions=[topic],
        tags={**tags, "severity": alarm.severity},
        **_signal(alarm, alarms.apply(lambda resolved: resolved[alarm.name])),
        opts=pulumi.ResourceOptions(parent=parent),
    )


def _signal(alarm: Alarm[Signal], resolved: Any) -> dict[str, Any]:
    """Return one metric by its name, or an expression over several."""
    if alarm.signal.expression:
        return {"metric_queries": resolved.apply(_queries)}
    (metric,) = alarm.signal.metrics
    return {
        "namespace": metric.namespace,
        "metric_name": metric.name,
        "statistic": metric.statistic,
        "period": metric.period,
        "dimensions": resolved.apply(lambda alarm: dict(alarm.signal.metrics[0].dimensions)),
    }


def _queries(alarm: Alarm[Signal]) -> list[dict[str, Any]]:
    result = {"id": "result", "expression": alarm.signal.expression, "label": alarm.name, "return_data": True}
    return [result, *(_query(metric) for metric in alarm.signal.metrics)]


def _query(metric: Metric) -> dict[str, Any]:
    properties = {
        "namespace": metric.namespace,
        "metric_name": metric.name,
        "stat": metric.statistic,
        "period": metric.period,
        "dimensions": dict(metric.dimensions),
    }
    return {"id": metric.id, "metric": properties, "return_data": False}

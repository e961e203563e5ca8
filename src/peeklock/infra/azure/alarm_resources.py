"""Alarms as alert rules of Azure Monitor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pulumi
from pulumi_azure_native import monitor

from peeklock.infra.alarms import Alarm
from peeklock.infra.azure.alarms import SEVERITIES, MetricSignal, QuerySignal, Signal, period
from peeklock.infra.azure.shared import Shared

APP = "<app>"
"""Placeholder in a query for the function app's name, which the platform completes."""


def make_alarms(
    shared: Shared,
    name: str,
    alarms: Iterable[Alarm[Signal]],
    app: Any,
    tags: Mapping[str, str],
    parent: pulumi.Resource,
) -> dict[str, Any]:
    """Make the alerts and return them by the alarm's name. `app`: the function app's name."""
    return {
        alarm.name: _metric_alert(shared, name, alarm, alarm.signal, tags, parent)
        if isinstance(alarm.signal, MetricSignal)
        else _query_rule(shared, name, alarm, alarm.signal, app, tags, parent)
        for alarm in alarms
    }


def _metric_alert(
    shared: Shared,
    name: str,
    alarm: Alarm[Signal],
    signal: MetricSignal,
    tags: Mapping[str, str],
    parent: pulumi.Resource,
) -> Any:
    criterion = monitor.MetricCriteriaArgs(
        criterion_type="StaticThresholdCriterion",
        name=alarm.name,
        metric_namespace="Microsoft.ServiceBus/namespaces",
        metric_name=signal.metric,
        dimensions=[monitor.MetricDimensionArgs(name="EntityName", operator="Include", values=[signal.entity])],
        operator=monitor.Operator.GREATER_THAN,
        threshold=alarm.threshold,
        time_aggregation=signal.statistic,
    )
    return monitor.MetricAlert(
        f"{shared.app}-{name}-alarm-{alarm.name}",
        resource_group_name=shared.group,
        location="global",
        enabled=True,
        description=alarm.description,
        severity=SEVERITIES[alarm.severity],
        scopes=[shared.namespace.id],
        criteria=monitor.MetricAlertSingleResourceMultipleMetricCriteriaArgs(
            odata_type="Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria", all_of=[criterion]
        ),
        window_size=period(signal.window),
        evaluation_frequency=period(signal.every),
        auto_mitigate=True,
        actions=[monitor.MetricAlertActionArgs(action_group_id=shared.action_groups[alarm.severity])],
        tags=tags,
        opts=pulumi.ResourceOptions(parent=parent),
    )


def _query_rule(
    shared: Shared,
    name: str,
    alarm: Alarm[Signal],
    signal: QuerySignal,
    app: Any,
    tags: Mapping[str, str],
    parent: pulumi.Resource,
) -> Any:
    condition = monitor.ConditionArgs(
        query=app.apply(lambda resolved: signal.query.replace(APP, resolved)),
        metric_measure_column=signal.column,
        time_aggregation=monitor.TimeAggregation.MAXIMUM,
        operator="GreaterThan",  # the SDK's enumeration of that name belongs to another API
        threshold=alarm.threshold,
        failing_periods=monitor.ConditionFailingPeriodsArgs(
            number_of_evaluation_periods=signal.periods, min_failing_periods_to_alert=signal.failing
        ),
    )
    return monitor.ScheduledQueryRule(
        f"{shared.app}-{name}-alarm-{alarm.name}",
        resource_group_name=shared.group,
        kind=monitor.Kind.LOG_ALERT,
        enabled=True,
        display_name=f"{shared.app} {name}: {alarm.name}",
        description=alarm.description,
        severity=SEVERITIES[alarm.severity],
        scopes=[shared.workspace],
        criteria=monitor.ScheduledQueryRuleCriteriaArgs(all_of=[condition]),
        skip_query_validation=True,  # a new workspace has no tables yet
        window_size=period(signal.window),
        evaluation_frequency=period(signal.every),
        auto_mitigate=True,
        actions=monitor.ActionsArgs(action_groups=[shared.action_groups[alarm.severity]]),
        tags=tags,
        opts=pulumi.ResourceOptions(parent=parent),
    )

"""The alarms as Azure's alerts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pulumi
from pulumi_azure_native import monitor

from peeklock.infra.azure.alarms import SEVERITIES, Alarm, MetricAlarm, QueryAlarm, period
from peeklock.infra.azure.shared import Shared

APP = "<app>"
"""In a query: where the function app's name goes, which the platform completes."""


def alerts(
    shared: Shared, name: str, alarms: Iterable[Alarm], app: Any, tags: Mapping[str, str], parent: pulumi.Resource
) -> dict[str, Any]:
    """The alerts by the alarm's name. `app`: the function app's name."""
    return {
        one.name: _metric(shared, name, one, tags, parent)
        if isinstance(one, MetricAlarm)
        else _query(shared, name, one, app, tags, parent)
        for one in alarms
    }


def _metric(shared: Shared, name: str, alarm: MetricAlarm, tags: Mapping[str, str], parent: pulumi.Resource) -> Any:
    criterion = monitor.MetricCriteriaArgs(
        criterion_type="StaticThresholdCriterion",
        name=alarm.name,
        metric_namespace="Microsoft.ServiceBus/namespaces",
        metric_name=alarm.metric,
        dimensions=[monitor.MetricDimensionArgs(name="EntityName", operator="Include", values=[alarm.entity])],
        operator=monitor.Operator.GREATER_THAN,
        threshold=alarm.threshold,
        time_aggregation=alarm.statistic,
    )
    return monitor.MetricAlert(
        f"{shared.app}-{name}-alarm-{alarm.name}",
        resource_group_name=shared.group,
        location="global",
        enabled=True,
        description=alarm.says,
        severity=SEVERITIES[alarm.severity],
        scopes=[shared.namespace.id],
        criteria=monitor.MetricAlertSingleResourceMultipleMetricCriteriaArgs(
            odata_type="Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria", all_of=[criterion]
        ),
        window_size=period(alarm.window),
        evaluation_frequency=period(alarm.every),
        auto_mitigate=True,
        actions=[monitor.MetricAlertActionArgs(action_group_id=shared.notices[alarm.severity].id)],
        tags=tags,
        opts=pulumi.ResourceOptions(parent=parent),
    )


def _query(
    shared: Shared, name: str, alarm: QueryAlarm, app: Any, tags: Mapping[str, str], parent: pulumi.Resource
) -> Any:
    condition = monitor.ConditionArgs(
        query=app.apply(lambda known: alarm.query.replace(APP, known)),
        metric_measure_column=alarm.column,
        time_aggregation=monitor.TimeAggregation.MAXIMUM,
        operator="GreaterThan",  # the SDK's enumeration of that name is another API's
        threshold=alarm.threshold,
        failing_periods=monitor.ConditionFailingPeriodsArgs(
            number_of_evaluation_periods=alarm.periods, min_failing_periods_to_alert=alarm.failing
        ),
    )
    return monitor.ScheduledQueryRule(
        f"{shared.app}-{name}-alarm-{alarm.name}",
        resource_group_name=shared.group,
        kind=monitor.Kind.LOG_ALERT,
        enabled=True,
        display_name=f"{shared.app} {name}: {alarm.name}",
        description=alarm.says,
        severity=SEVERITIES[alarm.severity],
        scopes=[shared.workspace.id],
        criteria=monitor.ScheduledQueryRuleCriteriaArgs(all_of=[condition]),
        skip_query_validation=True,  # a new workspace has no tables yet
        window_size=period(alarm.window),
        evaluation_frequency=period(alarm.every),
        auto_mitigate=True,
        actions=monitor.ActionsArgs(action_groups=[shared.notices[alarm.severity].id]),
        tags=tags,
        opts=pulumi.ResourceOptions(parent=parent),
    )

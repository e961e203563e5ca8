"""Alarms as alert policies of Cloud Monitoring, and the log-based metric that they read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pulumi
from pulumi_gcp import logging, monitoring

from peeklock.infra.alarms import Alarm
from peeklock.infra.gcp.alarms import SEVERITIES, MetricSignal, Names, QuerySignal, Signal, failures_metric, log_filter
from peeklock.infra.gcp.shared import Shared
from peeklock.queue import Queue
from peeklock.quotas.google import DATA_MISSING_SECONDS

LASTING = DATA_MISSING_SECONDS
"""Shortest duration of a condition that may define the meaning of missing data. It is defined, since an empty queue may
report no data: the alert is closed then; otherwise it would stay open until it is closed by hand or by time.
https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alertPolicies#evaluationmissingdata"""


def make_failures_metric(shared: Shared, queue: Queue, service: str, parent: pulumi.Resource) -> Any:
    """Make the metric that counts failed settlements."""
    return logging.Metric(
        f"{shared.deployment.app}-{queue.name}-failed",
        name=failures_metric(service),
        project=shared.deployment.project,
        description=f"Failed settlements of queue {queue.name}, from peeklock's log records",
        filter=log_filter(queue, service),
        metric_descriptor={"metric_kind": "DELTA", "value_type": "INT64", "unit": "1"},
        opts=shared.after_apis(parent),
    )


def make_alarms(
    shared: Shared,
    queue: Queue,
    alarms_for: Callable[[Names], Sequence[Alarm[Signal]]],
    names: pulumi.Output[Names],
    labels: Mapping[str, str],
    parent: pulumi.Resource,
    after: Any,
) -> dict[str, Any]:
    """Make the alert policies and return them by the alarm's name. Which alarms there are does not depend on `names`, which are
    outputs. `after`: the metric of failures."""
    opts = shared.after_apis(parent, after)
    conditions = names.apply(lambda resolved: {alarm.name: _condition(alarm) for alarm in alarms_for(resolved)})
    unnamed = alarms_for(Names(queue="", service="", subscription=""))
    return {alarm.name: _policy(shared, queue, alarm, conditions, labels, opts) for alarm in unnamed}


def _policy(
    shared: Shared,
    queue: Queue,
    alarm: Alarm[Signal],
    conditions: pulumi.Output[dict[str, dict[str, Any]]],
    labels: Mapping[str, str],
    opts: pulumi.ResourceOptions,
) -> Any:
    channel = shared.channels.get(alarm.severity)
    title = f"{shared.deployment.app} {queue.name}: {alarm.name}"
    return monitoring.AlertPolicy(
        f"{shared.deployment.app}-{queue.name}-alarm-{alarm.name}",
        project=shared.deployment.project,
        display_name=f"{title} ({shared.deployment.stack})",
        combiner="OR",
        conditions=[conditions.apply(lambda resolved: resolved[alarm.name])],
        severity=SEVERITIES[alarm.severity],
        documentation={"content": alarm.description, "mime_type": "text/markdown", "subject": title},
        notification_channels=[] if channel is None else [channel],
        enabled=True,
        user_labels=labels,
        opts=opts,
    )


def _condition(alarm: Alarm[Signal]) -> dict[str, Any]:
    if isinstance(alarm.signal, MetricSignal):
        return _threshold(alarm, alarm.signal)
    return _promql(alarm, alarm.signal)


def _threshold(alarm: Alarm[Signal], signal: MetricSignal) -> dict[str, Any]:
    return {
        "display_name": alarm.name,
        "condition_threshold": {
            "filter": signal.filter,
            "comparison": "COMPARISON_GT",
            "threshold_value": alarm.threshold,
            "duration": f"{LASTING}s",
            "aggregations": [
                {
                    "alignment_period": f"{signal.period}s",
                    "per_series_aligner": "ALIGN_MAX",
                    "cross_series_reducer": "REDUCE_SUM",
                }
            ],
            "evaluation_missing_data": "EVALUATION_MISSING_DATA_INACTIVE",
        },
    }


def _promql(alarm: Alarm[Signal], signal: QuerySignal) -> dict[str, Any]:
    return {
        "display_name": alarm.name,
        "condition_prometheus_query_language": {
            "query": signal.query(alarm.threshold),
            "duration": f"{signal.lasting}s",
            "evaluation_interval": "60s",
            "disable_metric_validation": True,  # a metric exists from its first point on
        },
    }

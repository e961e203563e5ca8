"""The alarms as alert policies of Cloud Monitoring, and the log-based metric that they read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pulumi
from pulumi_gcp import logging, monitoring

from peeklock.infra.gcp.alarms import SEVERITIES, Alarm, MetricAlarm, log_filter, metric_of_failures
from peeklock.infra.gcp.shared import Shared
from peeklock.queue import Queue
from peeklock.quotas.google import DATA_MISSING_SECONDS

LASTING = DATA_MISSING_SECONDS
"""The least beside which it may be said what missing data means. Said, since an empty queue may report no more: the
alert is over then, and left unsaid it would stand until it is closed by hand or by time.
https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alertPolicies#evaluationmissingdata"""


def failures(shared: Shared, queue: Queue, service: str, parent: pulumi.Resource) -> Any:
    """The metric that counts failed settlements."""
    return logging.Metric(
        f"{shared.place.app}-{queue.name}-failed",
        name=metric_of_failures(service),
        project=shared.place.project,
        description=f"Failed settlements of queue {queue.name}, from peeklock's log records",
        filter=log_filter(queue, service),
        metric_descriptor={"metric_kind": "DELTA", "value_type": "INT64", "unit": "1"},
        opts=shared.after_apis(parent),
    )


def alerts(
    shared: Shared,
    queue: Queue,
    alarms: Iterable[Alarm],
    labels: Mapping[str, str],
    parent: pulumi.Resource,
    after: Any,
) -> dict[str, Any]:
    """The policies by the alarm's name. `after`: the metric of failures."""
    opts = shared.after_apis(parent, after)
    return {one.name: _policy(shared, queue, one, labels, opts) for one in alarms}


def _policy(shared: Shared, queue: Queue, alarm: Alarm, labels: Mapping[str, str], opts: pulumi.ResourceOptions) -> Any:
    channel = shared.channels.get(alarm.severity)
    title = f"{shared.place.app} {queue.name}: {alarm.name}"
    return monitoring.AlertPolicy(
        f"{shared.place.app}-{queue.name}-alarm-{alarm.name}",
        project=shared.place.project,
        display_name=f"{title} ({shared.place.stack})",
        combiner="OR",
        conditions=[_threshold(alarm) if isinstance(alarm, MetricAlarm) else _promql(alarm)],
        severity=SEVERITIES[alarm.severity],
        documentation={"content": alarm.says, "mime_type": "text/markdown", "subject": title},
        notification_channels=[] if channel is None else [channel],
        enabled=True,
        user_labels=labels,
        opts=opts,
    )


def _threshold(alarm: MetricAlarm) -> dict[str, Any]:
    return {
        "display_name": alarm.name,
        "condition_threshold": {
            "filter": alarm.filter,
            "comparison": "COMPARISON_GT",
            "threshold_value": alarm.threshold,
            "duration": f"{LASTING}s",
            "aggregations": [
                {
                    "alignment_period": f"{alarm.period}s",
                    "per_series_aligner": "ALIGN_MAX",
                    "cross_series_reducer": "REDUCE_SUM",
                }
            ],
            "evaluation_missing_data": "EVALUATION_MISSING_DATA_INACTIVE",
        },
    }


def _promql(alarm: Any) -> dict[str, Any]:
    return {
        "display_name": alarm.name,
        "condition_prometheus_query_language": {
            "query": alarm.query,
            "duration": f"{alarm.lasting}s",
            "evaluation_interval": "60s",
            "disable_metric_validation": True,  # a metric is there from its first point on
        },
    }

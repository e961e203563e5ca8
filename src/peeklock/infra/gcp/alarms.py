"""Signals of a consumer's alarms on Google Cloud: metrics, queries, windows and evaluation.

Metrics: https://cloud.google.com/monitoring/api/metrics_gcp_c (cloudtasks), _p_z (pubsub, run), each minute. Their names in
queries: https://cloud.google.com/monitoring/promql/promql-mapping
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from peeklock.infra import alarms as table
from peeklock.infra.alarms import ENOUGH, Alarm
from peeklock.infra.options import Thresholds, whole_seconds
from peeklock.infra.settings.gcp import Settings
from peeklock.infra.settings.gcp.compute import DEAD_LETTERS_LIFE
from peeklock.outcome import FAILED
from peeklock.queue import Queue

DAY = 86_400

SEVERITIES = {"high": "CRITICAL", "medium": "ERROR", "low": "WARNING"}

LONGEST_LOOK = 23 * 3600
"""Seconds that a condition may look back, within the platform's 24 hours.
https://cloud.google.com/monitoring/alerts/concepts-indepth"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Short names of a consumer's resources."""

    queue: str
    service: str
    subscription: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSignal:
    """Metric of one resource, over `period` seconds."""

    metric: str
    resource: str
    label: str
    value: str
    period: int = 60
    threshold: float | None = None
    description: str | None = None

    @property
    def filter(self) -> str:
        """The filter of the metric's time series."""
        return f'metric.type="{self.metric}" AND resource.type="{self.resource}" AND resource.labels.{self.label}="{self.value}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class QuerySignal:
    """Query in PromQL that is above the threshold for `lasting` seconds."""

    shown: str
    """Expression that is compared, and drawn."""
    when: str = ""
    """Further condition that has to hold too, ` and ...`, or that rings by itself, ` or ...`."""
    lasting: int = 0
    threshold: float | None = None
    description: str | None = None

    def query(self, threshold: float) -> str:
        """Return the condition."""
        return f"({self.shown}) > {threshold:g}{self.when}"


Signal = MetricSignal | QuerySignal


def alarms(queue: Queue, settings: Settings, thresholds: Thresholds, names: Names) -> tuple[Alarm[Signal], ...]:
    """Return all alarms of a consumer: `answers` also rings when no run gets as far as logging its end."""
    signals: dict[str, Signal] = {
        "length": MetricSignal(
            metric="cloudtasks.googleapis.com/queue/depth",
            resource="cloud_tasks_queue",
            label="queue_id",
            value=names.queue,
        ),
        "dead-letters": _dead_letters("num_undelivered_messages", names),
        "new-dead-letters": _new_dead_letters(names),
        "expiring": _dead_letters("oldest_unacked_message_age", names, threshold=DEAD_LETTERS_LIFE - DAY),
        "age": _age(queue, thresholds, names),
        "failures": _share(_failed(names), names),
        "outage": _share(_failed(names), names, lasting=0),
        "throttling": _throttling(names),
        "latency": _latency(queue, thresholds, names),
        "utilisation": _utilisation(settings, names),
        "answers": _answers(names),
    }
    return table.alarms(queue.name, thresholds, signals)


def failures_metric(service: str) -> str:
    """Return the name of the log-based metric."""
    return f"peeklock/{service}/failed"


def log_filter(queue: Queue, service: str) -> str:
    """Return a filter for the log entries of failed settlements: it matches the text that
    `peeklock.observability.observer.log_event` writes, alone or as the message of a record in JSON. Failures are logged at WARNING
    or above, which Python writes to stderr by default.
    https://cloud.google.com/logging/docs/view/logging-query-language"""
    return (
        f'resource.type="cloud_run_revision" AND resource.labels.service_name="{service}"'
        f' AND (textPayload=~"{pattern(queue)}" OR jsonPayload.message=~"{pattern(queue)}")'
    )


def pattern(queue: Queue) -> str:
    """Return the filter's pattern in RE2, without backslashes, which the query language would interpret first."""
    reasons = "|".join(sorted(reason.value for reason in FAILED))
    return f"peeklock[.]settled platform=cloudtasks queue={queue.name} disposition=[a-z_]+ reason=({reasons}) delivery="


def _series(metric: str, resource: str, label: str, value: str, more: str = "") -> str:
    """Return a metric's time series in PromQL."""
    domain, _, path = metric.partition("/")
    return (
        f"{re.sub('[^A-Za-z0-9]', '_', domain)}:{re.sub('[^A-Za-z0-9]', '_', path)}"
        f'{{monitored_resource="{resource}",{label}="{value}"{more}}}'
    )


def _tasks(metric: str, names: Names, more: str = "") -> str:
    return _series(f"cloudtasks.googleapis.com/queue/{metric}", "cloud_tasks_queue", "queue_id", names.queue, more)


def _requests(part: str, names: Names) -> str:
    """Return the milliseconds that requests took, or their number. `part`: `sum` or `count`."""
    metric = f"run.googleapis.com/request_latencies_{part}"
    return _series(metric, "cloud_run_revision", "service_name", names.service)


def _increase(series: str, window: int = 300) -> str:
    return f"sum(increase({series}[{window}s]))"


def _age(queue: Queue, thresholds: Thresholds, names: Names) -> QuerySignal:
    """Return the closest signal to a task's age, which the platform does not report. It reports how late attempts are; and a
    queue is stuck that was never empty for as long as a task may wait, delays included, and had no attempt. "Never" means in at
    least half of the minutes, so that one full minute is no proof where an empty queue reports nothing."""
    window = min(math.ceil(thresholds.age) + whole_seconds(queue.max_delay), LONGEST_LOOK)
    late = f"sum by (le) (increase({_tasks('task_attempt_delays_bucket', names)}[300s]))"
    depth = f"{_tasks('depth', names)}[{window}s]"
    waiting = f"sum(min_over_time({depth}) and count_over_time({depth}) >= {window // 120}) > 0"
    return QuerySignal(
        shown=f"histogram_quantile(0.99, {late}) / 1000",
        when=f" or ({waiting} unless {_increase(_tasks('task_attempt_count', names), window)} > 0)",
        lasting=300,
        description=f"tasks of queue {queue.name} are attempted more than {thresholds.age:g} s late, or not at all",
    )


def _dead_letters(metric: str, names: Names, *, threshold: float | None = None) -> MetricSignal:
    return MetricSignal(
        metric=f"pubsub.googleapis.com/subscription/{metric}",
        resource="pubsub_subscription",
        label="subscription_id",
        value=names.subscription,
        threshold=threshold,
    )


def _new_dead_letters(names: Names) -> QuerySignal:
    """Return the rise of the number of dead letters within ten minutes. Where an empty subscription reports no data, the first has
    no rise and rings `dead-letters` only."""
    metric = "pubsub.googleapis.com/subscription/num_undelivered_messages"
    count = _series(metric, "pubsub_subscription", "subscription_id", names.subscription)
    return QuerySignal(shown=f"sum({count}) - sum({count} offset 600s)")


def _throttling(names: Names) -> QuerySignal:
    """Return the requests that found no instance, which Cloud Run answers with 429.
    https://cloud.google.com/run/docs/troubleshooting#abort-request"""
    metric = "run.googleapis.com/request_count"
    refused = _series(metric, "cloud_run_revision", "service_name", names.service, ',response_code="429"')
    return QuerySignal(shown=_increase(refused), lasting=900)


def _failed(names: Names) -> str:
    """Return the number of failed settlements, from the log: a failed task is answered with success once its delayed copy or
    its dead letter is published."""
    metric = f"logging.googleapis.com/user/{failures_metric(names.service)}"
    return _increase(_series(metric, "cloud_run_revision", "service_name", names.service))


def _answers(names: Names) -> QuerySignal:
    """Return the share of answers without success. Descriptions of the metric differ in how they write the successful code, so
    each form is accepted."""
    return _share(_increase(_tasks("task_attempt_count", names, ',response_code!~"(?i)ok|2.."')), names)


def _share(failed: str, names: Names, lasting: int = 300) -> QuerySignal:
    """Return a percentage of the attempts, where there are enough of them."""
    attempts = _increase(_tasks("task_attempt_count", names))
    return QuerySignal(shown=f"100 * {failed} / {attempts}", when=f" and {attempts} >= {ENOUGH}", lasting=lasting)


def _latency(queue: Queue, thresholds: Thresholds, names: Names) -> QuerySignal:
    """Return the time from when a task is due to its answer, from the platform's own metrics: successes are logged at INFO,
    which Python does not write by default."""
    waited = f"{_increase(_tasks('task_attempt_delays_sum', names))} / {_increase(_tasks('task_attempt_delays_count', names))}"
    took = f"{_increase(_requests('sum', names))} / {_increase(_requests('count', names))}"
    return QuerySignal(
        shown=f"({waited} + {took}) / 1000",
        lasting=300,
        description=f"tasks of queue {queue.name} are answered more than {thresholds.latency:g} s after they are due, on"
        " average",
    )


def _utilisation(settings: Settings, names: Names) -> QuerySignal:
    """Return the busy time: a count of instances would be 100 % of one as soon as it runs. Requests are counted when they end,
    so the window has room for several."""
    window = max(900, 4 * settings.limit)
    busy = _increase(_requests("sum", names), window)
    return QuerySignal(shown=f"100 * {busy} / {settings.at_once * window * 1000}")

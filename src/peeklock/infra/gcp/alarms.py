"""The alarms of a consumer, as data: which metric or query, how often, from when on.

Metrics: https://cloud.google.com/monitoring/api/metrics_gcp_c (cloudtasks), _p_z (pubsub, run), each minute. How their names
are written in a query: https://cloud.google.com/monitoring/promql/promql-mapping
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from peeklock.infra.options import Thresholds, seconds_of
from peeklock.infra.settings.gcp import Settings
from peeklock.outcome import FAILED
from peeklock.queue import Queue

SEVERITIES = {"high": "CRITICAL", "medium": "ERROR", "low": "WARNING"}

ENOUGH = 20
"""Attempts below which a share of failures means nothing."""

LONGEST_LOOK = 23 * 3600
"""Seconds that a condition may look back, within the platform's 24 hours.
https://cloud.google.com/monitoring/alerts/concepts-indepth"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What the platform calls a consumer's parts. Short names."""

    queue: str
    service: str
    subscription: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricAlarm:
    """Rings when a metric is over the threshold. Seconds."""

    name: str
    severity: str
    says: str
    metric: str
    resource: str
    label: str
    value: str
    threshold: float
    period: int = 60

    @property
    def filter(self) -> str:
        return f'metric.type="{self.metric}" AND resource.type="{self.resource}" AND resource.labels.{self.label}="{self.value}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryAlarm:
    """Rings when a query in PromQL has been over the threshold for as long as `lasting`, in seconds."""

    name: str
    severity: str
    says: str
    shown: str
    """What is compared, and drawn."""
    threshold: float
    when: str = ""
    """What must hold besides, or rings by itself: ` and ...`, ` or ...`."""
    lasting: int = 0

    @property
    def query(self) -> str:
        return f"({self.shown}) > {self.threshold:g}{self.when}"


Alarm = MetricAlarm | QueryAlarm


def alarms(queue: Queue, settings: Settings, thresholds: Thresholds, names: Names) -> tuple[Alarm, ...]:
    """All of a consumer's: the six, and `answers`, which also rings when no run comes so far as to log its end."""
    return (
        MetricAlarm(
            name="length",
            severity="high",
            says=f"more than {thresholds.length} tasks in {queue.name}, delayed ones included",
            metric="cloudtasks.googleapis.com/queue/depth",
            resource="cloud_tasks_queue",
            label="queue_id",
            value=names.queue,
            threshold=thresholds.length,
        ),
        MetricAlarm(
            name="dead-letters",
            severity="high",
            says=f"dead letters of {queue.name} wait in {names.subscription}",
            metric="pubsub.googleapis.com/subscription/num_undelivered_messages",
            resource="pubsub_subscription",
            label="subscription_id",
            value=names.subscription,
            threshold=0,
        ),
        _age(queue, thresholds, names),
        _failures(queue, thresholds, names),
        _latency(queue, thresholds, names),
        _utilisation(queue, settings, thresholds, names),
        _answers(queue, thresholds, names),
    )


def metric_of_failures(service: str) -> str:
    """The log-based metric's name."""
    return f"peeklock/{service}/failed"


def log_filter(queue: Queue, service: str) -> str:
    """Which log entries are failed settlements: the text that `peeklock.observability.observer.record` writes, alone or as the message
    of a record in JSON. Failures are logged at WARNING or above, which Python writes to stderr unless told otherwise.
    https://cloud.google.com/logging/docs/view/logging-query-language"""
    return (
        f'resource.type="cloud_run_revision" AND resource.labels.service_name="{service}"'
        f' AND (textPayload=~"{pattern(queue)}" OR jsonPayload.message=~"{pattern(queue)}")'
    )


def pattern(queue: Queue) -> str:
    """In RE2, and without a backslash, which the query language would read first."""
    reasons = "|".join(sorted(reason.value for reason in FAILED))
    return f"peeklock[.]settled platform=cloudtasks queue={queue.name} disposition=[a-z_]+ reason=({reasons}) delivery="


def _series(metric: str, resource: str, label: str, value: str, more: str = "") -> str:
    """A metric's name in PromQL, and which of its series."""
    domain, _, path = metric.partition("/")
    return (
        f"{re.sub('[^A-Za-z0-9]', '_', domain)}:{re.sub('[^A-Za-z0-9]', '_', path)}"
        f'{{monitored_resource="{resource}",{label}="{value}"{more}}}'
    )


def _tasks(metric: str, names: Names, more: str = "") -> str:
    return _series(f"cloudtasks.googleapis.com/queue/{metric}", "cloud_tasks_queue", "queue_id", names.queue, more)


def _requests(part: str, names: Names) -> str:
    """Milliseconds that requests took, or how many there were."""
    metric = f"run.googleapis.com/request_latencies_{part}"
    return _series(metric, "cloud_run_revision", "service_name", names.service)


def _grown(series: str, window: int = 300) -> str:
    return f"sum(increase({series}[{window}s]))"


def _age(queue: Queue, thresholds: Thresholds, names: Names) -> QueryAlarm:
    """The platform tells no task's age. What it tells is how late attempts are; and a queue that was never empty for as
    long as a task may wait, delays included, and had no attempt, stands still. Never: in half of the minutes at least,
    so that one full minute is no proof where a queue tells nothing while it is empty."""
    window = min(math.ceil(thresholds.age) + seconds_of(queue.max_delay), LONGEST_LOOK)
    late = f"sum by (le) (increase({_tasks('task_attempt_delays_bucket', names)}[300s]))"
    depth = f"{_tasks('depth', names)}[{window}s]"
    waiting = f"sum(min_over_time({depth}) and count_over_time({depth}) >= {window // 120}) > 0"
    return QueryAlarm(
        name="age",
        severity="medium",
        says=f"tasks of {queue.name} are attempted more than {thresholds.age:g} s late, or not at all",
        shown=f"histogram_quantile(0.99, {late}) / 1000",
        threshold=thresholds.age,
        when=f" or ({waiting} unless {_grown(_tasks('task_attempt_count', names), window)} > 0)",
        lasting=300,
    )


def _failures(queue: Queue, thresholds: Thresholds, names: Names) -> QueryAlarm:
    """A failed task is answered with success once its delayed copy or its dead letter is safe, so the log is asked."""
    metric = f"logging.googleapis.com/user/{metric_of_failures(names.service)}"
    failed = _grown(_series(metric, "cloud_run_revision", "service_name", names.service))
    attempts = _grown(_tasks("task_attempt_count", names))
    return QueryAlarm(
        name="failures",
        severity="medium",
        says=f"more than {thresholds.failures:g} % of {queue.name}'s attempts failed",
        shown=f"100 * {failed} / {attempts}",
        threshold=thresholds.failures,
        when=f" and {attempts} >= {ENOUGH}",
        lasting=300,
    )


def _answers(queue: Queue, thresholds: Thresholds, names: Names) -> QueryAlarm:
    """How a good answer is called differs between what has been written about the metric, so each is taken for good."""
    bad = _grown(_tasks("task_attempt_count", names, ',response_code!~"(?i)ok|2.."'))
    attempts = _grown(_tasks("task_attempt_count", names))
    return QueryAlarm(
        name="answers",
        severity="medium",
        says=f"more than {thresholds.failures:g} % of {queue.name}'s attempts are answered without success, or not at all",
        shown=f"100 * {bad} / {attempts}",
        threshold=thresholds.failures,
        when=f" and {attempts} >= {ENOUGH}",
        lasting=300,
    )


def _latency(queue: Queue, thresholds: Thresholds, names: Names) -> QueryAlarm:
    """From when a task is due to its answer: by the platform's own metrics, since successes are logged at INFO, which
    Python does not write unless told to."""
    waited = (
        f"{_grown(_tasks('task_attempt_delays_sum', names))} / {_grown(_tasks('task_attempt_delays_count', names))}"
    )
    took = f"{_grown(_requests('sum', names))} / {_grown(_requests('count', names))}"
    return QueryAlarm(
        name="latency",
        severity="medium",
        says=f"{queue.name}'s tasks take more than {thresholds.latency:g} s from when they are due to their answer, on average",
        shown=f"({waited} + {took}) / 1000",
        threshold=thresholds.latency,
        lasting=300,
    )


def _utilisation(queue: Queue, settings: Settings, thresholds: Thresholds, names: Names) -> QueryAlarm:
    """Busy time, since instances counted would be all of one as soon as it runs. Requests are told of when they end."""
    window = max(900, 4 * settings.limit)
    busy = _grown(_requests("sum", names), window)
    return QueryAlarm(
        name="utilisation",
        severity="low",
        says=f"more than {thresholds.utilisation:g} % of {settings.instances} instances' time is taken by {queue.name}",
        shown=f"100 * {busy} / {settings.at_once * window * 1000}",
        threshold=thresholds.utilisation,
    )

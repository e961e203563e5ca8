"""Signals of a consumer's alarms on Azure: metrics, queries, windows and evaluation.

Metrics: https://learn.microsoft.com/azure/service-bus-messaging/monitor-service-bus-reference, dimension EntityName, each
minute. Failures, latency and utilisation have no metric and are queried from the logs: a failed message leaves as a copy or a
dead letter, so the host counts its invocation as a success.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from peeklock.errors import ConfigError
from peeklock.infra import alarms as table
from peeklock.infra.alarms import ENOUGH, Alarm
from peeklock.infra.options import Thresholds
from peeklock.infra.settings.azure import Settings, iso
from peeklock.outcome import FAILED
from peeklock.queue import Queue
from peeklock.quotas.azure import METRIC_WINDOWS as WINDOWS
from peeklock.quotas.azure import QUEUE_MEGABYTES

SEVERITIES = {"high": 1, "medium": 2, "low": 3}
"""Azure's numbers: 1 error, 2 warning, 3 informational; 0 (critical) is left unused."""

NEARLY_FULL = 0.8
"""Part of a queue's size."""

FIVE_MINUTES, DAY = 300, 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSignal:
    """Metric of one entity of the namespace. Durations are seconds."""

    entity: Any
    """Name of the entity; an output for an existing queue."""
    metric: str
    statistic: str
    window: int = 300
    every: int = 60
    threshold: float | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuerySignal:
    """Column of a query that is above the threshold in `failing` of the last `periods` evaluations. Durations are seconds.

    A query without rows, as when nothing was settled, raises no alarm.
    """

    query: str
    column: str
    window: int = 300
    every: int = 300
    failing: int = 1
    periods: int = 1
    threshold: float | None = None
    description: str | None = None


Signal = MetricSignal | QuerySignal


def alarms(
    queue: Queue, settings: Settings, thresholds: Thresholds, *, app: str, dead_letters: Any, forwarded: bool = True
) -> tuple[Alarm[Signal], ...]:
    """Return all alarms of a consumer.

    - `app`: the function app's name in the logs.
    - `dead_letters`: name of the dead-letter queue.
    - `forwarded`: whether messages that the platform itself dead-letters go there too. An existing queue may not forward
      them, so they have an alarm of their own, `native`.
    """
    signals: dict[str, Signal] = {
        "length": MetricSignal(entity=queue.name, metric="Messages", statistic="Average"),
        "dead-letters": MetricSignal(entity=dead_letters, metric="ActiveMessages", statistic="Maximum"),
        "age": _age(queue, thresholds),
        "new-dead-letters": _new_dead_letters(queue, app),
        "failures": _failures(queue, app),
        "outage": _outage(queue, app),
        "throttling": MetricSignal(
            entity=queue.name,
            metric="ThrottledRequests",
            statistic="Total",
            window=900,
            every=FIVE_MINUTES,
            description=f"Service Bus throttled requests on queue {queue.name} within 15 minutes",
        ),
        "latency": _latency(queue, app),
        "utilisation": _utilisation(settings, app),
    }
    if forwarded:  # the size of an existing queue is its owner's
        full = QUEUE_MEGABYTES * 1024 * 1024
        signals["size"] = MetricSignal(
            entity=queue.name, metric="Size", statistic="Maximum", threshold=NEARLY_FULL * full
        )
    else:
        signals["native"] = MetricSignal(entity=queue.name, metric="DeadletteredMessages", statistic="Maximum")
    return table.alarms(queue.name, thresholds, signals)


def _age(queue: Queue, thresholds: Thresholds) -> MetricSignal:
    """Return the closest signal to a message's age, which the platform does not report: a queue that was never empty for as
    long as a message may wait. It also notices a consumer that is stopped."""
    window = next((window for window in WINDOWS if window >= thresholds.age), None)
    if window is None:
        raise ConfigError(
            f"thresholds: age={thresholds.age:g}, but an alert looks back at most {WINDOWS[-1]} s; lower age"
        )
    return MetricSignal(
        entity=queue.name,
        metric="ActiveMessages",
        statistic="Minimum",
        window=window,
        every=FIVE_MINUTES if window > FIVE_MINUTES else 60,
        threshold=0,
        description=f"queue {queue.name} was never empty in {window} s",
    )


def settlements(queue: Queue, app: str) -> str:
    """Return a query for the settlement records of a queue: it parses the text that `peeklock.observability.observer.log_event`
    writes. Other apps may write to the workspace, too."""
    return (
        f'AppTraces | where AppRoleName =~ "{app}" | where Message startswith "peeklock.settled "'
        ' | extend queue = extract(@"\\bqueue=(\\S+)", 1, Message), reason = extract(@"\\breason=(\\S+)", 1, Message),'
        ' latency_ms = todouble(extract(@"\\blatency_ms=(\\S+)", 1, Message))'
        f' | where queue == "{queue.name}"'
    )


def _failures(queue: Queue, app: str) -> QuerySignal:
    """Return the share of failures, one row per five minutes: the query covers all periods at once, and without a time in its
    rows their failures would be one value. The range of the query is the window times the number of periods, and the window is
    the size of a bin:
    https://learn.microsoft.com/javascript/api/@azure/arm-previewalertrule/logalertruleproperties"""
    return QuerySignal(
        query=_share(queue, app, "failures", " by bin(TimeGenerated, 5m)"), column="failures", failing=2, periods=3
    )


def _outage(queue: Queue, app: str) -> QuerySignal:
    return QuerySignal(query=_share(queue, app, "outage"), column="outage")


def _share(queue: Queue, app: str, column: str, by: str = "") -> str:
    failed = ", ".join(sorted(f'"{reason.value}"' for reason in FAILED))
    return (
        f"{settlements(queue, app)} | summarize settled = sum(ItemCount), failed = sumif(ItemCount, reason in ({failed}))"
        f"{by} | where settled >= {ENOUGH} | extend {column} = 100.0 * failed / settled | project-away settled, failed"
    )


def _new_dead_letters(queue: Queue, app: str) -> QuerySignal:
    return QuerySignal(
        query=f'{settlements(queue, app)} | where extract(@"\\bdisposition=(\\S+)", 1, Message) == "dead_letter"'
        " | summarize dead_letters = sum(ItemCount)",
        column="dead_letters",
    )


def _latency(queue: Queue, app: str) -> QuerySignal:
    return QuerySignal(
        query=f"{settlements(queue, app)} | where isnotnull(latency_ms)"
        " | summarize latency = sum(latency_ms * ItemCount) / sum(ItemCount) / 1000.0 | where isfinite(latency)",
        column="latency",
    )


def _utilisation(settings: Settings, app: str) -> QuerySignal:
    """Return the busy time: a count of instances would be 100 % of one as soon as it runs. Invocations are logged when they
    end, so the window has room for several."""
    window = max(900, 300 * math.ceil(4 * settings.limit / 300))
    window = next(offered for offered in WINDOWS if offered >= window)
    slots = settings.instances * settings.calls
    return QuerySignal(
        query=f'AppRequests | where AppRoleName =~ "{app}" | summarize busy_ms = sum(DurationMs * ItemCount)'
        f" | where isnotnull(busy_ms) | project utilisation = 100.0 * busy_ms / ({slots} * {window} * 1000.0)",
        column="utilisation",
        window=window,
    )


def period(seconds: int) -> str:
    """Return a window or frequency as the alert's API writes it. Log alerts take at most a day in minutes and hours."""
    return "PT24H" if seconds == DAY else iso(seconds)

"""The six alarms of a consumer, as data: which metric or query, how often, from when on.

Metrics: https://learn.microsoft.com/azure/service-bus-messaging/monitor-service-bus-reference, dimension EntityName, each
minute. Failures, latency and utilisation have no metric and are asked of the logs: a failed message leaves as a copy or a
dead letter, so the host counts its invocation as a success.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from peeklock.errors import ConfigError
from peeklock.infra.options import Thresholds
from peeklock.infra.settings.azure import Settings, iso
from peeklock.outcome import FAILED
from peeklock.queue import Queue
from peeklock.quotas.azure import METRIC_WINDOWS as WINDOWS

SEVERITIES = {"high": 1, "medium": 2, "low": 3}
"""Azure's numbers: 1 error, 2 warning, 3 informational; 0 is left to people."""

ENOUGH = 20
"""Settlements below which a share of failures means nothing."""

FIVE_MINUTES, DAY = 300, 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricAlarm:
    """Rings when a metric of one entity of the namespace is over the threshold. Seconds."""

    name: str
    severity: str
    says: str
    entity: str
    metric: str
    statistic: str
    threshold: float
    window: int = 300
    every: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryAlarm:
    """Rings when the query's `column` is over the threshold, in `failing` of the last `periods` evaluations. Seconds.

    No rows, as when nothing was settled, is no alarm.
    """

    name: str
    severity: str
    says: str
    query: str
    column: str
    threshold: float
    window: int = 300
    every: int = 300
    failing: int = 1
    periods: int = 1


Alarm = MetricAlarm | QueryAlarm


def alarms(
    queue: Queue, settings: Settings, thresholds: Thresholds, *, app: str, dead_letters: str, forwarded: bool = True
) -> tuple[Alarm, ...]:
    """All of a consumer's.

    - `app`: the function app's name in the logs.
    - `dead_letters`: the queue that the dead letters are in.
    - `forwarded`: what the platform itself dead-letters goes there too; where it does not, as with a queue that was
      brought along, it has an alarm of its own, `native`.
    """
    return (
        *(() if forwarded else (_native(queue),)),
        MetricAlarm(
            name="length",
            severity="high",
            says=f"more than {thresholds.length} messages in {queue.name}, delayed ones included",
            entity=queue.name,
            metric="Messages",
            statistic="Average",
            threshold=thresholds.length,
        ),
        MetricAlarm(
            name="dead-letters",
            severity="high",
            says=f"dead letters of {queue.name} wait in {dead_letters}",
            entity=dead_letters,
            metric="ActiveMessages",
            statistic="Maximum",
            threshold=0,
        ),
        _age(queue, thresholds),
        _failures(queue, thresholds),
        _latency(queue, thresholds),
        _utilisation(queue, settings, thresholds, app),
    )


def _native(queue: Queue) -> MetricAlarm:
    return MetricAlarm(
        name="native",
        severity="high",
        says=f"the platform has dead-lettered messages of {queue.name}",
        entity=queue.name,
        metric="DeadletteredMessages",
        statistic="Maximum",
        threshold=0,
    )


def _age(queue: Queue, thresholds: Thresholds) -> MetricAlarm:
    """The platform tells no message's age. A queue that was never empty for as long as a message may wait is the sign that
    comes nearest, and the only one that a consumer that stands still gives as well."""
    window = next((one for one in WINDOWS if one >= thresholds.age), None)
    if window is None:
        raise ConfigError(
            f"thresholds: age={thresholds.age:g}, but an alert looks back at most {WINDOWS[-1]} s; lower age"
        )
    return MetricAlarm(
        name="age",
        severity="medium",
        says=f"{queue.name} was not empty once in {window} s",
        entity=queue.name,
        metric="ActiveMessages",
        statistic="Minimum",
        threshold=0,
        window=window,
        every=FIVE_MINUTES if window > FIVE_MINUTES else 60,
    )


def settlements(queue: Queue) -> str:
    """The settlement records of a queue: the text that `peeklock.observability.observer.record` writes, taken apart."""
    return (
        'AppTraces | where Message startswith "peeklock.settled "'
        ' | extend queue = extract(@"\\bqueue=(\\S+)", 1, Message), reason = extract(@"\\breason=(\\S+)", 1, Message),'
        ' latency_ms = todouble(extract(@"\\blatency_ms=(\\S+)", 1, Message))'
        f' | where queue == "{queue.name}"'
    )


def _failures(queue: Queue, thresholds: Thresholds) -> QueryAlarm:
    failed = ", ".join(sorted(f'"{reason.value}"' for reason in FAILED))
    return QueryAlarm(
        name="failures",
        severity="medium",
        says=f"more than {thresholds.failures:g} % of {queue.name}'s settled messages failed, in 2 of 3 periods",
        query=f"{settlements(queue)} | summarize settled = sum(ItemCount), failed = sumif(ItemCount, reason in ({failed}))"
        f" | where settled >= {ENOUGH} | project failures = 100.0 * failed / settled",
        column="failures",
        threshold=thresholds.failures,
        failing=2,
        periods=3,
    )


def _latency(queue: Queue, thresholds: Thresholds) -> QueryAlarm:
    return QueryAlarm(
        name="latency",
        severity="medium",
        says=f"{queue.name}'s messages take more than {thresholds.latency:g} s from sending to settlement, on average",
        query=f"{settlements(queue)} | where isnotnull(latency_ms)"
        " | summarize latency = sum(latency_ms * ItemCount) / sum(ItemCount) / 1000.0 | where isfinite(latency)",
        column="latency",
        threshold=thresholds.latency,
    )


def _utilisation(queue: Queue, settings: Settings, thresholds: Thresholds, app: str) -> QueryAlarm:
    """Busy time, since instances counted would be all of one as soon as it runs. Invocations are told of when they end."""
    window = max(900, 300 * math.ceil(4 * settings.limit / 300))
    window = next(one for one in WINDOWS if one >= window)
    slots = settings.instances * settings.calls
    return QueryAlarm(
        name="utilisation",
        severity="low",
        says=f"more than {thresholds.utilisation:g} % of {settings.instances} instances' time is taken by {queue.name}",
        query=f'AppRequests | where AppRoleName =~ "{app}" | summarize busy_ms = sum(DurationMs * ItemCount)'
        f" | where isnotnull(busy_ms) | project utilisation = 100.0 * busy_ms / ({slots} * {window} * 1000.0)",
        column="utilisation",
        threshold=thresholds.utilisation,
        window=window,
    )


def period(seconds: int) -> str:
    """A window or frequency as the alert's API writes it. Log alerts take at most a day in minutes and hours."""
    return "PT24H" if seconds == DAY else iso(seconds)

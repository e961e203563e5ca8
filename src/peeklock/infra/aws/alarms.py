"""The alarms of a consumer, as data: which metrics, which statistic, how often, from when on.

Queues: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html, each
minute while a queue is in use and for six hours after. Functions:
https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html. Failures and latency are our own, written by
PowertoolsObserver: a batch with failures in it is no error of the function's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from peeklock.errors import ConfigError
from peeklock.infra.aws.environment import NAMESPACE
from peeklock.infra.options import Thresholds
from peeklock.infra.settings.aws import Settings
from peeklock.queue import Queue
from peeklock.quotas.aws import IN_FLIGHT as MOST_IN_FLIGHT

SQS, LAMBDA = "AWS/SQS", "AWS/Lambda"
VISIBLE, HIDDEN, DELAYED = (f"ApproximateNumberOfMessages{kind}" for kind in ("Visible", "NotVisible", "Delayed"))
MINUTE, FIVE_MINUTES = 60, 300

ENOUGH = 20
"""Settlements in five minutes below which a share of failures means nothing."""

NEARLY = MOST_IN_FLIGHT * 8 // 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric over one period."""

    id: str
    """What the expression calls it."""
    namespace: str
    name: str
    statistic: str
    period: int
    """Seconds."""
    dimensions: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Rings when the expression over the metrics is above the threshold in `failing` of the last `periods`.

    Missing data is no alarm: a queue that is not in use and a function that does not run write none.
    """

    name: str
    severity: str
    says: str
    metrics: tuple[Metric, ...]
    threshold: float
    expression: str = ""
    """Left out, the only metric itself."""
    or_equal: bool = False
    """It also rings at the threshold."""
    failing: int = 1
    periods: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Of what is watched."""

    app: str
    queue: str
    dead_letters: str
    function: str


def alarms(queue: Queue, settings: Settings, thresholds: Thresholds, names: Names) -> tuple[Alarm, ...]:
    """All of a consumer's. Raises ConfigError for a threshold that nothing can reach."""
    _check(settings, thresholds)
    return (
        *_of_queue(thresholds, names),
        *_of_settlements(queue, thresholds, names),
        *_of_function(settings, thresholds, names),
    )


def _check(settings: Settings, thresholds: Thresholds) -> None:
    for what, value, most, why in (
        ("failures", thresholds.failures, 99, "is a share in percent that has to be exceeded"),
        ("utilisation", thresholds.utilisation, 100, "is a share in percent"),
        ("age", thresholds.age, settings.retention - 1, "is in seconds, and SQS deletes what is older"),
    ):
        if value > most:
            raise ConfigError(
                f"thresholds: {what}={value:g} {why}, so the alarm could never ring; use at most {what}={most}"
            )


def _of_queue(thresholds: Thresholds, names: Names) -> tuple[Alarm, ...]:
    length = Alarm(
        name="length",
        severity="high",
        says=f"more than {thresholds.length} messages in the queue, those in work and delayed ones included",
        metrics=tuple(_sqs(one, names.queue) for one in (VISIBLE, HIDDEN, DELAYED)),
        expression="visible + notvisible + delayed",
        threshold=thresholds.length,
    )
    dead_letters = Alarm(
        name="dead-letters",
        severity="high",
        says="a message was dead-lettered",
        metrics=tuple(_sqs(one, names.dead_letters) for one in (VISIBLE, HIDDEN)),
        expression="visible + notvisible",
        threshold=0,
    )
    age = Alarm(
        name="age",
        severity="medium",
        says=f"the oldest message waits for more than {thresholds.age:g} s",
        metrics=(_sqs("ApproximateAgeOfOldestMessage", names.queue),),
        threshold=thresholds.age,
    )
    return (length, dead_letters, age, *_in_flight(thresholds, names))


def _in_flight(thresholds: Thresholds, names: Names) -> tuple[Alarm, ...]:
    """Where the length rings too late to tell that SQS soon gives out nothing more: delayed messages are in flight too."""
    if thresholds.length <= NEARLY:
        return ()
    return (
        Alarm(
            name="inflight",
            severity="high",
            says=f"more than {NEARLY} messages in flight; at {MOST_IN_FLIGHT} SQS gives out no more",
            metrics=(_sqs(HIDDEN, names.queue),),
            threshold=NEARLY,
        ),
    )


def _of_settlements(queue: Queue, thresholds: Thresholds, names: Names) -> tuple[Alarm, ...]:
    settled, failed = (_ours(one, "Sum", queue, names) for one in ("Settled", "Failed"))
    return (
        Alarm(
            name="failures",
            severity="medium",
            says=f"more than {thresholds.failures:g} % of the attempts fail, of at least {ENOUGH} in five minutes",
            metrics=(settled, failed),
            expression=f"IF(settled >= {ENOUGH}, 100 * failed / settled, 0)",
            threshold=thresholds.failures,
            failing=2,
            periods=3,
        ),
        Alarm(
            name="latency",
            severity="medium",
            says=f"messages take more than {thresholds.latency:g} s from sending to settlement, on average",
            metrics=(_ours("LatencyMs", "Average", queue, names),),
            threshold=thresholds.latency * 1000,
            failing=2,
            periods=3,
        ),
    )


def _of_function(settings: Settings, thresholds: Thresholds, names: Names) -> tuple[Alarm, ...]:
    errors, invocations = (_lambda(one, "Sum", names) for one in ("Errors", "Invocations"))
    return (
        Alarm(
            name="errors",
            severity="medium",
            says="the function itself fails (start, memory, time), which settles nothing and so is in none of our metrics",
            metrics=(errors, invocations),
            expression="100 * errors / invocations",
            threshold=thresholds.failures,
            failing=2,
            periods=3,
        ),
        Alarm(
            name="utilisation",
            severity="low",
            says=f"{thresholds.utilisation:g} % or more of {settings.concurrency} instances were busy, for a quarter of an hour",
            metrics=(_lambda("ConcurrentExecutions", "Maximum", names),),
            threshold=settings.concurrency * thresholds.utilisation / 100,
            or_equal=True,
            failing=3,
            periods=3,
        ),
    )


def _sqs(name: str, queue: str) -> Metric:
    return Metric(
        id=name.removeprefix("ApproximateNumberOfMessages").lower(),
        namespace=SQS,
        name=name,
        statistic="Maximum",
        period=MINUTE,
        dimensions={"QueueName": queue},
    )


def _ours(name: str, statistic: str, queue: Queue, names: Names) -> Metric:
    """With all dimensions under which it is written, since CloudWatch adds none up."""
    return Metric(
        id=name.lower(),
        namespace=NAMESPACE,
        name=name,
        statistic=statistic,
        period=FIVE_MINUTES,
        dimensions={"service": names.app, "queue": queue.name, "platform": "sqs"},
    )


def _lambda(name: str, statistic: str, names: Names) -> Metric:
    return Metric(
        id=name.lower(),
        namespace=LAMBDA,
        name=name,
        statistic=statistic,
        period=FIVE_MINUTES,
        dimensions={"FunctionName": names.function},
    )

"""Signals of a consumer's alarms on AWS: metrics, statistics, periods and evaluation.

Queues: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html, each
minute while a queue is in use and for six hours after. Functions:
https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html. Failures and latency are peeklock's own metrics, written
by PowertoolsObserver: a batch with failures in it is not an error of the function.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from peeklock.errors import ConfigError
from peeklock.infra import alarms as table
from peeklock.infra.alarms import ENOUGH, Alarm
from peeklock.infra.aws.environment import NAMESPACE
from peeklock.infra.options import Thresholds
from peeklock.infra.settings.aws import Settings
from peeklock.queue import Queue
from peeklock.quotas.aws import IN_FLIGHT as MOST_IN_FLIGHT

SQS, LAMBDA = "AWS/SQS", "AWS/Lambda"
VISIBLE, HIDDEN, DELAYED = (f"ApproximateNumberOfMessages{kind}" for kind in ("Visible", "NotVisible", "Delayed"))
MINUTE, FIVE_MINUTES = 60, 300

NEARLY = MOST_IN_FLIGHT * 8 // 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric over one period."""

    id: str
    """Name of the metric within the expression."""
    namespace: str
    name: str
    statistic: str
    period: int
    """Seconds."""
    dimensions: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """Expression over metrics that is above the threshold in `failing` of the last `periods`.

    Missing data raises no alarm: a queue that is not in use and a function that does not run write none.
    """

    metrics: tuple[Metric, ...]
    expression: str = ""
    """Without one, the signal is the only metric."""
    or_equal: bool = False
    """True if the alarm also rings at the threshold."""
    failing: int = 1
    periods: int = 1
    threshold: float | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Names of the watched resources."""

    app: str
    queue: str
    dead_letters: str
    function: str


def alarms(queue: Queue, settings: Settings, thresholds: Thresholds, names: Names) -> tuple[Alarm[Signal], ...]:
    """Return all alarms of a consumer. Raises ConfigError for a threshold that cannot be reached."""
    _check(settings, thresholds)
    signals = {
        **_queue_signals(thresholds, names),
        **_settlement_signals(queue, thresholds, names),
        **_function_signals(settings, thresholds, names),
    }
    return table.alarms(queue.name, thresholds, signals)


def _check(settings: Settings, thresholds: Thresholds) -> None:
    for name, value, most, reason in (
        ("failures", thresholds.failures, 99, "is a share in percent that has to be exceeded"),
        ("utilisation", thresholds.utilisation, 100, "is a share in percent"),
        ("age", thresholds.age, settings.retention - 1, "is in seconds, and SQS deletes older messages"),
    ):
        if value > most:
            raise ConfigError(
                f"thresholds: {name}={value:g} {reason}, so the alarm could never ring; use at most {name}={most}"
            )


def _queue_signals(thresholds: Thresholds, names: Names) -> dict[str, Signal]:
    signals = {
        "length": Signal(
            metrics=tuple(_sqs(metric, names.queue) for metric in (VISIBLE, HIDDEN, DELAYED)),
            expression="visible + notvisible + delayed",
        ),
        "dead-letters": Signal(
            metrics=tuple(_sqs(metric, names.dead_letters) for metric in (VISIBLE, HIDDEN)),
            expression="visible + notvisible",
        ),
        "age": Signal(metrics=(_sqs("ApproximateAgeOfOldestMessage", names.queue),)),
    }
    if (
        thresholds.length > NEARLY
    ):  # else the length rings before SQS stops delivering; delayed messages are in flight too
        signals["inflight"] = Signal(
            metrics=(_sqs(HIDDEN, names.queue),),
            threshold=NEARLY,
            description=f"more than {NEARLY} messages in flight; at {MOST_IN_FLIGHT} SQS delivers no more",
        )
    return signals


def _settlement_signals(queue: Queue, thresholds: Thresholds, names: Names) -> dict[str, Signal]:
    settled, failed = (_own(metric, "Sum", queue, names) for metric in ("Settled", "Failed"))
    return {
        "failures": Signal(
            metrics=(settled, failed),
            expression=f"IF(settled >= {ENOUGH}, 100 * failed / settled, 0)",
            failing=2,
            periods=3,
        ),
        "latency": Signal(
            metrics=(_own("LatencyMs", "Average", queue, names),),
            threshold=thresholds.latency * 1000,
            failing=2,
            periods=3,
        ),
    }


def _function_signals(settings: Settings, thresholds: Thresholds, names: Names) -> dict[str, Signal]:
    errors, invocations = (_lambda(metric, "Sum", names) for metric in ("Errors", "Invocations"))
    return {
        "errors": Signal(metrics=(errors, invocations), expression="100 * errors / invocations", failing=2, periods=3),
        "utilisation": Signal(
            metrics=(_lambda("ConcurrentExecutions", "Maximum", names),),
            threshold=settings.concurrency * thresholds.utilisation / 100,
            or_equal=True,
            failing=3,
            periods=3,
        ),
    }


def _sqs(name: str, queue: str) -> Metric:
    return Metric(
        id=name.removeprefix("ApproximateNumberOfMessages").lower(),
        namespace=SQS,
        name=name,
        statistic="Maximum",
        period=MINUTE,
        dimensions={"QueueName": queue},
    )


def _own(name: str, statistic: str, queue: Queue, names: Names) -> Metric:
    """Return one of peeklock's metrics, with all dimensions under which it is written, since CloudWatch adds none up."""
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

"""Signals of a consumer's alarms on AWS: metrics, statistics, periods and evaluation.

Queues: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html, each
minute while a queue is in use and for six hours after. Functions:
https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html. Failures and latency are peeklock's own metrics, written
by PowertoolsObserver: a batch with failures in it is not an error of the function.
"""

from __future__ import annotations

import math
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
MINUTE, FIVE_MINUTES, DAY = 60, 300, 86_400

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
        **_dead_letter_signals(settings, names),
        **_settlement_signals(queue, thresholds, names),
        **_function_signals(settings, thresholds, names),
    }
    if settings.fifo:  # a group whose first message waits for its delay is visible, and is not delivered
        del signals["idle"]
    return table.alarms(queue.name, thresholds, signals)


def _check(settings: Settings, thresholds: Thresholds) -> None:
    for name, value, most, reason in (
        ("failures", thresholds.failures, 99, "is a share in percent that has to be exceeded"),
        ("outage", thresholds.outage, 99, "is a share in percent that has to be exceeded"),
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


def _dead_letter_signals(settings: Settings, names: Names) -> dict[str, Signal]:
    """Return the signals of the dead-letter queue.

    - `dead-letters` counts the visible ones only: of an empty queue, NotVisible is sometimes 1 for a minute.
      https://github.com/cdklabs/construct-hub/pull/1779
    - `new-dead-letters` counts what is sent, which peeklock's dead letters are. Those that SQS itself moves are not counted:
      https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html. It looks back 15
      minutes, since the first metrics of a queue that was not in use come up to 15 minutes late. No difference of the count is
      used, which has no value where the count before is missing.
    - `expiring` reads the age within the dead-letter queue.
    """
    return {
        "dead-letters": Signal(metrics=(_sqs(VISIBLE, names.dead_letters),)),
        "new-dead-letters": Signal(
            metrics=(_sqs("NumberOfMessagesSent", names.dead_letters, "Sum", FIVE_MINUTES),), periods=3
        ),
        "expiring": Signal(
            metrics=(_sqs("ApproximateAgeOfOldestMessage", names.dead_letters),),
            threshold=settings.dead_letters_retention - DAY,
        ),
    }


def _settlement_signals(queue: Queue, thresholds: Thresholds, names: Names) -> dict[str, Signal]:
    settled, failed = (_own(metric, "Sum", queue, names) for metric in ("Settled", "Failed"))
    share = f"IF(settled >= {ENOUGH}, 100 * failed / settled, 0)"
    return {
        "failures": Signal(metrics=(settled, failed), expression=share, failing=2, periods=3),
        "outage": Signal(metrics=(settled, failed), expression=share),
        "latency": Signal(
            metrics=(_own("LatencyMs", "Average", queue, names),),
            threshold=thresholds.latency * 1000,
            failing=2,
            periods=3,
        ),
    }


def _function_signals(settings: Settings, thresholds: Thresholds, names: Names) -> dict[str, Signal]:
    errors, invocations, throttles = (
        _lambda(metric, "Sum", names) for metric in ("Errors", "Invocations", "Throttles")
    )
    return {
        "errors": Signal(
            metrics=(errors, invocations),
            expression="100 * errors / invocations",
            failing=2,
            periods=_periods_between_receives(settings),
        ),
        "idle": Signal(
            metrics=(_sqs(VISIBLE, names.queue, "Minimum", FIVE_MINUTES), invocations),
            expression="IF(visible > 0 AND FILL(invocations, 0) < 1, 1, 0)",
            failing=3,
            periods=3,
        ),
        "throttling": Signal(metrics=(throttles,), failing=3, periods=3),
        "utilisation": Signal(
            metrics=(_lambda("ConcurrentExecutions", "Maximum", names),),
            threshold=settings.concurrency * thresholds.utilisation / 100,
            or_equal=True,
            failing=3,
            periods=3,
        ),
    }


def _periods_between_receives(settings: Settings) -> int:
    """Return the periods within which an event that was lost comes back, and fails again: on a quiet queue, no other event
    fails in between."""
    return math.ceil(settings.visibility / FIVE_MINUTES) + 2


def _sqs(name: str, queue: str, statistic: str = "Maximum", period: int = MINUTE) -> Metric:
    return Metric(
        id=name.removeprefix("ApproximateNumberOfMessages").lower(),
        namespace=SQS,
        name=name,
        statistic=statistic,
        period=period,
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

"""Alarms of a consumer as one table: name, severity, threshold and description. Each cloud adds the signals that they watch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Generic, Protocol, TypeVar

from peeklock.infra.options import Thresholds

ENOUGH = 20
"""Attempts in five minutes below which a share of failures means nothing."""


class Signal(Protocol):
    """Measurement that an alarm compares with its threshold."""

    @property
    def threshold(self) -> float | None:
        """Threshold in the signal's own unit, where that is not the table's."""

    @property
    def description(self) -> str | None:
        """Description of a signal that does not measure quite what the table says."""


S = TypeVar("S", bound=Signal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm(Generic[S]):
    """Alarm on a signal. It rings above the threshold."""

    name: str
    severity: str
    description: str
    threshold: float
    signal: S


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    severity: str
    threshold: Callable[[Thresholds], float]
    description: str
    """Names the queue and the thresholds in braces."""


TABLE = (
    _Row(
        "length",
        "high",
        lambda thresholds: thresholds.length,
        "queue {queue} has more than {length} messages, including delayed ones and those that are being handled",
    ),
    _Row("size", "high", lambda _: 0, "queue {queue} is nearly full, and then refuses messages"),
    _Row("dead-letters", "high", lambda _: 0, "queue {queue} has dead letters"),
    _Row(
        "new-dead-letters",
        "medium",
        lambda _: 0,
        "queue {queue} has new dead letters; this clears by itself, and rings again at the next, while dead-letters stands",
    ),
    _Row(
        "expiring",
        "high",
        lambda _: 0,
        "the oldest dead letter of queue {queue} is deleted within a day: redrive it or save it",
    ),
    _Row("native", "high", lambda _: 0, "the platform itself has dead-lettered messages of queue {queue}"),
    _Row(
        "age",
        "medium",
        lambda thresholds: thresholds.age,
        "the oldest message of queue {queue} has waited for more than {age:g} s",
    ),
    _Row(
        "idle",
        "high",
        lambda _: 0,
        "messages of queue {queue} wait, and its function has not been invoked for more than ten minutes",
    ),
    _Row("inflight", "high", lambda _: 0, "queue {queue} is near its limit of messages in flight"),
    _Row(
        "failures",
        "medium",
        lambda thresholds: thresholds.failures,
        f"more than {{failures:g}} % of the attempts on queue {{queue}} fail, of at least {ENOUGH} in five minutes",
    ),
    _Row(
        "outage",
        "high",
        lambda thresholds: thresholds.outage,
        f"more than {{outage:g}} % of the attempts on queue {{queue}} fail, of at least {ENOUGH} in five minutes: what its handler"
        " calls may be down. Dead letters follow once the attempts are used up",
    ),
    _Row(
        "latency",
        "medium",
        lambda thresholds: thresholds.latency,
        "messages of queue {queue} take more than {latency:g} s from sending to settlement, on average",
    ),
    _Row(
        "errors",
        "medium",
        lambda thresholds: thresholds.failures,
        "more than {failures:g} % of the invocations for queue {queue} fail as a whole (start, memory, time-out), which settles"
        " no message and therefore is in no metric of peeklock",
    ),
    _Row("throttling", "medium", lambda _: 0, "the platform throttles queue {queue} or its function, for 15 minutes"),
    _Row(
        "utilisation",
        "low",
        lambda thresholds: thresholds.utilisation,
        "queue {queue} keeps {utilisation:g} % of the allowed instances busy",
    ),
    _Row(
        "answers",
        "medium",
        lambda thresholds: thresholds.failures,
        "more than {failures:g} % of the attempts on queue {queue} are answered with an error, or not at all",
    ),
)


def alarms(queue: str, thresholds: Thresholds, signals: Mapping[str, S]) -> tuple[Alarm[S], ...]:
    """Return the alarms that have a signal, in the order of the table. `queue`: name of the queue."""
    return tuple(_alarm(row, queue, thresholds, signals[row.name]) for row in TABLE if row.name in signals)


def _alarm(row: _Row, queue: str, thresholds: Thresholds, signal: S) -> Alarm[S]:
    return Alarm(
        name=row.name,
        severity=row.severity,
        description=signal.description or row.description.format(queue=queue, **asdict(thresholds)),
        threshold=row.threshold(thresholds) if signal.threshold is None else signal.threshold,
        signal=signal,
    )

"""What differs between stacks and is no part of a queue's contract: how much runs at once, what alarms, what is kept.

Pure: `of` reads the same from any mapping, and a program reads it from its stack's configuration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, Self

from peeklock.errors import ConfigError
from peeklock.queue import Queue
from peeklock.retry_span import Span

JITTER = "https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/"

ROUND = 10
"""Shorter durations are given with one decimal."""

UNITS = (("s", 1, 180), ("min", 60, 10_800), ("h", 3600, 259_200))
"""Each unit's name and seconds, and the seconds up to which a duration is given in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """How much of a queue is worked on at once.

    - `batch`: messages in one event, at most. Where each event is one message (Cloud Tasks), it means nothing.
    - `parallel`: handlers that run at once within one instance of the function, which `bind` is told by the environment.
    - `instances`: instances of the function, at most: the cap on scaling.
    - `memory`: megabytes of an instance.
    """

    batch: int = 10
    parallel: int = 1
    instances: int = 10
    memory: int = 512

    def __post_init__(self) -> None:
        for one in fields(self):
            _check_count(f"capacity: {one.name}", getattr(self, one.name), least=1)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """From a stack's configuration, such as `{"batch": 10, "instances": 20}`. Raises ConfigError for what it does not
        know."""
        return cls(**_known(cls, "capacity", given))


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """When an alarm rings. Each field's unit is in its line."""

    length: int = 10_000
    """Messages in the queue, whatever their state."""
    failures: float = 5.0
    """Percent of the settled messages that failed: retry, timeout, unavailable, fatal, invalid, exhausted or expired."""
    latency: float = 60.0
    """Seconds from sending to settlement, on average."""
    utilisation: float = 90.0
    """Percent of the instances allowed that are busy."""
    age: float = 3600.0
    """Seconds that the oldest message may wait."""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """As `Capacity.of`."""
        return cls(**_known(cls, "thresholds", given))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a stack is for.

    - `protect`: keep what holds data: a change that would delete or replace it fails, and destroying the stack leaves it.
    - `log_days`: days that logs are kept.
    - `thresholds`: of the alarms.
    - `notify`: where alarms go, by severity (`high`, `medium`, `low`): e-mail addresses; left out, alarms only show.
    """

    protect: bool = True
    log_days: int = 30
    thresholds: Thresholds = field(default_factory=Thresholds)
    notify: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_count("stage: log_days", self.log_days, least=1)
        if unknown := set(self.notify) - {"high", "medium", "low"}:
            raise ConfigError(f"stage: notify has {sorted(unknown)}; severities are high, medium and low")

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """As `Capacity.of`, with `thresholds` as a mapping within."""
        known = _known(cls, "stage", given)
        if "thresholds" in known:
            known["thresholds"] = Thresholds.of(known["thresholds"])
        return cls(**known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One number or word of a platform, for people: docs/settings.md is made of these, and the components use `value`."""

    name: str
    """As the platform's documentation calls it."""
    value: Any
    formula: str
    """How it follows from the queue and the capacity, in their fields' names; or the constant."""
    why: str
    source: str
    """The documentation page, or the file of facts, behind limit and formula."""


def row_of_span(span: Span) -> Setting:
    """Row of docs/settings.md that says how long a queue's attempts last."""
    return Setting(
        name="span of the attempts",
        value=", ".join(spelled(one) for one in (span.percentile_1, span.median, span.longest)),
        formula="1st percentile, median and longest sum of max_attempts - 1 delays, each from 0 to"
        " min(first_delay * 2^n, max_delay): Queue.span",
        why="an outage that lasts longer dead-letters messages: with the median, half of those sent when it begins",
        source=JITTER,
    )


def spelled(duration: timedelta) -> str:
    """A duration for people, such as `31 min`."""
    seconds = duration.total_seconds()
    unit, size = next(((unit, size) for unit, size, most in UNITS if seconds < most), ("days", 86_400))
    value = seconds / size
    return f"{round(value, 1 if value < ROUND else None):g} {unit}"


def check_variables(names: Iterable[str]) -> None:
    """Raises ConfigError where two queues of an app would share their variables."""
    known: dict[str, str] = {}
    for name in sorted(set(names)):
        variable = Queue(name).variable("URL")
        if other := known.get(variable):
            raise ConfigError(f"queues {other!r} and {name!r} would share {variable} and its sisters; rename either")
        known[variable] = name


def _known(cls: Any, what: str, given: Mapping[str, Any]) -> dict[str, Any]:
    names = {one.name for one in fields(cls)}
    if unknown := sorted(set(given) - names):
        raise ConfigError(f"{what}: {', '.join(unknown)} is unknown; there are {', '.join(sorted(names))}")
    return dict(given)


def _check_count(what: str, value: object, *, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{what}={value!r}: a whole number from {least} on")


def seconds_of(duration: timedelta) -> int:
    """Whole seconds, rounded up: infrastructure takes no fractions, and a lock must not be shorter than what it covers."""
    return -(-duration // timedelta(seconds=1))

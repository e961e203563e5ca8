"""Options that differ between stacks and are not part of a queue's contract: capacity, alarm thresholds, protection.

Pure: `from_mapping` accepts any mapping, and a program passes the one in its stack's configuration.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, Self

from peeklock.errors import ConfigError
from peeklock.keywords import nearest
from peeklock.queue import Queue

ROUND = 10
"""Durations shorter than this many units have one decimal."""

DEFAULT_BATCH = 10
"""Messages in an event where the program names no number: SQS's most without a window, and FIFO's."""

UNITS = (("s", 1, 180), ("min", 60, 10_800), ("h", 3600, 259_200))
"""Name and seconds of each unit, and the seconds up to which durations are written in it."""

OWN_TAGS = ("app", "stack", "consumer", "fingerprint")
"""Tags, and labels on Google, that are set on each resource."""

SEVERITIES = ("high", "medium", "low")


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Limits on how many messages of a queue are processed at once.

    - `batch`: most messages in one event; if left out, as many as can run before the platform ends it, at most ten. Ignored where
      each event is one message (Cloud Tasks).
    - `parallel`: handlers that run at once within one instance of the function; passed to `bind` by the environment.
    - `instances`: most instances of the function: the cap on scaling.
    - `memory`: megabytes of an instance.
    - `ready`: instances that are kept running without messages, so that none waits for a cold start. They are charged by the
      hour.
    """

    batch: int | None = None
    parallel: int = 1
    instances: int = 10
    memory: int = 512
    ready: int = 0

    def __post_init__(self) -> None:
        for option in fields(self):
            if option.name == "batch" and self.batch is None:
                continue
            _check_count(
                f"capacity: {option.name}", getattr(self, option.name), least=0 if option.name == "ready" else 1
            )
        if self.ready > self.instances:
            raise ConfigError(f"capacity: ready={self.ready} is more than instances={self.instances}; lower it")

    def messages(self, timeout: int, limit: int) -> int:
        """Return `batch`, or by default as many messages as can run within `limit`, each for `timeout`; both in seconds."""
        fitting = limit // timeout * self.parallel
        return min(max(fitting, 1), DEFAULT_BATCH) if self.batch is None else self.batch

    @classmethod
    def from_mapping(cls, options: Mapping[str, Any]) -> Self:
        """Return the capacity that a stack's configuration describes, such as `{"batch": 10, "instances": 20}`. Raises
        ConfigError for an unknown option."""
        return cls(**_checked_options(cls, "capacity", options))


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Thresholds of the alarms."""

    length: int = 10_000
    """Messages in the queue, in any state."""
    failures: float = 5.0
    """Percent of the settled messages that failed: retry, timeout, unavailable, fatal, invalid, exhausted or expired."""
    outage: float = 50.0
    """Percent of the settled messages that failed within five minutes, above which what the handler calls is taken to be
    down."""
    latency: float = 60.0
    """Seconds from sending to settlement, on average."""
    utilisation: float = 90.0
    """Percent of the allowed instances that are busy."""
    age: float = 3600.0
    """Seconds that the oldest message may wait."""

    @classmethod
    def from_mapping(cls, options: Mapping[str, Any]) -> Self:
        """Return the thresholds that a stack's configuration describes. Raises ConfigError for an unknown option."""
        return cls(**_checked_options(cls, "thresholds", options))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Purpose of a stack.

    - `protect`: keep the resources that hold data: a change that would delete or replace one fails, and destroying the stack
      leaves it.
    - `log_days`: days that logs are kept.
    - `thresholds`: thresholds of the alarms.
    - `notify`: e-mail address that alarms are sent to, by severity (`high`, `medium`, `low`). Without one, alarms are only
      shown.
    """

    protect: bool = True
    log_days: int = 30
    thresholds: Thresholds = field(default_factory=Thresholds)
    notify: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.protect, bool):
            raise ConfigError(f"stage: protect={self.protect!r}: use true or false, without quotes")
        _check_count("stage: log_days", self.log_days, least=1)
        check_severities("stage: notify", self.notify)

    @classmethod
    def from_mapping(cls, options: Mapping[str, Any]) -> Self:
        """Return the stage that a stack's configuration describes; `thresholds` is a mapping within it. Raises ConfigError for
        an unknown option."""
        checked = _checked_options(cls, "stage", options)
        if "thresholds" in checked:
            checked["thresholds"] = Thresholds.from_mapping(checked["thresholds"])
        return cls(**checked)


def check_severities(argument: str, names: Iterable[str]) -> None:
    """Raise ConfigError for a name that is not a severity."""
    if unknown := set(names) - set(SEVERITIES):
        raise ConfigError(f"{argument} has {sorted(unknown)}; severities are high, medium and low")


def checked_tags(tags: Mapping[Any, Any] | None) -> dict[str, str]:
    """Return a program's tags. Raises ConfigError for a tag that peeklock sets, and for what is no text."""
    for name, value in (tags or {}).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise ConfigError(f"tags: {name!r}={value!r}: use texts")
        if name in OWN_TAGS:
            raise ConfigError(f"tags: {name!r} is set by peeklock; choose another name")
    return dict(tags or {})


def check_capacity_queues(configured: Iterable[str], queues: Iterable[str]) -> None:
    """Raise ConfigError for a queue in the stack's `capacity` that has no consumer in the app."""
    names = sorted(queues)
    for name in sorted(set(configured) - set(names)):
        raise ConfigError(
            f"the stack's capacity has queue {name!r}, which has no consumer in this app; {_correction(name, names)}"
        )


def check_keys(configured: Iterable[str], keys: Iterable[str]) -> None:
    """Raise ConfigError for a misspelt key of the stack's configuration: one that is close to a key that is read and not set.
    Other keys may be the program's own."""
    present, read = set(configured), set(keys)
    for name in sorted(present - read):
        if near := difflib.get_close_matches(name, sorted(read - present), 1, 0.75):
            raise ConfigError(f"the stack's configuration has {name!r}, which is not read; did you mean {near[0]!r}?")


def _correction(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, 1)
    return f"did you mean {near[0]!r}?" if near else f"its queues are {', '.join(names) or 'none yet'}"


def format_duration(duration: timedelta) -> str:
    """Return a duration for people, such as `31 min`."""
    seconds = duration.total_seconds()
    unit, size = next(((unit, size) for unit, size, most in UNITS if seconds < most), ("days", 86_400))
    value = seconds / size
    return f"{round(value, 1 if value < ROUND else None):g} {unit}"


def check_variables(names: Iterable[str]) -> None:
    """Raise ConfigError where two queues of an app would share their environment variables."""
    queues: dict[str, str] = {}
    for name in sorted(set(names)):
        variable = Queue(name).variable("URL")
        if other := queues.get(variable):
            raise ConfigError(
                f"queues {other!r} and {name!r} would share {variable} and their other variables; rename one of them"
            )
        queues[variable] = name


def _checked_options(cls: Any, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(options, Mapping):
        raise ConfigError(f"{name}={options!r}: use a mapping, such as {{{fields(cls)[0].name}: ...}}")
    names = {option.name for option in fields(cls)}
    for unknown in sorted(set(options) - names):
        raise ConfigError(f"{name}: {unknown!r} is unknown; {nearest(unknown, sorted(names))}")
    return dict(options)


def _check_count(name: str, value: object, *, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name}={value!r}: use a whole number of at least {least}")


def whole_seconds(duration: timedelta) -> int:
    """Return whole seconds, rounded up: infrastructure accepts no fractions, and a lock must not be shorter than the run
    that it covers."""
    return -(-duration // timedelta(seconds=1))

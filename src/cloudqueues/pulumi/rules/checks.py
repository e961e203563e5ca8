"""Parts of a rule: paths, checks and durations."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cloudqueues.pulumi.wire import UNKNOWN

Values = Mapping[str, Any]
Violations = Iterator[tuple[str, Any]]
"""Property and value that break a rule."""
Check = Callable[[Values], Violations]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One restriction of a service."""

    words: str
    source: str
    """The page that says it."""
    check: Check
    reads: tuple[str, ...] = ()
    """Paths of the values that the check compares: while something there is not known yet, the rule is not applied."""


def rule(words: str, source: str, check: Check, *reads: str) -> Rule:
    """Make a rule from its parts in the order of a sentence."""
    return Rule(words=words, source=source, check=check, reads=reads)


def violations(rule: Rule, inputs: Values) -> Iterator[str]:
    """Each place that breaks it."""
    if all(_known(value) for path in rule.reads for _, value in values_at(inputs, path)):
        for place, value in rule.check(inputs):
            yield f"{place}: {value!r}: {rule.words}; see {rule.source}"


def _known(value: Any) -> bool:
    """Return whether every part of a value is known before a real run."""
    if isinstance(value, Mapping | list):
        return all(_known(one) for one in (value.values() if isinstance(value, Mapping) else value))
    return bool(value != UNKNOWN)


def values_at(inputs: Any, path: str, where: str = "") -> Violations:
    """The values at a path such as `criteria.allOf.operator`: one for each item of a list on the way."""
    key, _, rest = path.partition(".")
    if not isinstance(inputs, Mapping) or inputs.get(key) is None:
        return
    value, place = inputs[key], f"{where}{key}"
    if not rest:
        yield place, value
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from values_at(one, rest, f"{place}[{index}].")
    else:
        yield from values_at(value, rest, f"{place}.")


def first(inputs: Values, path: str) -> Any:
    """The first value at a path, or None."""
    return next((value for _, value in values_at(inputs, path)), None)


def where(path: str, fits: Callable[[Any], bool]) -> Check:
    """Breaks where a value is there and does not fit. An unknown one fits."""
    return lambda inputs: ((place, one) for place, one in values_at(inputs, path) if one != UNKNOWN and not fits(one))


def within(path: str, least: float, most: float) -> Check:
    """A number."""
    return where(path, lambda value: isinstance(value, int | float) and least <= value <= most)


def duration_within(path: str, least: float, most: float) -> Check:
    """A duration of so many seconds, as `PT5M` or `300s`."""

    def fits(value: Any) -> bool:
        length = seconds(value)
        return length is not None and least <= length <= most

    return where(path, fits)


def matches(path: str, pattern: str) -> Check:
    """A text that matches a pattern as a whole."""
    return where(path, lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None)


def one_of(path: str, *values: Any) -> Check:
    return where(path, lambda value: value in values)


def absent(path: str) -> Check:
    return where(path, lambda _: False)


def only_if(holds: Callable[[Values], bool], check: Check) -> Check:
    """A check of resources for which something holds."""
    return lambda inputs: check(inputs) if holds(inputs) else iter(())


ISO = re.compile(r"P(?=.)(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
PLAIN = re.compile(r"(\d+(?:\.\d+)?)s")
UNITS = (86_400, 3600, 60, 1)


def seconds(text: Any) -> float | None:
    """Seconds of a duration as Azure (`PT5M`) or Google (`300s`) writes it; None for what is none."""
    if not isinstance(text, str):
        return None
    if found := PLAIN.fullmatch(text):
        return float(found[1])
    if found := ISO.fullmatch(text):
        return sum(float(one or 0) * unit for one, unit in zip(found.groups(), UNITS, strict=True))
    return None

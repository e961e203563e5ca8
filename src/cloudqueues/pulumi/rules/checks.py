"""Parts of a rule: paths, checks and durations."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cloudqueues.pulumi.wire import UNKNOWN

Values = Mapping[str, Any]
Violations = Iterator[tuple[str, Any]]
"""Paths and values that violate a rule."""
Check = Callable[[Values], Violations]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One restriction of a service."""

    words: str
    source: str
    """Page that documents it."""
    check: Check
    reads: tuple[str, ...] = ()
    """Paths of the values that the check compares. The rule is not applied while one of them is unknown."""


def rule(words: str, source: str, check: Check, *reads: str) -> Rule:
    """Return a rule from its parts in the order of a sentence."""
    return Rule(words=words, source=source, check=check, reads=reads)


def violations(rule: Rule, inputs: Values) -> Iterator[str]:
    """Yield each violation of a rule as `path: value: rule; source`."""
    if all(_known(value) for path in rule.reads for _, value in values_at(inputs, path)):
        for place, value in rule.check(inputs):
            yield f"{place}: {value!r}: {rule.words}; see {rule.source}"


def _known(value: Any) -> bool:
    """Return whether every part of a value is known before a real run."""
    if isinstance(value, Mapping | list):
        return all(_known(part) for part in (value.values() if isinstance(value, Mapping) else value))
    return bool(value != UNKNOWN)


def values_at(inputs: Any, path: str, where: str = "") -> Violations:
    """Yield the values at a path such as `criteria.allOf.operator`, with their places; each item of a list is visited."""
    key, _, rest = path.partition(".")
    if not isinstance(inputs, Mapping) or inputs.get(key) is None:
        return
    value, place = inputs[key], f"{where}{key}"
    if not rest:
        yield place, value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from values_at(item, rest, f"{place}[{index}].")
    else:
        yield from values_at(value, rest, f"{place}.")


def first(inputs: Values, path: str) -> Any:
    """Return the first value at a path, or None."""
    return next((value for _, value in values_at(inputs, path)), None)


def where(path: str, fits: Callable[[Any], bool]) -> Check:
    """Return a check that each value at a path fits. An unknown value fits."""
    return lambda inputs: (
        (place, value) for place, value in values_at(inputs, path) if value != UNKNOWN and not fits(value)
    )


def within(path: str, least: float, most: float) -> Check:
    """Return a check of a number."""
    return where(path, lambda value: isinstance(value, int | float) and least <= value <= most)


def duration_within(path: str, least: float, most: float) -> Check:
    """Return a check of a duration in seconds, written as `PT5M` or `300s`."""

    def fits(value: Any) -> bool:
        length = seconds(value)
        return length is not None and least <= length <= most

    return where(path, fits)


def ordered(path: str, lower: str, upper: str, read: Callable[[Any], float | None] = lambda value: value) -> Check:
    """Return a check that one number is not above another. Both are properties of the objects at `path`, or of the inputs
    where `path` is empty; `read` converts their values."""

    def check(inputs: Values) -> Violations:
        for place, value in values_at(inputs, path) if path else (("", inputs),):
            if not isinstance(value, Mapping):
                continue
            least, most = read(value.get(lower)), read(value.get(upper))
            if least is not None and most is not None and least > most:
                yield f"{place}.{lower}".removeprefix("."), value[lower]

    return check


def matches(path: str, pattern: str) -> Check:
    """Return a check that a text matches a pattern as a whole."""
    return where(path, lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None)


def one_of(path: str, *values: Any) -> Check:
    return where(path, lambda value: value in values)


def absent(path: str) -> Check:
    return where(path, lambda _: False)


def only_if(holds: Callable[[Values], bool], check: Check) -> Check:
    """Return a check that applies only to inputs for which `holds` is true."""
    return lambda inputs: check(inputs) if holds(inputs) else iter(())


def json_object(text: Any) -> Mapping[str, Any] | None:
    """Return a JSON document that is an object; None for any other text."""
    try:
        document = json.loads(text)
    except (TypeError, ValueError):
        return None
    return document if isinstance(document, dict) else None


ISO = re.compile(r"P(?=.)(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
PLAIN = re.compile(r"(\d+(?:\.\d+)?)s")
UNITS = (86_400, 3600, 60, 1)


def seconds(text: Any) -> float | None:
    """Return the length of a duration in Azure's form (`PT5M`) or Google's (`300s`); None for any other text."""
    if not isinstance(text, str):
        return None
    if duration := PLAIN.fullmatch(text):
        return float(duration[1])
    if duration := ISO.fullmatch(text):
        return sum(float(part or 0) * unit for part, unit in zip(duration.groups(), UNITS, strict=True))
    return None

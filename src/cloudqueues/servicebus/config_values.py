"""Checked access to a JSON file: errors name the path of a value and the nearest valid key."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from cloudqueues.errors import ConfigError
from cloudqueues.servicebus.amqp.decode import is_list, is_map

NO_END = 922_337_203_685
"""Seconds of the longest TimeSpan of .NET, P10675199DT2H48M5.4775807S, which means unlimited."""

_DURATION = re.compile(
    r"P(?:(?P<days>[0-9]+)D)?(?:T(?:(?P<hours>[0-9]+)H)?(?:(?P<minutes>[0-9]+)M)?(?:(?P<seconds>[0-9]+(?:\.[0-9]+)?)S)?)?"
)
_UNITS = {"days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}


def load(config: Mapping[str, Any] | Path) -> ConfigValue:
    """Load a configuration. Raises ConfigError for a file that cannot be read."""
    if not isinstance(config, Path):
        return ConfigValue(dict(config), "")
    try:
        return ConfigValue(json.loads(config.read_text("utf-8-sig")), "")
    except (OSError, ValueError) as exc:
        raise ConfigError(f"{config} cannot be read as JSON: {exc}") from exc


class ConfigValue:
    """Value in the file with its path. All methods raise ConfigError for a value of the wrong type."""

    def __init__(self, value: object, path: str) -> None:
        self._value = value
        self._path = path

    def fail(self, problem: str) -> NoReturn:
        raise ConfigError(f"{self._path or 'the configuration'}: {problem}")

    def _wrong(self, wanted: str) -> NoReturn:
        self.fail(f"{self._value!r} is not {wanted}")

    # -- containers

    def map(self, *allowed: str) -> dict[str, ConfigValue]:
        """Return the values of an object by key, without null values."""
        if not is_map(self._value):
            self._wrong("an object")
        for key in self._value:
            if key not in allowed:
                self._unknown(str(key), allowed)
        return {key: self._below(f".{key}", value) for key, value in self._value.items() if value is not None}

    def _below(self, step: str, value: object) -> ConfigValue:
        return ConfigValue(value, (self._path + step).removeprefix("."))

    def _unknown(self, key: str, allowed: tuple[str, ...]) -> NoReturn:
        lower = {name.lower(): name for name in allowed}
        near = difflib.get_close_matches(key.lower(), lower, 1)
        fix = f"did you mean {lower[near[0]]!r}?" if near else f"known keys are {', '.join(allowed)}"
        self.fail(f"unknown key {key!r}; {fix}")

    def need(self, values: Mapping[str, ConfigValue], key: str) -> ConfigValue:
        """Return a value of this object that is required."""
        if key not in values:
            self.fail(f"{key!r} is missing")
        return values[key]

    def each(self) -> list[ConfigValue]:
        if not is_list(self._value):
            self._wrong("a list")
        return [self._below(f"[{position}]", element) for position, element in enumerate(self._value)]

    def scalars(self) -> dict[str, object]:
        """Return an object of arbitrary keys whose values are strings, numbers or booleans."""
        if not is_map(self._value):
            self._wrong("an object")
        for key, value in self._value.items():
            if not isinstance(value, str | int | float):
                self._below(f".{key}", value).fail(f"{value!r} is not a string, number or boolean")
        return dict(self._value)

    # -- scalars

    def name(self) -> str:
        """Return a string that is not empty."""
        if not isinstance(self._value, str) or not self._value:
            self._wrong("a string that is not empty")
        return self._value

    def name_or_none(self) -> str | None:
        """Return a string, or None for the empty string that the file uses instead."""
        return None if self._value == "" else self.name()

    def one_of(self, *allowed: str) -> str:
        value = self.name()
        if value not in allowed:
            self.fail(f"{value!r} is not one of {', '.join(allowed)}")
        return value

    def flag(self) -> bool:
        if not isinstance(self._value, bool):
            self._wrong("true or false")
        return self._value

    def number(self, least: int, most: int) -> int:
        if not isinstance(self._value, int) or isinstance(self._value, bool):
            self._wrong("a whole number")
        if not least <= self._value <= most:
            self.fail(f"{self._value} is not between {least} and {most}")
        return self._value

    def seconds(self, least: float = 0.0, most: float = math.inf) -> float:
        """Return the seconds of an ISO 8601 duration of days, hours, minutes and seconds, such as PT1M30S."""
        match = _DURATION.fullmatch(self.name())
        parts = {} if match is None else {unit: text for unit, text in match.groupdict().items() if text is not None}
        if not parts or self.name().endswith("T"):
            self._wrong("a duration: write P1D, PT1H, PT1M or PT30S, or these joined, P1DT1H1M30S")
        total = sum(float(text) * _UNITS[unit] for unit, text in parts.items())
        if not least <= total <= most:
            self.fail(f"{self.name()} is {total:g} seconds, which is not between {least:g} and {most:g}")
        return math.inf if total >= NO_END else total

"""Readers and writers of element texts. All readers raise Rejected with the element's name."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cloudqueues.errors import ConfigError
from cloudqueues.servicebus.admin.refusals import bad_format, invalid
from cloudqueues.servicebus.config_values import ConfigValue

FOREVER = "P10675199DT2H48M5.4775807S"
"""Longest TimeSpan of .NET, which means unlimited."""
_TICKS = 10**7
"""Ticks per second, the finest resolution of the service."""
_MOST_DIGITS = 18
_FLAGS = {"true": True, "1": True, "false": False, "0": False}

Read = Callable[[str, str], Any]
"""Called with the element's name and its text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """Property of an entity. `setting` is its field in Settings; None for one that is stored without effect."""

    read: Read
    show: Callable[[Any], str] = str
    setting: str | None = None
    is_address: bool = False
    """The text is the address of an entity; the setting is the entity's path, and the text itself is shown."""
    default: Any = field(default=None)
    """Default of a property that is not a setting; None omits the element."""


def flag(name: str, text: str) -> bool:
    if text not in _FLAGS:
        raise invalid(f"{name} is {text!r}, not true or false.")
    return _FLAGS[text]


def flag_text(value: bool) -> str:  # noqa: FBT001 - one value, as all of them have
    return "true" if value else "false"


def digits(text: str) -> int | None:
    """Return the number in a string of ASCII digits, or None for anything else and for more digits than any number here
    has."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS else None


def whole(least: int, most: int) -> Read:
    def read(name: str, text: str) -> int:
        number = digits(text)
        if number is None or not least <= number <= most:
            raise invalid(f"{name} is {text!r}, not a whole number from {least} to {most}.")
        return number

    return read


def duration(least: float, most: float = math.inf) -> Read:
    """Return a reader of durations in seconds. An unlimited duration is infinity."""

    def read(name: str, text: str) -> float:
        try:
            seconds = ConfigValue(text, name).seconds()
        except ConfigError as exc:
            raise invalid(f"{exc}.") from exc
        if seconds < least:
            raise invalid(f"{name} is {text}; the minimum is {duration_text(least)}.")
        if seconds > most:
            raise invalid(f"{name} is {text}; the maximum is {duration_text(most)}.")
        return seconds

    return read


def duration_text(seconds: float) -> str:
    """Return seconds as .NET writes a TimeSpan, which omits parts that are zero."""
    if math.isinf(seconds):
        return FOREVER
    minutes, ticks = divmod(round(seconds * _TICKS), 60 * _TICKS)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    number = f"{ticks / _TICKS:.7f}".rstrip("0").rstrip(".")
    clock = "".join(f"{count}{unit}" for count, unit in ((hours, "H"), (minutes, "M")) if count)
    clock += f"{number}S" if ticks or not (days or clock) else ""
    return f"P{f'{days}D' if days else ''}{f'T{clock}' if clock else ''}"


def words(longest: int) -> Read:
    def read(name: str, text: str) -> str:
        if len(text) > longest:
            raise invalid(f"{name} has {len(text)} characters; the maximum is {longest}.")
        return text

    return read


def one_of(*allowed: str) -> Read:
    def read(name: str, text: str) -> str:
        if text not in allowed:
            raise invalid(f"{name} is {text!r}; it can be {', '.join(allowed)}.")
        return text

    return read


def address(name: str, text: str) -> str:
    """Return the address of an entity, such as `sb://namespace/path`. A path alone is refused, as in the service:
    https://github.com/Azure/azure-sdk-for-java/issues/8350
    """
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://.", text):
        raise bad_format(name)
    return text

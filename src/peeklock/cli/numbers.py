"""Numbers of the command line: one that cannot be is refused under the name of its option."""

from __future__ import annotations

import argparse
from datetime import timedelta

from peeklock.errors import ConfigError
from peeklock.timing import delays


def positive(text: str) -> int:
    """A number of times, as the `type=` of an option."""
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 up")
    return number


def seconds(value: float, option: str) -> timedelta:
    """A duration. Raises ConfigError, in which the option has the name that was typed."""
    try:
        return delays.seconds(value, option)
    except ValueError as exc:
        raise ConfigError(str(exc)) from None

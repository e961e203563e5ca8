"""Numbers on the command line, refused under the names of their options."""

from __future__ import annotations

import argparse
from datetime import timedelta

from peeklock.errors import ConfigError
from peeklock.timing import delays


def positive(text: str) -> int:
    """Parse a number of times, as the `type=` of an option."""
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 up")
    return number


def seconds(value: float, option: str) -> timedelta:
    """Return a duration. Raises ConfigError, with the name of the option."""
    try:
        return delays.seconds(value, option)
    except ValueError as exc:
        raise ConfigError(str(exc)) from None

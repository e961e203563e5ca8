"""Failure of a program that does not complete its app, instead of a stack without functions."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pulumi

from peeklock.errors import ConfigError

OUTPUT = "environment"
"""Output that every app has once its `all()` was called."""


def require_completion(app: str) -> None:
    """Make the program fail at its end, hence in its preview, unless the app's `all()` exports its outputs before that:
    `all()` runs the last checks and makes the resources that need all consumers."""
    pulumi.export(OUTPUT, _FailsUnlessReplaced(app))


class _FailsUnlessReplaced:
    """Output that fails when Pulumi reads it, which it does at the end of the program."""

    def __init__(self, app: str) -> None:
        self._app = app

    def __iter__(self) -> Iterator[str]:
        if sys.exception() is None:  # a program that failed reports its own error
            raise ConfigError(
                f"app {self._app!r} is not finished: call all() on it after its last consumer, as in app.all(); without it"
                " there are no outputs, no dashboard, and no function for a consumer whose uses= has no consumer of its own"
            )
        return iter(())

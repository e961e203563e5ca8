"""An app that its program does not finish is an error, not a stack without functions."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pulumi

from peeklock.errors import ConfigError

OUTPUT = "environment"
"""An output that every app has, once its `all()` was called."""


def expect_end(app: str) -> None:
    """Make the program fail at its end, and so in its preview, unless the app's `all()` exports its outputs before that:
    what the app has to refuse, and what waits for all of its consumers, is done there."""
    pulumi.export(OUTPUT, _Unfinished(app))


class _Unfinished:
    """An output that fails when it is looked at: Pulumi does that when the program is over."""

    def __init__(self, app: str) -> None:
        self._app = app

    def __iter__(self) -> Iterator[str]:
        if sys.exception() is None:  # a program that failed says why itself
            raise ConfigError(
                f"app {self._app!r} is not finished: call all() on it after its last consumer, as in app.all(); without it"
                " there are no outputs, no dashboard, and no function for a consumer whose uses= has no consumer of its own"
            )
        return iter(())

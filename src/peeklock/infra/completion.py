"""Failure of a program that does not complete its apps, instead of a stack without functions."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pulumi
from pulumi.runtime import get_root_resource

from peeklock.errors import ConfigError


def require_completion(app: str) -> None:
    """Make the program fail at its end, hence in its preview, unless `completed` is called before that: `all()` runs the last
    checks and makes the resources that need all consumers."""
    pulumi.export(_placeholder(app), _FailsUnlessRemoved(app))


def completed(app: str) -> bool:
    """Note that an app is complete. Returns True if no other app of the program is incomplete."""
    _outputs().pop(_placeholder(app), None)
    return not any(isinstance(value, _FailsUnlessRemoved) for value in _outputs().values())


def export(app: str, outputs: Mapping[str, Any]) -> None:
    """Export the outputs of an app. Raises ConfigError where the program has an output of the name already."""
    for name, value in outputs.items():
        if name in _outputs():
            raise ConfigError(
                f"app {app!r}: the stack has an output {name!r} already; export the app's outputs under a name of their own:"
                f" pulumi.export({app!r}, app.all(export=False))"
            )
        pulumi.export(name, value)


def _outputs() -> dict[str, Any]:
    root: Any = get_root_resource()
    outputs: dict[str, Any] = root.outputs
    return outputs


def _placeholder(app: str) -> str:
    return f"{app}: incomplete"


class _FailsUnlessRemoved:
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

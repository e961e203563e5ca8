"""Errors of filters and actions: in their text, or with a message that they are applied to."""

from __future__ import annotations

from cloudqueues.errors import ConfigError


class FilterError(ConfigError):
    """Invalid filter or action. The error names the position and the fix; `at` counts from 0."""

    def __init__(self, text: str, at: int, problem: str) -> None:
        super().__init__(f"{text!r}, character {at + 1}: {problem}")
        self.at = at


class EvaluationError(Exception):
    """Filter or action that cannot be applied to a message: a type does not fit, or a number is divided by zero."""

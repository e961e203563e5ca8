"""What is wrong with a filter or an action: with its text, or with the message that it meets."""

from __future__ import annotations

from cloudqueues.errors import ConfigError


class FilterError(ConfigError):
    """The text is no filter or no action; the error says where and what to write instead. `at` counts from 0."""

    def __init__(self, text: str, at: int, problem: str) -> None:
        super().__init__(f"{text!r}, character {at + 1}: {problem}")
        self.at = at


class EvaluationError(Exception):
    """It cannot be applied to this message: its properties are of other types, or it divides by zero."""

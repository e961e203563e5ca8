"""Arguments that may be outputs of other resources, whose values are known only during the update.

Modules of settings and permissions import this one, and work without Pulumi's SDK: it is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from peeklock.errors import ConfigError

if TYPE_CHECKING:
    import pulumi


T = TypeVar("T")


def checked(value: pulumi.Input[T], check: Callable[[T], object]) -> pulumi.Input[T]:
    """Return a value that `check` accepts: a literal is checked now, an output as soon as it is known. `check` raises
    ConfigError, which names the argument."""
    import pulumi

    if not isinstance(value, pulumi.Output):
        check(value)  # type: ignore[arg-type]  # an Awaitable, which an Input may be as well, is given by nobody
        return value

    def passed(resolved: T) -> T:
        check(resolved)
        return resolved

    return value.apply(passed)


def text(argument: str, value: pulumi.Input[str]) -> pulumi.Input[str]:
    """Return a text. Raises ConfigError, at once or during the update, for a value of another type or an empty one."""
    return checked(value, lambda resolved: check_text(argument, resolved))


def check_text(argument: str, value: object) -> None:
    """Raise ConfigError for a value that is no text, or empty."""
    if not isinstance(value, str) or not value:
        raise ConfigError(
            f"{argument}={value!r}: use a text, such as str({value!r})" if value else f"{argument} is empty"
        )


def texts(argument: str, values: Mapping[str, pulumi.Input[str]]) -> Mapping[str, pulumi.Input[str]]:
    """Return texts by name, each checked."""
    return {name: text(f"{argument}[{name!r}]", value) for name, value in values.items()}


def references(argument: str, values: Mapping[str, pulumi.Input[str]]) -> Mapping[str, pulumi.Input[str]]:
    """Return references to secrets by name, checked as `texts` are. No error shows a value, which may be the secret itself."""

    def check(name: str, value: object) -> None:
        if not value:
            raise ConfigError(f"{argument}[{name!r}] is empty")
        if not isinstance(value, str):
            raise ConfigError(f"{argument}[{name!r}] is a {type(value).__name__}: use a text that refers to the secret")

    return {name: checked(value, partial(check, name)) for name, value in values.items()}


def is_given(value: pulumi.Input[Any] | None) -> bool:
    """Return True for a value that is not empty, and for an output, whose value is not known yet."""
    import pulumi

    return isinstance(value, pulumi.Output) or bool(value)

"""Checks of keyword arguments at run time, so that a mistyped option such as `audience=` is never ignored."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn, TypeVar, cast

from peeklock.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])


def strict(*more: type[Mapping[str, Any]]) -> Callable[[F], F]:
    """Make a function raise ConfigError, with the nearest name, for a keyword that it does not declare.

    `more`: TypedDicts that list the names which it takes as `**options`.
    """

    def decorate(function: F) -> F:
        code = function.__code__
        declared = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        accepted = {*declared, *(name for options in more for name in options.__annotations__)} - {"self"}
        name = function.__qualname__.removesuffix(".__init__")

        @functools.wraps(function)
        def checked(*args: Any, **keywords: Any) -> Any:
            if not keywords.keys() <= accepted:
                refuse_unknown(keywords, accepted, f"{name}()")
            return function(*args, **keywords)

        return cast("F", checked)

    return decorate


def check_flags(what: str, **flags: object) -> None:
    """Raise ConfigError for a flag that is not a bool, because "no" would count as True."""
    for name, value in flags.items():
        if type(value) is not bool:
            raise ConfigError(f"{what}: {name}={value!r} is neither True nor False")


def refuse_unknown(keywords: Iterable[str], accepted: Iterable[str], what: str) -> NoReturn:
    """Raise ConfigError for the first keyword that is not accepted. There has to be one."""
    names = sorted(accepted)
    unknown = next(name for name in keywords if name not in names)
    raise ConfigError(f"{what} takes no {unknown}=: {nearest(unknown, names)}")


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the hint for an error about an unknown name: the closest name, or the list of all."""
    import difflib

    listed = list(names)
    close = difflib.get_close_matches(name, listed, 1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(listed)}"

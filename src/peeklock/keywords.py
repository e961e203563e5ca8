"""Keywords that nobody knows are refused when the program runs, too: a mistyped `audience=` must never be silence."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn, TypeVar, cast

from peeklock.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])


def strict(*more: type[Mapping[str, Any]]) -> Callable[[F], F]:
    """Make a function refuse a keyword that it does not declare, with ConfigError and the nearest name.

    `more`: the TypedDicts of what it takes as `**options`.
    """

    def decorate(function: F) -> F:
        code = function.__code__
        declared = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        known = {*declared, *(name for options in more for name in options.__annotations__)} - {"self"}
        name = function.__qualname__.removesuffix(".__init__")

        @functools.wraps(function)
        def checked(*args: Any, **keywords: Any) -> Any:
            if not keywords.keys() <= known:
                refuse_unknown(keywords, known, f"{name}()")
            return function(*args, **keywords)

        return cast("F", checked)

    return decorate


def check_flags(what: str, **flags: object) -> None:
    """Raise ConfigError for a flag that is neither True nor False: "no" would count as True."""
    for name, value in flags.items():
        if type(value) is not bool:
            raise ConfigError(f"{what}: {name}={value!r} is neither True nor False")


def refuse_unknown(given: Iterable[str], known: Iterable[str], what: str) -> NoReturn:
    """Raise ConfigError for the first name that is not known; there has to be one."""
    names = sorted(known)
    unknown = next(name for name in given if name not in names)
    raise ConfigError(f"{what} takes no {unknown}=: {nearest(unknown, names)}")


def nearest(name: str, names: Iterable[str]) -> str:
    """The end of an error about a name: the one that was meant, or all that there are."""
    import difflib

    listed = list(names)
    close = difflib.get_close_matches(name, listed, 1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(listed)}"

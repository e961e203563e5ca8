"""Checks of the functions that a user passes to `consumer`: `decode`, `key` and `on_error`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from peeklock.consuming.handler import OnError
from peeklock.errors import ConfigError, DeadLetter, Retry


def check_hook(hook: object, where: str) -> None:
    """Raise ConfigError for a hook that cannot be called with one argument, or that is an `async def`."""
    if hook is None:
        return
    if not callable(hook):
        raise ConfigError(f"{where}{hook!r} cannot be called; give a function")
    if inspect.iscoroutinefunction(hook):
        raise ConfigError(f"{where}{getattr(hook, '__name__', hook)} is an `async def`; give a plain function")
    if not _takes_one(hook):
        raise ConfigError(f"{where}{getattr(hook, '__name__', hook)} has to take exactly one argument")


def _takes_one(hook: Callable[..., Any]) -> bool:
    """Return whether a function can be called with one argument, as far as its signature tells."""
    try:
        inspect.signature(hook).bind(None)
    except TypeError:
        return False
    except ValueError:  # some functions written in C have no signature
        return True
    return True


def checked(on_error: OnError) -> OnError:
    """Wrap `on_error` so that it raises TypeError for an answer that would be ignored silently."""

    def ask(error: BaseException) -> Retry | DeadLetter | None:
        answer = on_error(error)
        if answer is None or isinstance(answer, (Retry, DeadLetter)):
            return answer
        raise TypeError(
            f"on_error= returned {answer!r:.80}, which is neither a Retry(...), nor a DeadLetter(...), nor None"
        )

    return ask

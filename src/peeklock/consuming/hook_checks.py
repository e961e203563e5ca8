"""Functions that a user hands to `consumer`, beside the handler: `decode`, `key` and `on_error`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from peeklock.consuming.handler import OnError
from peeklock.errors import ConfigError, DeadLetter, Retry


def check_hook(hook: object, where: str) -> None:
    """Raise ConfigError for what cannot be called with one argument, and for a coroutine, which nobody would await."""
    if hook is None:
        return
    if not callable(hook):
        raise ConfigError(f"{where}{hook!r} cannot be called; give a function")
    if inspect.iscoroutinefunction(hook):
        raise ConfigError(f"{where}{getattr(hook, '__name__', hook)} is an `async def`; give a plain function")
    if not _takes_one(hook):
        raise ConfigError(
            f"{where}{getattr(hook, '__name__', hook)} is called with one argument, and takes another number"
        )


def _takes_one(hook: Callable[..., Any]) -> bool:
    """Whether a function can be called with one argument, as far as it tells."""
    try:
        inspect.signature(hook).bind(None)
    except TypeError:
        return False
    except ValueError:  # of some that are written in C
        return True
    return True


def checked(on_error: OnError) -> OnError:
    """A hook that raises TypeError for an answer that nobody would understand, and be silent about."""

    def ask(error: BaseException) -> Retry | DeadLetter | None:
        answer = on_error(error)
        if answer is None or isinstance(answer, (Retry, DeadLetter)):
            return answer
        raise TypeError(
            f"on_error= returned {answer!r:.80}, which is neither a Retry(...), nor a DeadLetter(...), nor None"
        )

    return ask

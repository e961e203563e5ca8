"""Exceptions of peeklock.

PeeklockError
├── ConfigError      a declaration or the environment is wrong; the message names the fix
├── EventError       the function was called with something that is not an event of its platform
├── InvalidMessage   the body of a message is not what its handler accepts
├── NothingToHandle  the envelope of a message contains nothing for its handler
├── StoreError       the store did not answer
│   └── UnreadableRecord   the record of a key cannot be read by this release
├── SendError        a queue did not accept a message
└── Redeliver        raised to a platform that redelivers only if an exception is raised

Retry, DeadLetter    decisions rather than errors: raised by a handler, or returned by `on_error`
"""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TypeGuard, TypeVar

from peeklock.redaction import scrubbed
from peeklock.timing.delays import Seconds, seconds

E = TypeVar("E", bound=BaseException)
T = TypeVar("T")


class PeeklockError(Exception):
    """Base class of all errors that peeklock raises."""


class ConfigError(PeeklockError):
    """A declaration, a binding or the environment is invalid. Raised before any message is handled."""


class EventError(PeeklockError):
    """The event does not come from this platform. None of its messages is settled, so the platform delivers them again."""


class InvalidMessage(PeeklockError):
    """The body of a message is invalid, and would be on every attempt.

    `problem` describes it, `where` is a path into the body. Neither contains a value of the body.
    """

    def __init__(self, problem: str, where: str = "") -> None:
        super().__init__(f"{where}: {problem}" if where else problem)
        self.problem = problem
        self.where = where


class NothingToHandle(PeeklockError):
    """The envelope contains nothing for the handler, as the test event of S3. Raised by a function given as `unwrap=`; the
    message is completed without running the handler."""


class StoreError(PeeklockError):
    """The store failed or did not answer. The change may have been made nevertheless. Secrets are removed from the text."""

    def __init__(self, problem: str = "") -> None:
        super().__init__(scrubbed(problem))


class UnreadableRecord(StoreError):
    """The record of a key was written by a newer release, and this one cannot read it. Asking again does not help; only
    messages of this key have to wait."""


class SendError(PeeklockError):
    """A message could not be sent. The queue may have it nevertheless. Secrets are removed from the text."""

    def __init__(self, problem: str = "") -> None:
        super().__init__(scrubbed(problem))


def is_a(value: object, kind: type[T] | tuple[type[T], ...]) -> TypeGuard[T]:
    """Return whether a user's object is an instance of a class, by its type alone.

    `isinstance` also reads the object's `__class__`, which may raise or be wrong.
    """
    return issubclass(type(value), kind)


def because(failure: E, cause: BaseException) -> E:
    """Set the cause of an error that is returned rather than raised, and return the error."""
    failure.__cause__ = cause
    return failure


def text_of(error: BaseException) -> str:
    """Return the text of an error; empty if its class fails to produce one."""
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 - a user's class may raise anything
        return ""


def described(error: BaseException) -> str:
    """Return the class name of an error, followed by its text."""
    name, text = type(error).__name__, text_of(error)
    return f"{name}: {text}" if text else name


def leaves_process(error: BaseException) -> bool:
    """Return whether an error has to end the process: a KeyboardInterrupt on the main thread. Any other concerns one message
    only."""
    return is_a(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread()


def store_error(exc: Exception) -> StoreError:
    """Return the StoreError for whatever a store raised: any failure means that the change may have been made."""
    return exc if is_a(exc, StoreError) else because(StoreError(described(exc)), exc)


class Redeliver(PeeklockError):
    """Some messages of the event have to be delivered again. Raised to the platform, never by a handler."""


class Retry(Exception):
    """Abandon the message, so that it is delivered again. Raised by a handler, or returned by `on_error`.

    `why` is the reason, for the log. `after` is the exact delay (seconds or a timedelta); without it, the exponential
    delay of the queue applies. `counts=False` means "not yet" rather than "failed": the run is not counted as an attempt.
    """

    why = ""
    after: timedelta | None = None
    counts = True
    # Subclasses may set these (`after` also to a number of seconds) instead of calling `__init__`.

    def __init__(self, why: str = "", *, after: Seconds | None = None, counts: bool | None = None) -> None:
        if not isinstance(why, str):
            raise TypeError(f"Retry({why!r}) takes the reason first, as a text: write Retry(after={why!r})")
        super().__init__(why)
        self.why = why
        if after is not None:
            self.after = seconds(after, "Retry(after=...)")
        if counts is not None:
            if type(counts) is not bool:
                raise TypeError(f"Retry(counts={counts!r}) takes True or False")
            self.counts = counts


class DeadLetter(Exception):
    """Dead-letter the message now, as `fatal`, because no later attempt can succeed. `why` is written to the dead letter."""

    def __init__(self, why: str = "") -> None:
        super().__init__(why)
        self.why = why

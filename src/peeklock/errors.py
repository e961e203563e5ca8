"""What can go wrong, and what a handler may decide.

PeeklockError
├── ConfigError      a declaration or the environment is wrong; the text names the fix
├── EventError       what arrived is not an event of this platform
├── InvalidMessage   one message's body is not what its handler takes
├── NothingToHandle  one message's envelope holds nothing for its handler
├── StoreError       the store did not answer
│   └── UnreadableRecord   it answered with what this release cannot read
├── SendError        a queue did not take a message
└── Redeliver        tells a platform that listens to exceptions only: deliver this again

Retry, DeadLetter    not errors but decisions, raised by a handler or returned by `on_error`
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
    """The root: `except PeeklockError` catches everything peeklock itself raises."""


class ConfigError(PeeklockError):
    """A declaration, a binding or the environment cannot work. Raised before any message is touched."""


class EventError(PeeklockError):
    """The event is not one of this platform. Raising it settles nothing, so the platform delivers it again."""


class InvalidMessage(PeeklockError):
    """A body that no attempt can make valid. `where` is a path into it; neither part ever holds a value of it."""

    def __init__(self, problem: str, where: str = "") -> None:
        super().__init__(f"{where}: {problem}" if where else problem)
        self.problem = problem
        self.where = where


class NothingToHandle(PeeklockError):
    """An envelope holds nothing for the handler, such as the test event of S3: raised by a function of `unwrap=`, it makes
    the message complete without a run."""


class StoreError(PeeklockError):
    """The store failed or did not answer; whether the change was made is unknown. Its text has no secrets of the SDK's."""

    def __init__(self, problem: str = "") -> None:
        super().__init__(scrubbed(problem))


class UnreadableRecord(StoreError):
    """The record of a key is none that this release understands: a newer one wrote it. To ask again changes nothing, and
    only the key's own messages have to wait."""


class SendError(PeeklockError):
    """A message could not be handed to a queue; whether the queue has it is unknown. Its text as `StoreError`'s."""

    def __init__(self, problem: str = "") -> None:
        super().__init__(scrubbed(problem))


def is_a(value: object, kind: type[T] | tuple[type[T], ...]) -> TypeGuard[T]:
    """Whether an error, or what a handler returned, is of a class. By its type alone: `isinstance` also asks for its
    `__class__`, which may raise or lie."""
    return issubclass(type(value), kind)


def because(failure: E, cause: BaseException) -> E:
    """What `raise failure from cause` would make of it, for a failure that is answered and not raised."""
    failure.__cause__ = cause
    return failure


def text_of(error: BaseException) -> str:
    """The text of an error; empty where its class cannot say it."""
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 - the class is the user's, and may raise anything
        return ""


def described(error: BaseException) -> str:
    """The class of an error and its text."""
    name, text = type(error).__name__, text_of(error)
    return f"{name}: {text}" if text else name


def leaves_process(error: BaseException) -> bool:
    """Whether somebody at a terminal wants out. Anything else that is raised concerns its message and no other."""
    return is_a(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread()


def store_error(exc: Exception) -> StoreError:
    """What a store raised, as the one error that says all: not known whether the change was made."""
    return exc if is_a(exc, StoreError) else because(StoreError(described(exc)), exc)


class Redeliver(PeeklockError):
    """Raised to the platform, never by a handler: some message has to come back."""


class Retry(Exception):
    """Abandon this message and deliver it again.

    `after` is the exact delay (seconds or a timedelta); without it the queue's own exponential delay applies.
    With `counts=False` the attempt is not counted: for "not yet" rather than "failed".
    """

    why = ""
    after: timedelta | None = None
    counts = True
    # A subclass may set them, a number of seconds too, and need not call this:

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
    """Dead-letter this message now, as `fatal`: no later attempt could succeed. `why` goes into the dead letter."""

    def __init__(self, why: str = "") -> None:
        super().__init__(why)
        self.why = why

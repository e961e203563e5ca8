"""The user's function as the engine calls it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from peeklock.errors import DeadLetter, Retry


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """The user's function and how to call it."""

    call: Callable[..., Any]
    wants_message: bool
    batch: bool
    """True for a handler that takes a `Batch`: one call with all messages that may run."""
    is_async: bool


OnError = Callable[[BaseException], Retry | DeadLetter | None]

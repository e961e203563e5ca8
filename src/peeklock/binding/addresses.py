"""Stores and senders of a binding, from its options or the environment."""

from __future__ import annotations

import os
from typing import Any

from peeklock.errors import ConfigError
from peeklock.idempotency.store import Store
from peeklock.outgoing import Sender
from peeklock.queue import Queue
from peeklock.registry import from_variable, open_sender, open_store


def store_of(option: Store | str | None) -> Store | None:
    """Return the store of an option or of `PEEKLOCK_STORE`; None where neither is set."""
    if option is None or option == "":
        return from_variable("PEEKLOCK_STORE", open_store)
    return open_store(option) if isinstance(option, str) else option


def is_in_memory(variable: str, option: object) -> bool:
    """Return whether an option or a variable names this process's memory by URL. A test passes the object instead."""
    return str(option or os.environ.get(variable, "")).startswith("memory:")


def queue_sender_of(queue: Queue, option: Sender | str | None) -> Sender | None:
    """Return the sender to the queue itself, to which delayed copies go; None where no address is set."""
    return _sender(queue.variable("URL"), option)


def dead_letters_of(queue: Queue, option: Sender | str | None) -> Sender:
    """Return the sender for dead letters. Raises ConfigError where no address is set."""
    variable = queue.variable("DEAD_LETTER")
    sender = _sender(variable, option)
    if sender is None:
        raise ConfigError(
            f"{variable} is not set: set it to the address for dead letters of queue {queue.name!r}, or"
            " pass dead_letter="
        )
    return sender


def _sender(variable: str, option: Sender | str | None) -> Sender | None:
    if option is None or option == "":
        return from_variable(variable, open_sender)
    return open_sender(option) if isinstance(option, str) else option


def check_apart(queue: Queue, dead_letters: Sender, *own: object) -> None:
    """Raise ConfigError for dead letters that go to the queue itself: each would be delivered again at once, for ever.

    `own`: the `place` of senders to the queue.
    """
    place = place_of(dead_letters)
    if place is not None and place in own:
        raise ConfigError(
            f"queue {queue.name!r}: its dead letters would come back to the queue itself; name another queue in"
            f" {queue.variable('DEAD_LETTER')}, or in dead_letter="
        )


def place_of(sender: Any) -> object:
    """Return a sender's `place`, which identifies its queue; None where it has none."""
    return getattr(sender, "place", None)

"""Where a binding's records, dead letters and delayed copies go: by its options, else by the environment."""

from __future__ import annotations

import os
from typing import Any

from peeklock.errors import ConfigError
from peeklock.idempotency.store import Store
from peeklock.outgoing import Sender
from peeklock.queue import Queue
from peeklock.registry import from_variable, open_sender, open_store


def store_of(option: Store | str | None) -> Store | None:
    """The store; None where there is none."""
    if option is None or option == "":
        return from_variable("PEEKLOCK_STORE", open_store)
    return open_store(option) if isinstance(option, str) else option


def is_in_memory(variable: str, option: object) -> bool:
    """Whether an address says that what it stands for is this process's memory. A test hands over the object instead."""
    return str(option or os.environ.get(variable, "")).startswith("memory:")


def queue_sender_of(queue: Queue, option: Sender | str | None) -> Sender | None:
    """The queue itself, to which delayed copies go; None where nobody says its address."""
    return _sender(queue.variable("URL"), option)


def dead_letters_of(queue: Queue, option: Sender | str | None) -> Sender:
    """Where dead letters go. Raises ConfigError where nobody says so."""
    variable = queue.variable("DEAD_LETTER")
    sender = _sender(variable, option)
    if sender is None:
        raise ConfigError(
            f"{variable} is not set: it holds the address to which dead letters of queue {queue.name!r} go; set it, or"
            " pass dead_letter="
        )
    return sender


def _sender(variable: str, option: Sender | str | None) -> Sender | None:
    if option is None or option == "":
        return from_variable(variable, open_sender)
    return open_sender(option) if isinstance(option, str) else option


def check_apart(queue: Queue, dead_letters: Sender, *own: object) -> None:
    """Raise ConfigError for dead letters that go to the queue itself: each would be delivered again at once, for ever.

    `own`: the queue, as the `place` of its senders says it."""
    place = place_of(dead_letters)
    if place is not None and place in own:
        raise ConfigError(
            f"queue {queue.name!r}: its dead letters would come back to the queue itself; name another queue in"
            f" {queue.variable('DEAD_LETTER')}, or in dead_letter="
        )


def place_of(sender: Any) -> object:
    """Which queue a sender is for, where it can tell."""
    return getattr(sender, "place", None)

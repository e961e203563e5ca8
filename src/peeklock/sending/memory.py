"""Sender to this process's memory, for tests."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from peeklock.errors import SendError
from peeklock.outgoing import OutgoingMessage


class Outbox:
    """Keeps every outgoing message in `outgoing_messages`, in the order of arrival."""

    def __init__(self) -> None:
        self.outgoing_messages: list[OutgoingMessage] = []
        self._lock = threading.Lock()

    def send(self, outgoing_messages: Sequence[OutgoingMessage], /) -> Sequence[SendError | None]:
        with self._lock:
            self.outgoing_messages.extend(outgoing_messages)
        return [None] * len(outgoing_messages)


def from_url(url: str) -> Outbox:
    """Return the outbox of `memory://NAME`. There is one for each process and name."""
    del url
    return Outbox()

"""A queue in memory that only remembers what it was handed."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from peeklock.errors import SendError
from peeklock.outgoing import OutgoingMessage


class Outbox:
    """Takes every outgoing message; `outgoing messages` are in the order of arrival."""

    def __init__(self) -> None:
        self.outgoing_messages: list[OutgoingMessage] = []
        self._lock = threading.Lock()

    def send(self, outgoing_messages: Sequence[OutgoingMessage], /) -> Sequence[SendError | None]:
        with self._lock:
            self.outgoing_messages.extend(outgoing_messages)
        return [None] * len(outgoing_messages)


def from_url(url: str) -> Outbox:
    """`memory://NAME`: one a process and name."""
    del url
    return Outbox()

"""Messages by sequence number, in that order and by session, so that a page of them is found without a look at the rest."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

from peeklock.emulators.servicebus.message import Message

CHUNK = 512
"""Numbers that are kept together: few enough to move when one is put in or taken out."""


class Ordered:
    """Numbers in ascending order, in chunks of at most `CHUNK`; none of the chunks is empty."""

    __slots__ = ("_chunks", "_last")

    def __init__(self) -> None:
        self._chunks: list[list[int]] = []
        self._last: list[int] = []  # the largest number of each chunk

    def __bool__(self) -> bool:
        return bool(self._chunks)

    def add(self, number: int) -> None:
        """Also one that is larger than all others, which is the usual case."""
        at = min(bisect_left(self._last, number), len(self._chunks) - 1)
        if at < 0:
            self._chunks, self._last = [[number]], [number]
            return
        chunk = self._chunks[at]
        insort(chunk, number)
        self._last[at] = chunk[-1]
        if len(chunk) > CHUNK:
            self._split(at)

    def _split(self, at: int) -> None:
        """The last of all chunks stays nearly full: numbers come in ascending order."""
        chunk = self._chunks[at]
        half = len(chunk) - 1 if at == len(self._chunks) - 1 else len(chunk) // 2
        self._chunks[at : at + 1] = [chunk[:half], chunk[half:]]
        self._last[at : at + 1] = [chunk[half - 1], chunk[-1]]

    def remove(self, number: int) -> None:
        """One that is there."""
        at = bisect_left(self._last, number)
        chunk = self._chunks[at]
        del chunk[bisect_left(chunk, number)]
        if chunk:
            self._last[at] = chunk[-1]
        else:
            del self._chunks[at], self._last[at]

    def since(self, start: int) -> Iterator[int]:
        """Return those that are at least `start`. They must not change meanwhile."""
        at = bisect_left(self._last, start)
        if at < len(self._chunks):
            chunk = self._chunks[at]
            yield from chunk[bisect_left(chunk, start) :]
            for later in self._chunks[at + 1 :]:
                yield from later


class Shelf:
    """`messages` is for reading; `add` and `remove` change it."""

    __slots__ = ("_all", "_of_session", "messages")

    def __init__(self) -> None:
        self.messages: dict[int, Message] = {}
        self._all = Ordered()
        self._of_session: dict[str, Ordered] = {}

    def add(self, message: Message) -> None:
        self.messages[message.sequence] = message
        for order in self._orders(message):
            order.add(message.sequence)

    def remove(self, sequence: int) -> Message:
        """Return what had the number. Raises KeyError where nothing had it."""
        message = self.messages.pop(sequence)
        for order in self._orders(message):
            order.remove(sequence)
        session = message.content.session
        if session is not None and not self._of_session[session]:
            del self._of_session[session]
        return message

    def _orders(self, message: Message) -> list[Ordered]:
        session = message.content.session
        return [self._all] if session is None else [self._all, self._of_session.setdefault(session, Ordered())]

    def since(self, start: int, session: str | None = None) -> Iterator[int]:
        """Return the numbers that are at least `start`, of one session or (None) of all messages."""
        order = self._all if session is None else self._of_session.get(session, Ordered())
        return order.since(start)

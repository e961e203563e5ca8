"""Sorted values, of which a page is found without reading the others."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T", int, str)
CHUNK = 512
"""Values in a chunk: few enough to be moved when one is added or removed."""


class Ordered(Generic[T]):
    """Sorted set of values, in chunks of 1 to `CHUNK`."""

    __slots__ = ("_chunks", "_last")

    def __init__(self) -> None:
        self._chunks: list[list[T]] = []
        self._last: list[T] = []  # the largest value of each chunk

    def __bool__(self) -> bool:
        return bool(self._chunks)

    def add(self, value: T) -> None:
        """Add a value that is not in the set yet; usually it is the largest."""
        at = min(bisect_left(self._last, value), len(self._chunks) - 1)
        if at < 0:
            self._chunks, self._last = [[value]], [value]
            return
        chunk = self._chunks[at]
        insort(chunk, value)
        self._last[at] = chunk[-1]
        if len(chunk) > CHUNK:
            self._split(at)

    def _split(self, at: int) -> None:
        """Split a chunk in halves. The last chunk stays nearly full instead, since most values come in ascending order."""
        chunk = self._chunks[at]
        half = len(chunk) - 1 if at == len(self._chunks) - 1 else len(chunk) // 2
        self._chunks[at : at + 1] = [chunk[:half], chunk[half:]]
        self._last[at : at + 1] = [chunk[half - 1], chunk[-1]]

    def remove(self, value: T) -> None:
        """Remove a value that is in the set."""
        at = bisect_left(self._last, value)
        chunk = self._chunks[at]
        del chunk[bisect_left(chunk, value)]
        if chunk:
            self._last[at] = chunk[-1]
        else:
            del self._chunks[at], self._last[at]

    def since(self, start: T) -> Iterator[T]:
        """Yield the values from `start` on. The set must not change meanwhile."""
        at = bisect_left(self._last, start)
        if at < len(self._chunks):
            chunk = self._chunks[at]
            yield from chunk[bisect_left(chunk, start) :]
            for later in self._chunks[at + 1 :]:
                yield from later

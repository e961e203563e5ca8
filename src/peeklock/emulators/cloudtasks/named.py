"""Queues or tasks by name, which can be listed from any name on: a page takes no longer where there are many."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
SHELF = 512
"""Names that stand together, and move when one is put between them."""


class Named(Generic[T]):
    """A dict in the order of creation, which can also be read in the order of its names: `after`."""

    __slots__ = ("_held", "_lasts", "_shelves")

    def __init__(self) -> None:
        self._held: dict[str, T] = {}
        self._shelves: list[list[str]] = []
        self._lasts: list[str] = []
        """The last name of each shelf."""

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __contains__(self, name: str) -> bool:
        return name in self._held

    def __getitem__(self, name: str) -> T:
        return self._held[name]

    def get(self, name: str) -> T | None:
        return self._held.get(name)

    def values(self) -> list[T]:
        return list(self._held.values())

    def clear(self) -> None:
        self._held.clear()
        self._shelves.clear()
        self._lasts.clear()

    def add(self, name: str, item: T) -> None:
        """Put in one whose name is new."""
        self._held[name] = item
        if not self._shelves:
            self._shelves.append([])
            self._lasts.append(name)
        at = min(bisect_left(self._lasts, name), len(self._lasts) - 1)
        shelf = self._shelves[at]
        insort(shelf, name)
        self._lasts[at] = shelf[-1]
        if len(shelf) > SHELF:
            self._shelves.insert(at, shelf[: SHELF // 2])
            self._lasts.insert(at, shelf[SHELF // 2 - 1])
            del shelf[: SHELF // 2]

    def pop(self, name: str) -> T:
        """Take out the one of this name. Raises KeyError."""
        item = self._held.pop(name)
        at = bisect_left(self._lasts, name)
        shelf = self._shelves[at]
        del shelf[bisect_left(shelf, name)]
        if shelf:
            self._lasts[at] = shelf[-1]
        else:
            del self._shelves[at], self._lasts[at]
        return item

    def after(self, name: str) -> Iterator[T]:
        """Yield those whose names come after this one, by name."""
        at = bisect_right(self._lasts, name)
        start = bisect_right(self._shelves[at], name) if at < len(self._shelves) else 0
        for shelf in self._shelves[at:]:
            for number in range(start, len(shelf)):
                yield self._held[shelf[number]]
            start = 0

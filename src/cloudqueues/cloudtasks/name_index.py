"""Queues or tasks by name, which can be listed from any name on: a page takes no longer where there are many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from cloudqueues.ordered import Ordered

T = TypeVar("T")


class NameIndex(Generic[T]):
    """As a dict, in the order of creation; `after` has the order of the names."""

    __slots__ = ("_held", "_order")

    def __init__(self) -> None:
        self._held: dict[str, T] = {}
        self._order = Ordered[str]()

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
        self._order = Ordered[str]()

    def add(self, name: str, item: T) -> None:
        """Put a new one in."""
        self._held[name] = item
        self._order.add(name)

    def pop(self, name: str) -> T:
        """Take one out. Raises KeyError."""
        item = self._held.pop(name)
        self._order.remove(name)
        return item

    def after(self, name: str) -> Iterator[T]:
        """Those whose names come after this one, by name."""
        return (self._held[one] for one in self._order.since(name) if one != name)

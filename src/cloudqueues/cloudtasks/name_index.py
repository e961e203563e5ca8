"""Index of queues or tasks by name, which lists from any name on: a page takes no longer where there are many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from cloudqueues.ordered import Ordered

T = TypeVar("T")


class NameIndex(Generic[T]):
    """Dict in the order of creation, whose `after` has the order of the names."""

    __slots__ = ("_items", "_order")

    def __init__(self) -> None:
        self._items: dict[str, T] = {}
        self._order = Ordered[str]()

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __contains__(self, name: str) -> bool:
        return name in self._items

    def __getitem__(self, name: str) -> T:
        return self._items[name]

    def get(self, name: str) -> T | None:
        return self._items.get(name)

    def values(self) -> list[T]:
        return list(self._items.values())

    def clear(self) -> None:
        self._items.clear()
        self._order = Ordered[str]()

    def add(self, name: str, item: T) -> None:
        """Add a new item."""
        self._items[name] = item
        self._order.add(name)

    def pop(self, name: str) -> T:
        """Remove and return an item. Raises KeyError."""
        item = self._items.pop(name)
        self._order.remove(name)
        return item

    def after(self, name: str) -> Iterator[T]:
        """Return the items whose names come after this one, by name."""
        return (self._items[other] for other in self._order.since(name) if other != name)

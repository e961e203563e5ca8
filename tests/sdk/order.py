"""Order in which the SDK's own tests start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest
from typing import Protocol, TypeVar


class Item(Protocol):
    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Item)


def slow_first(items: Iterable[T], names: Sequence[str]) -> list[T]:
    """Return all items, in turn a slow one and a quick one as long as there are both. The slow ones are those of `names`,
    in its order.

    xdist begins with two tests for each worker, so that each of the slow ones comes first in a worker.
    """
    items = list(items)
    slow = sorted((item for item in items if _function(item) in names), key=lambda item: names.index(_function(item)))
    quick = [item for item in items if _function(item) not in names]
    return [item for item in chain.from_iterable(zip_longest(slow, quick)) if item is not None]


def _function(item: Item) -> str:
    return item.name.partition("[")[0]

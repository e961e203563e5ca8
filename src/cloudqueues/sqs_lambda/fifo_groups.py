"""Order of FIFO groups: one batch of a group at a time, in the order of their receives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager


class FifoGroups:
    """Keeps batches of one group apart where SQS no longer does.

    SQS delivers no message of a group while others of it are locked. Locks may end while their batch still runs, as when a
    function makes its messages visible.
    """

    def __init__(self) -> None:
        self._last: dict[str, asyncio.Event] = {}

    @asynccontextmanager
    async def exclusive(self, groups: Iterable[str]) -> AsyncGenerator[None, None]:
        """Wait for earlier batches of these groups, and hold the groups within the context."""
        mine = frozenset(groups)
        over = asyncio.Event()
        earlier = [self._last[group] for group in mine if group in self._last]
        self._last |= dict.fromkeys(mine, over)
        try:
            for batch_ended in earlier:
                await batch_ended.wait()
            yield
        finally:
            over.set()
            self._last = {group: last for group, last in self._last.items() if last is not over}

"""FIFO groups: one batch of a group at a time, in the order in which they came from the queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager


class FifoGroups:
    """SQS itself lends no more messages of a group while some are out. That ends when the locks do, as when a function
    makes its messages visible while it still runs; from there on it is kept here."""

    def __init__(self) -> None:
        self._last: dict[str, asyncio.Event] = {}

    @asynccontextmanager
    async def exclusive(self, groups: Iterable[str]) -> AsyncGenerator[None, None]:
        """Waits for the batches of these groups that came here earlier."""
        mine = frozenset(groups)
        over = asyncio.Event()
        earlier = [self._last[group] for group in mine if group in self._last]
        self._last |= dict.fromkeys(mine, over)
        try:
            for one in earlier:
                await one.wait()
            yield
        finally:
            over.set()
            self._last = {group: last for group, last in self._last.items() if last is not over}

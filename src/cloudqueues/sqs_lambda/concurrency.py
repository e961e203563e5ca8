"""Concurrency of an event source mapping.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html: five at first, and while messages remain up to
300 more a minute, to the maximum concurrency.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

FIRST = 5
PER_SECOND = 300 / 60
_LOOK_AGAIN = 1 / PER_SECOND


class ConcurrencyLimit:
    """Limit on the batches under way, which grows while messages remain.

    `most` is the maximum; `clock` returns monotonic seconds.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.most = most
        self.taken = 0
        self._clock = clock
        self._busy_since: float | None = None
        self._freed = asyncio.Event()

    def limit(self) -> int:
        """Return the number of batches that may be under way now."""
        grown = 0.0 if self._busy_since is None else (self._clock() - self._busy_since) * PER_SECOND
        return min(FIRST + int(grown), self.most)

    async def acquire(self) -> None:
        """Wait until another batch may start. The limit grows from the first wait on."""
        while self.taken >= self.limit():
            if self._busy_since is None:
                self._busy_since = self._clock()
            await self._change()
        self.taken += 1

    async def _change(self) -> None:
        self._freed.clear()
        try:
            await asyncio.wait_for(self._freed.wait(), None if self.limit() == self.most else _LOOK_AGAIN)
        except TimeoutError:
            return

    def release(self) -> None:
        self.taken -= 1
        self._freed.set()

    def drained(self) -> None:
        """Reset the growth of the limit, since the queue was empty."""
        self._busy_since = None

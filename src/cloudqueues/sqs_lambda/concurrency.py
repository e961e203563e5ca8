"""How many batches may be under way.

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
    """`most`: the maximum. `clock`: seconds, never back."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.most = most
        self.taken = 0
        self._clock = clock
        self._busy_since: float | None = None
        self._freed = asyncio.Event()

    def limit(self) -> int:
        """How many may be taken now."""
        grown = 0.0 if self._busy_since is None else (self._clock() - self._busy_since) * PER_SECOND
        return min(FIRST + int(grown), self.most)

    async def take(self) -> None:
        """Waits until there is one. The others grow in number from the first wait on."""
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

    def free(self) -> None:
        self.taken -= 1
        self._freed.set()

    def drained(self) -> None:
        """The queue had nothing: growth starts anew."""
        self._busy_since = None

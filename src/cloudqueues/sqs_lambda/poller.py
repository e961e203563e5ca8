"""Polling: receives of ten messages, gathered into batches like those of an event source mapping."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence

from cloudqueues.faults import Faults
from cloudqueues.quotas.aws import ENTRIES
from cloudqueues.sqs_lambda.events import ReceivedMessage, fitting
from cloudqueues.sqs_lambda.queue import Queue, QueueError
from cloudqueues.sqs_lambda.settings import Settings

FIRST_PAUSE, LAST_PAUSE = 0.02, 0.2
"""Seconds between receives of an empty queue, longer the longer it is empty. AWS uses long polls instead; see
Queue.receive."""

PAUSE_AFTER_ERROR = 0.5

logger = logging.getLogger("cloudqueues.sqs_lambda")


def pauses() -> Iterator[float]:
    """Yield longer and longer pauses, up to the last."""
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(pause * 1.5, LAST_PAUSE)


class Poller:
    """Source of batches. It calls `drained` whenever the queue is empty."""

    def __init__(
        self, queue: Queue, settings: Settings, faults: Callable[[], Faults], drained: Callable[[], None]
    ) -> None:
        self._queue = queue
        self._settings = settings
        self._faults = faults
        self._drained = drained
        self._carried: list[ReceivedMessage] = []
        self._late: list[ReceivedMessage] = []
        self._failing = False
        self._pauses = pauses()

    @property
    def holds(self) -> bool:
        """True while messages were received that are in no batch yet."""
        return bool(self._carried or self._late)

    def again(self, messages: Sequence[ReceivedMessage]) -> None:
        """Deliver these messages too: duplicates that fault injection made."""
        self._take(messages)

    def _take(self, messages: Sequence[ReceivedMessage]) -> None:
        self._carried = [*self._carried, *messages]

    async def batch(self) -> list[ReceivedMessage]:
        """Return the next batch: wait for a first message, and then until the window has passed or the batch is full."""
        loop = asyncio.get_running_loop()
        while not self._carried:
            self._take(await self._receive(self._settings.batch_size))
        until = loop.time() + self._settings.window.total_seconds()
        while (room := self._room()) and loop.time() < until:
            self._take(await self._receive(room, until))
        n = fitting(self._carried, self._settings.batch_size)
        taken, self._carried = self._carried[:n], self._carried[n:]
        return taken

    def _room(self) -> int:
        """Return how many more messages fit into the batch."""
        most = self._settings.batch_size
        held = len(self._carried)
        return most - held if fitting(self._carried, most) == held else 0

    async def _receive(self, most: int, until: float = float("inf")) -> list[ReceivedMessage]:
        """Return messages for the function; where there are none, pause, but not past `until`."""
        try:
            messages = await self._queue.receive(min(most, ENTRIES))
            kept = await self._filtered(messages)
        except QueueError as exc:
            self._warn(exc)
            await asyncio.sleep(PAUSE_AFTER_ERROR)
            return []
        self._failing = False
        if messages:
            self._pauses = pauses()
            return self._reordered(kept)
        self._drained()
        late, self._late = self._late, []
        if not late:
            await self._rest(until)
        return late

    async def _rest(self, until: float) -> None:
        await asyncio.sleep(max(min(next(self._pauses), until - asyncio.get_running_loop().time()), 0))

    def _warn(self, exc: QueueError) -> None:
        """Log the first of several errors in a row."""
        if not self._failing:
            logger.warning("polling fails, and goes on: %s", exc)
        self._failing = True

    async def _filtered(self, messages: Sequence[ReceivedMessage]) -> list[ReceivedMessage]:
        """Return the messages that match the filters, and delete the others, as AWS does."""
        kept = [message for message in messages if self._settings.filters.match(message.record)]
        unwanted = [message for message in messages if message not in kept]
        if unwanted:
            await self._queue.delete(unwanted)
        return kept

    def _reordered(self, messages: list[ReceivedMessage]) -> list[ReceivedMessage]:
        """Hold back the messages that a fault makes late, and add those that were held back before."""
        if self._settings.fifo:
            return messages
        faults = self._faults()
        late = [message for message in messages if faults.hits("reorder", *message.delivery)]
        before, self._late = self._late, late
        return [message for message in messages if message not in late] + before

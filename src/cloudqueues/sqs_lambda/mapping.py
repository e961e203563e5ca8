"""The event source mapping: batches from the queue to the function, and what the function says back to the queue."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from cloudqueues.faults import Faults
from cloudqueues.sqs_lambda.batch_response import BadResponseError, failed_ids
from cloudqueues.sqs_lambda.concurrency import ConcurrencyLimit
from cloudqueues.sqs_lambda.events import ReceivedMessage, delivered_again, event
from cloudqueues.sqs_lambda.fifo_groups import FifoGroups
from cloudqueues.sqs_lambda.poller import Poller, pauses
from cloudqueues.sqs_lambda.queue import Queue, QueueError
from cloudqueues.sqs_lambda.sandbox import SandboxRun
from cloudqueues.sqs_lambda.sandbox_pool import SandboxPool
from cloudqueues.sqs_lambda.settings import Settings

KILL_WITHIN = 0.1
"""Seconds into a handler at which a fault's SIGKILL comes at the latest."""

logger = logging.getLogger("cloudqueues.sqs_lambda")

InvocationOutcome = Literal["success", "partial", "failed", "error", "timeout", "exit", "killed", "init"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One call of the function."""

    request_id: str
    message_ids: tuple[str, ...]
    """Of its batch, in order."""
    failed_ids: tuple[str, ...]
    """Those that come back to the queue."""
    started: datetime
    duration: timedelta
    """Of the handler, without the start of its environment."""
    cold_start: timedelta | None
    """What that start took; None for a warm one, and for one that failed."""
    outcome: InvocationOutcome
    """`success`: all deleted. `partial`: some reported as failed. `failed`: all of them, or an answer that says nothing.
    `error`: the handler raised. `timeout`, `exit`, `killed`: its process ended. `init`: it could not be loaded."""
    error: str | None
    """What the function or AWS would say of it."""
    undeleted: tuple[str, ...]
    """Messages that were done and that SQS did not delete, with its reasons."""


class EventSourceMapping:
    """Runs until `close`. `told` hears of each invocation when its messages are settled."""

    def __init__(
        self,
        queue: Queue,
        settings: Settings,
        fleet: SandboxPool,
        *,
        faults: Callable[[], Faults],
        told: Callable[[Invocation], None],
    ) -> None:
        self._queue = queue
        self._settings = settings
        self._sandboxes = fleet
        self._faults = faults
        self._told = told
        self._concurrency = ConcurrencyLimit(settings.concurrency)
        self._poller = Poller(queue, settings, faults, self._concurrency.drained)
        self._fifo_groups = FifoGroups()
        self._failed_at: dict[str, float] = {}
        """By group: when a batch of it failed last, in monotonic seconds."""
        self._under_way: set[asyncio.Task[None]] = set()
        self._begun = 0
        self._polling = asyncio.create_task(self._poll())
        self._polling.add_done_callback(_complain)

    async def close(self) -> None:
        """Nothing is settled any more: messages under way come back when their locks end."""
        tasks = {self._polling, *self._under_way}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._sandboxes.close()

    async def idle(self) -> None:
        """Returns once the queue is empty and nothing is under way. Raises what ended the polling, if it ended."""
        for pause in pauses():
            if self._polling.done():
                self._polling.result()
            begun = self._begun
            if not self._busy() and await self._empty() and not self._busy() and begun == self._begun:
                return
            await self._something(pause)

    def _busy(self) -> bool:
        return bool(self._under_way) or self._poller.holds

    async def _empty(self) -> bool:
        try:
            return await self._queue.empty()
        except QueueError:
            return False

    async def _something(self, pause: float) -> None:
        """Until an invocation ends; while there is none, for a moment, since SQS tells nobody when a lock ends."""
        if self._under_way:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(pause)

    async def _poll(self) -> None:
        while True:
            await self._concurrency.take()
            batch = await self._poller.batch()
            self._begun += 1
            task = asyncio.create_task(self._deliver(batch))
            self._under_way.add(task)
            task.add_done_callback(self._delivered)

    def _delivered(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._concurrency.free()
        _complain(task)

    async def _deliver(self, batch: Sequence[ReceivedMessage]) -> None:
        async with self._fifo_groups.exclusive(self._groups(batch)):
            batch = await self._in_order(batch)
            if not batch:
                return
            await self._lose_locks(batch)
            request_id, started = str(uuid.uuid4()), datetime.now(UTC)
            run, cold = await self._sandboxes.invoke(request_id, event(batch), self._kill_after(batch))
            await self._hold_back(batch)
            outcome, failed, error = self._judge(run, batch)
            undeleted = await self._settle([one for one in batch if one.id not in failed])
            self._failed_at |= dict.fromkeys(self._groups([one for one in batch if one.id in failed]), time.monotonic())
        self._duplicate([one for one in batch if not (self._settings.fifo and one.id in failed)])
        self._told(
            Invocation(
                request_id=request_id,
                message_ids=tuple(one.id for one in batch),
                failed_ids=tuple(one.id for one in batch if one.id in failed),
                started=started,
                duration=timedelta(seconds=run.duration),
                cold_start=None if cold is None else timedelta(seconds=cold),
                outcome=outcome,
                error=error,
                undeleted=tuple(undeleted),
            )
        )

    def _groups(self, batch: Sequence[ReceivedMessage]) -> set[str]:
        """On a standard queue a group asks for fairness, and nothing waits."""
        return {one.group for one in batch if one.group is not None} if self._settings.fifo else set()

    async def _in_order(self, batch: Sequence[ReceivedMessage]) -> Sequence[ReceivedMessage]:
        """Without those of a group that came from the queue before an earlier batch of it failed: they go back, behind
        what failed. So it is when one receive is more than a batch."""
        passed = [one for one in batch if not one.again and one.at < self._failed_at.get(one.group or "", 0)]
        for one in passed:
            await self._release(one)
        return [one for one in batch if one not in passed]

    def _judge(
        self, run: SandboxRun, batch: Sequence[ReceivedMessage]
    ) -> tuple[InvocationOutcome, set[str], str | None]:
        ids = [one.id for one in batch]
        if run.ending != "answered":
            return run.ending, set(ids), run.error
        if not self._settings.report_failures:
            return "success", set(), None
        try:
            failed = failed_ids(run.answer, ids)
        except BadResponseError as exc:
            return "failed", set(ids), str(exc)
        if not failed:
            return "success", failed, None
        return ("failed" if failed.issuperset(ids) else "partial"), failed, None

    async def _settle(self, done: Sequence[ReceivedMessage]) -> list[str]:
        """Delete them. What cannot be deleted comes back when its lock ends."""
        faults = self._faults()
        kept = [one for one in done if faults.hits("drop", *one.delivery)]
        undeleted = [f"{one.id}: kept by a fault" for one in kept]
        try:
            return undeleted + await self._queue.delete([one for one in done if one not in kept])
        except QueueError as exc:
            logger.warning("%d messages are done and not deleted: %s", len(done), exc)
            return [f"{one.id}: not deleted" for one in done]

    async def _lose_locks(self, batch: Sequence[ReceivedMessage]) -> None:
        faults = self._faults()
        for one in batch:
            if not one.again and faults.hits("lose_lock", *one.delivery):
                await self._release(one)

    async def _release(self, one: ReceivedMessage) -> None:
        try:
            await self._queue.release(one)
        except QueueError as exc:
            logger.info("a lock was over before it could be ended: %s", exc)

    async def _hold_back(self, batch: Sequence[ReceivedMessage]) -> None:
        """The answer reaches the mapping late."""
        faults = self._faults()
        if faults.hits("delay", *batch[0].delivery):
            await asyncio.sleep(faults.delay_s * faults.draw("delay_by", *batch[0].delivery))

    def _kill_after(self, batch: Sequence[ReceivedMessage]) -> float | None:
        faults = self._faults()
        if not faults.hits("kill", *batch[0].delivery):
            return None
        return KILL_WITHIN * faults.draw("kill_at", *batch[0].delivery)

    def _duplicate(self, batch: Sequence[ReceivedMessage]) -> None:
        """After it was settled, so also after it was completed. In a group only then: what failed keeps its place."""
        faults = self._faults()
        hit = [one for one in batch if not one.again and faults.hits("duplicate", *one.delivery)]
        self._poller.again([delivered_again(one) for one in hit])


def _complain(task: asyncio.Task[None]) -> None:
    """Of a mistake in the emulator itself: whatever the task held is lost until its locks end."""
    if not task.cancelled() and task.exception() is not None:
        logger.error("the event source mapping failed", exc_info=task.exception())

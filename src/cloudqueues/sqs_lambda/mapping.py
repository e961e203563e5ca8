"""The event source mapping: batches from the queue to the function, and the function's results back to the queue."""

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
    """Call of the function."""

    request_id: str
    message_ids: tuple[str, ...]
    """Messages of the batch, in order."""
    failed_ids: tuple[str, ...]
    """Messages that come back to the queue."""
    started: datetime
    duration: timedelta
    """Duration of the handler, without the start of its environment."""
    cold_start: timedelta | None
    """Duration of the environment's start; None for a warm environment, and for a start that failed."""
    outcome: InvocationOutcome
    """`success`: all deleted. `partial`: some reported as failed. `failed`: all of them, or an answer that says nothing.
    `error`: the handler raised. `timeout`, `exit`, `killed`: its process ended. `init`: it could not be loaded."""
    error: str | None
    """Error of the function, or of AWS."""
    undeleted: tuple[str, ...]
    """Messages that succeeded and that SQS did not delete, with its reasons."""


class EventSourceMapping:
    """Runs until `close`. `on_ended` is called with each invocation once its messages are settled."""

    def __init__(
        self,
        queue: Queue,
        settings: Settings,
        sandboxes: SandboxPool,
        *,
        faults: Callable[[], Faults],
        on_ended: Callable[[Invocation], None],
    ) -> None:
        self._queue = queue
        self._settings = settings
        self._sandboxes = sandboxes
        self._faults = faults
        self._on_ended = on_ended
        self._concurrency = ConcurrencyLimit(settings.concurrency)
        self._poller = Poller(queue, settings, faults, self._concurrency.drained)
        self._fifo_groups = FifoGroups()
        self._failed_at: dict[str, float] = {}
        """Time of a group's last failed batch, in monotonic seconds."""
        self._under_way: set[asyncio.Task[None]] = set()
        self._begun = 0
        self._polling = asyncio.create_task(self._poll())
        self._polling.add_done_callback(_complain)

    async def close(self) -> None:
        """Stop, and settle nothing more: messages under way come back when their locks end."""
        tasks = {self._polling, *self._under_way}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._sandboxes.close()

    async def idle(self) -> None:
        """Wait until the queue is empty and nothing is under way. Raises the error that ended the polling, if there is one."""
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
            await self._concurrency.acquire()
            batch = await self._poller.batch()
            self._begun += 1
            task = asyncio.create_task(self._deliver(batch))
            self._under_way.add(task)
            task.add_done_callback(self._delivered)

    def _delivered(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._concurrency.release()
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
            undeleted = await self._settle([message for message in batch if message.id not in failed])
            self._failed_at |= dict.fromkeys(
                self._groups([message for message in batch if message.id in failed]), time.monotonic()
            )
        self._duplicate([message for message in batch if not (self._settings.fifo and message.id in failed)])
        self._on_ended(
            Invocation(
                request_id=request_id,
                message_ids=tuple(message.id for message in batch),
                failed_ids=tuple(message.id for message in batch if message.id in failed),
                started=started,
                duration=timedelta(seconds=run.duration),
                cold_start=None if cold is None else timedelta(seconds=cold),
                outcome=outcome,
                error=error,
                undeleted=tuple(undeleted),
            )
        )

    def _groups(self, batch: Sequence[ReceivedMessage]) -> set[str]:
        """Return the groups whose batches must wait for each other: none on a standard queue, where groups mean fairness."""
        return {message.group for message in batch if message.group is not None} if self._settings.fifo else set()

    async def _in_order(self, batch: Sequence[ReceivedMessage]) -> Sequence[ReceivedMessage]:
        """Without those of a group that came from the queue before an earlier batch of it failed: they go back, behind
        what failed. So it is when one receive is more than a batch."""
        passed = [
            message
            for message in batch
            if not message.again and message.at < self._failed_at.get(message.group or "", 0)
        ]
        for message in passed:
            await self._release(message)
        return [message for message in batch if message not in passed]

    def _judge(
        self, run: SandboxRun, batch: Sequence[ReceivedMessage]
    ) -> tuple[InvocationOutcome, set[str], str | None]:
        ids = [message.id for message in batch]
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
        """Delete messages, and return those that were not deleted, which come back when their locks end."""
        faults = self._faults()
        kept = [message for message in done if faults.hits("drop", *message.delivery)]
        undeleted = [f"{message.id}: kept by a fault" for message in kept]
        try:
            return undeleted + await self._queue.delete([message for message in done if message not in kept])
        except QueueError as exc:
            logger.warning("%d messages are done and not deleted: %s", len(done), exc)
            return [f"{message.id}: not deleted" for message in done]

    async def _lose_locks(self, batch: Sequence[ReceivedMessage]) -> None:
        faults = self._faults()
        for message in batch:
            if not message.again and faults.hits("lose_lock", *message.delivery):
                await self._release(message)

    async def _release(self, message: ReceivedMessage) -> None:
        try:
            await self._queue.release(message)
        except QueueError as exc:
            logger.info("a lock was over before it could be ended: %s", exc)

    async def _hold_back(self, batch: Sequence[ReceivedMessage]) -> None:
        """Delay the function's response by fault injection."""
        faults = self._faults()
        if faults.hits("delay", *batch[0].delivery):
            await asyncio.sleep(faults.delay_s * faults.draw("delay_by", *batch[0].delivery))

    def _kill_after(self, batch: Sequence[ReceivedMessage]) -> float | None:
        faults = self._faults()
        if not faults.hits("kill", *batch[0].delivery):
            return None
        return KILL_WITHIN * faults.draw("kill_at", *batch[0].delivery)

    def _duplicate(self, batch: Sequence[ReceivedMessage]) -> None:
        """Deliver messages again by fault injection, after they were settled."""
        faults = self._faults()
        hit = [message for message in batch if not message.again and faults.hits("duplicate", *message.delivery)]
        self._poller.again([delivered_again(message) for message in hit])


def _complain(task: asyncio.Task[None]) -> None:
    """Log a bug of the emulator, by which the messages of a task are lost until their locks end."""
    if not task.cancelled() and task.exception() is not None:
        logger.error("the event source mapping failed", exc_info=task.exception())

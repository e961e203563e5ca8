"""The driver for `async def` handlers, on the event loop that is running. Apart, since asyncio costs a cold start."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from peeklock.call import Errors, call_async
from peeklock.crew import next_job, pool, timed_out
from peeklock.desk import Results, take_round
from peeklock.drive import NO_SLOT
from peeklock.item import Item
from peeklock.plan import Plan, Window
from peeklock.schedule import Schedule

GRACE = 0.5
"""Seconds that a cancelled coroutine has to end before its slot counts as taken for good."""


class Loop:
    """Drives `async def` handlers on the running event loop."""

    def __init__(self, schedule: Schedule, plan: Plan, window: Window) -> None:
        self.schedule = schedule
        self.plan = plan
        self.window = window
        self.desk: asyncio.Future[Results] | None = None
        self.running: dict[asyncio.Future[Errors], tuple[Sequence[Item], float]] = {}
        self.cancelled: dict[asyncio.Future[Errors], tuple[Sequence[Item], float]] = {}
        self.runaways: dict[asyncio.Future[Errors], Sequence[Item]] = {}

    async def drive(self) -> None:
        """Until each message has its outcome."""
        schedule = self.schedule
        try:
            while schedule.unfinished:
                started = self._start()
                self._do_io()  # after it, since what cannot be started any more is given back
                if started:
                    continue
                if self.running or self.cancelled or self.desk is not None:
                    await self._wait()
                elif schedule.ready:
                    schedule.halt_ready(NO_SLOT)
                else:
                    schedule.next_suspect()
        finally:
            for task in (*self.running, *self.cancelled):
                task.cancel()

    def _do_io(self) -> None:
        if self.desk is None:
            io: Callable[[], Results] | None = take_round(self.schedule, self.plan, self.window)
            if io is not None:
                self.desk = asyncio.get_running_loop().run_in_executor(pool(), io)

    def _start(self) -> bool:
        started = False
        timeout = self.plan.queue.timeout.total_seconds()
        while self._free() and (items := next_job(self.schedule, self.plan, io_waits=self._waits())):
            started = True
            self.running[asyncio.ensure_future(call_async(self.plan, items))] = (items, time.monotonic() + timeout)
        return started

    def _free(self) -> bool:
        taken = len(self.running) + len(self.cancelled) + sum(not task.done() for task in self.runaways)
        return taken < self.plan.parallel

    def _waits(self) -> bool:
        return self.desk is not None or bool(self.running) or bool(self.cancelled)

    async def _wait(self) -> None:
        now = time.monotonic()
        dues = [due for _, due in (*self.running.values(), *self.cancelled.values())]
        patience = None if not dues else max(min(dues) - now, 0.0)
        waiting: set[asyncio.Future[object]] = {*self.running, *self.cancelled}  # type: ignore[arg-type] # invariance
        if self.desk is not None:
            waiting.add(self.desk)  # type: ignore[arg-type] # invariance
        await asyncio.wait(waiting, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if self.desk is not None and self.desk.done():
            results, self.desk = self.desk.result(), None
            for item, result in results:
                self.schedule.advance(item, result)
        self._collect(time.monotonic())

    def _collect(self, now: float) -> None:
        for task, (items, due) in list(self.running.items()):
            if task.done():
                self._ended(items, task.result())
            elif due <= now:
                task.cancel()
                self.cancelled[task] = (items, now + GRACE)
            else:
                continue
            del self.running[task]
        for task, (items, due) in list(self.cancelled.items()):
            if task.done():
                self._ended(items, [self._after_cancel(error) for error in task.result()])
            elif due <= now:
                self.runaways[task] = items
                self._ended(items, [timed_out(self.plan, "and does not let itself be cancelled")] * len(items))
            else:
                continue
            del self.cancelled[task]

    def _after_cancel(self, error: BaseException | None) -> BaseException | None:
        """A handler that ended all the same has ended; one that was stopped has not."""
        stopped = isinstance(error, asyncio.CancelledError)
        return timed_out(self.plan, "cancelled") if stopped else error

    def _ended(self, items: Sequence[Item], errors: Errors) -> None:
        for item, error in zip(items, errors, strict=True):
            self.schedule.advance(item, error)

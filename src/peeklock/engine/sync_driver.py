"""Driver for synchronous handlers. It performs the effects of lifecycles, and makes no decisions."""

from __future__ import annotations

from collections.abc import Iterable
from queue import Empty, SimpleQueue
from typing import Any

from peeklock.engine.delivery import Delivery
from peeklock.engine.effects import EffectRunner
from peeklock.engine.executors import NO_SLOT, Executor
from peeklock.engine.scheduler import Schedule


class SyncDriver:
    """Drives the lifecycles of an event whose handler is synchronous."""

    def __init__(
        self, schedule: Schedule, effects: EffectRunner, executor: Executor, inbox: SimpleQueue[object]
    ) -> None:
        self.schedule = schedule
        self.effects = effects
        self.executor = executor
        self.inbox = inbox
        """Wakes the driver when a thread has finished something. The entries themselves are ignored."""

    def drive(self) -> None:
        """Run until each message has its outcome."""
        schedule, executor, effects = self.schedule, self.executor, self.effects
        while schedule.unfinished:
            if schedule.changes or schedule.sends:
                self._do_io()
            if executor.work(schedule, io_waits=effects.busy):
                continue
            if executor.may_take_more and not self._waits() and schedule.admit_more():
                continue
            if executor.busy or effects.busy:
                self._wait()
            elif schedule.unfinished and not self._waits():
                schedule.unblock(NO_SLOT, alone=not executor.has_runaways)

    def _waits(self) -> bool:
        """Return whether results of the store or the queues are pending, which may allow more messages to run."""
        return bool(self.effects.busy or self.schedule.changes or self.schedule.sends)

    def _do_io(self) -> None:
        """Start waiting effects in other threads, because they may hang. Effects added during a flush wait for the next."""
        futures, results = self.effects.start()
        for future in futures:
            future.add_done_callback(self.inbox.put)
        self._advance(results)

    def _wait(self) -> None:
        ended, wait_time = self.executor.collect()
        results = self.effects.collect()
        if not ended and not results:
            self._sleep(wait_time)
            return
        for deliveries, errors in ended:
            self._advance(zip(deliveries, errors, strict=True))
        self._advance(results)

    def _sleep(self, wait_time: float | None) -> None:
        left = self.effects.left()
        if left is not None:
            wait_time = left if wait_time is None else min(wait_time, left)
        try:
            self.inbox.get(timeout=wait_time)
        except Empty:
            return

    def _advance(self, results: Iterable[tuple[Delivery, Any]]) -> None:
        for delivery, result in results:
            self.schedule.advance(delivery, result)

"""Executor that runs handlers in a pool of threads."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any

from peeklock.concurrency.interrupt import LOOK_AGAIN, Interrupted, Target
from peeklock.concurrency.thread_pool import Retire
from peeklock.concurrency.timer import Timer, running
from peeklock.engine.bound_consumer import BoundConsumer, Deadline
from peeklock.engine.delivery import Delivery, Halted
from peeklock.engine.executors import NO_ROOM, NO_SLOT, Job
from peeklock.engine.invocation import (
    CallResult,
    Errors,
    arguments_of,
    attempt,
    errors_of,
    time_of,
    timed_out,
)
from peeklock.engine.scheduler import Schedule, next_job
from peeklock.observability.guarded import enter_span, exit_span, observer_failed


class Run(Timer):
    """A call of the handler in a thread. It copies what it needs from its deliveries, and reads nothing later."""

    def __init__(self, bound: BoundConsumer, deliveries: Sequence[Delivery], deadline: Deadline) -> None:
        super().__init__(deadline.latest)
        self.deliveries = deliveries
        self.target = Target()
        self.errors: Errors | None = None
        """Set when the handler has ended, possibly before the observer has."""
        self.stopped = False
        """True once its time is over and it has been interrupted."""
        self._bound = bound
        self._deadline = deadline
        self.timeout = time_of(deliveries, deadline)
        self._arguments = arguments_of(bound, deliveries)
        self._message = deliveries[0].message
        self._returned: Any = None
        self._started: float | None = None
        self._duration = 0.0

    def perform(self) -> None:
        """Run the handler, in the thread. Raises Retire if the thread must not be used again."""
        running.set(self)
        self._start()
        span = enter_span(self._bound.observer, self._message)
        error: BaseException | None = None
        self._start()  # again, because the time of an observer does not count
        if self._deadline.may_begin(self._deadline.timeout - self.timeout) and self.target.begin():
            error = self._call()
        if span is not None:
            exit_span(span, self._message, error)
        if self.target.interrupted:
            raise Retire(None)

    def _start(self) -> None:
        self.due = time.monotonic() + self.timeout

    def _call(self) -> BaseException | None:
        self._started = started = time.monotonic()
        ended: CallResult = (None, None)
        with suppress(Interrupted):  # it arrived just as the handler ended
            ended = self.target.call(attempt, self._bound.handler.call, self._arguments)
        self._duration, self._returned = time.monotonic() - started, ended[1]
        if self.target.interrupted:  # it did not run completely, whatever it returned or raised
            ended = (timed_out(self._bound, "interrupted", ended=True), None)
        self.errors = errors_of(self._bound, self.deliveries, ended)
        return ended[0]

    def result(self) -> Errors:
        """Write the results to the deliveries. Return their errors.

        Called by the thread that owns the deliveries, once the handler has ended or can no longer begin.
        """
        if self.errors is None:
            return [Halted(NO_ROOM)] * len(self.deliveries)
        self.deliveries[0].returned = self._returned
        self._set_duration(self._duration)
        return self.errors

    def unfinished(self, now: float) -> Errors:
        """Write the time so far of a handler that does not end to the deliveries. Return their errors."""
        self._set_duration(0.0 if self._started is None else now - self._started)
        return [timed_out(self._bound, "still running", ended=False)] * len(self.deliveries)

    def _set_duration(self, seconds: float) -> None:
        for delivery in self.deliveries:
            delivery.duration = seconds


class PooledExecutor:
    """Runs up to `parallel` handlers in threads.

    A handler that does not end in time is interrupted. If that has no effect, because it blocks in C or swallows the
    interruption, it is kept in `runaways`, and occupies its slot until it ends.
    """

    def __init__(self, bound: BoundConsumer, deadline: Deadline, inbox: SimpleQueue[Any]) -> None:
        self.bound = bound
        self.deadline = deadline
        self.inbox = inbox
        self.running: dict[Future[None], Run] = {}
        self.runaways: dict[Future[None], Run] = {}

    def work(self, schedule: Schedule, *, io_waits: bool) -> bool:
        started = False
        waited = len(schedule.changes) + len(schedule.sends)
        while self._free() and (deliveries := next_job(schedule, self.bound, io_waits=io_waits or bool(self.running))):
            started = True
            run = Run(self.bound, deliveries, self.deadline)
            context = copy_context()
            try:
                future = self.bound.handlers.submit(lambda context=context, run=run: context.run(run.perform))  # type: ignore[misc] # a default binds early
            except TimeoutError:
                for delivery in deliveries:
                    schedule.advance(delivery, Halted(NO_SLOT))
                continue
            self.running[future] = run
            future.add_done_callback(self._ended)
        return started or len(schedule.changes) + len(schedule.sends) > waited

    def _free(self) -> bool:
        taken = len(self.running) + sum(not future.done() for future in self.runaways)
        return taken < self.bound.parallel

    @property
    def busy(self) -> bool:
        return bool(self.running)

    @property
    def may_take_more(self) -> bool:
        return self._free() and not (self.running and self.bound.handler.batch)

    @property
    def has_runaways(self) -> bool:
        return not all(future.done() for future in self.runaways)

    def _ended(self, _: Future[None]) -> None:
        self.inbox.put(self)

    def collect(self) -> tuple[Sequence[Job], float | None]:
        now = time.monotonic()
        jobs: list[Job] = []
        for future, run in list(self.running.items()):
            errors = self._errors(future, run, now)
            if errors is not None:
                del self.running[future]
                jobs.append((run.deliveries, errors))
        return jobs, min((self._wait_time(run, now) for run in self.running.values()), default=None)

    def _left(self, run: Run, now: float) -> float:
        """Return the seconds until a call exceeds its time. One without a thread has to get it while its full time is left."""
        return run.left(now) - (run.timeout if run.due is None else 0.0)

    def _wait_time(self, run: Run, now: float) -> float:
        """Return the seconds until a call has to be looked at. One that begins meanwhile has at least its full time-out."""
        left = self._left(run, now)
        if run.stopped and not run.target.interrupted:
            left = min(left, LOOK_AGAIN)
        return max(min(left, run.timeout) if run.due is None else left, 0.0)

    def _errors(self, future: Future[None], run: Run, now: float) -> Errors | None:
        """Return the errors of a call; None while it may continue."""
        if future.done():
            future.result()
            return run.result()
        if run.stopped:
            run.target.interrupt()
        if self._left(run, now) > 0:
            return None
        if run.target.cancel():  # it is waiting for a thread, or its observer hangs
            self.bound.handlers.give_up(future)
            return run.result()
        return None if run.left(now) > 0 else self._overdue(future, run, now)

    def _overdue(self, future: Future[None], run: Run, now: float) -> Errors | None:
        if run.errors is not None:
            self.bound.handlers.give_up(future)
            observer_failed(self.bound.queue.name, TimeoutError("the end of a span hangs"))
            return run.result()
        if not run.stopped:
            run.stopped = True
            run.due = run.latest = self.deadline.grace(now)
            run.target.interrupt()  # now, because reading another message may delay the next look
            return None
        self.bound.handlers.give_up(future)
        self.runaways[future] = run
        return run.unfinished(now)

    def close(self) -> None:
        """Cancel the calls that have not begun when the event ends."""
        for future, run in self.running.items():
            run.target.cancel()
            self.bound.handlers.give_up(future)

"""Driver for `async def` handlers. A module of its own, because importing asyncio slows down cold starts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from contextvars import copy_context
from typing import Any, TypeVar

from peeklock.concurrency.thread_pool import Pool
from peeklock.concurrency.timer import Timer, running
from peeklock.engine.bound_consumer import BoundConsumer, Deadline
from peeklock.engine.delivery import Delivery, Halted
from peeklock.engine.effects import EffectRunner
from peeklock.engine.executors import NO_ROOM, NO_SLOT
from peeklock.engine.invocation import CallResult, Errors, arguments_of, attempt_async, errors_of, time_of, timed_out
from peeklock.engine.scheduler import Schedule, next_job
from peeklock.observability.guarded import Span, enter_span, exit_span

T = TypeVar("T")


class HandlerTask(Timer):
    """A call of the handler on the event loop. It copies what it needs from its deliveries, and reads nothing later."""

    def __init__(self, bound: BoundConsumer, deliveries: Sequence[Delivery], deadline: Deadline) -> None:
        super().__init__(deadline.latest)
        self.deliveries = deliveries
        self.cancelled = False
        self._bound = bound
        self._deadline = deadline
        self.timeout = time_of(deliveries, deadline)
        self._arguments = arguments_of(bound, deliveries)
        self._message = deliveries[0].message
        self._ended: CallResult = (Halted(NO_ROOM), None)
        self._duration = 0.0

    async def perform(self) -> None:
        """Run the handler, unless its time is over."""
        running.set(self)
        span = enter_span(self._bound.observer, self._message)
        if self._deadline.may_begin(self._deadline.timeout - self.timeout):
            started = time.monotonic()
            self.due = started + self.timeout
            for delivery in self.deliveries:
                delivery.started = started
            try:
                self._ended = await attempt_async(self._bound.handler.call, self._arguments)
            except BaseException as exc:
                self._ended = (exc, None)
                raise
            finally:
                self._duration = time.monotonic() - started
                self._leave(span)
        else:
            self._leave(span)

    def _leave(self, span: Span | None) -> None:
        if span is not None:
            exit_span(span, self._message, self._ended[0])

    def result(self) -> Errors:
        """Write the results to the deliveries. Return their errors."""
        ended = self._ended
        if self.cancelled:  # it did not run completely, whatever it returned or raised
            ended = (timed_out(self._bound, "cancelled", ended=True), None)
        self.deliveries[0].returned = ended[1]
        for delivery in self.deliveries:
            delivery.duration = self._duration
        return errors_of(self._bound, self.deliveries, ended)


class AsyncDriver:
    """Drives the lifecycles of an event whose handler is an `async def`, on the running event loop."""

    def __init__(self, schedule: Schedule, bound: BoundConsumer, deadline: Deadline, effects: EffectRunner) -> None:
        self.schedule = schedule
        self.bound = bound
        self.deadline = deadline
        self.effects = effects
        self.answers: set[asyncio.Future[None]] = set()
        self.running: dict[asyncio.Future[None], HandlerTask] = {}
        self.runaways: dict[asyncio.Future[None], HandlerTask] = {}

    async def drive(self) -> None:
        """Run until each message has its outcome."""
        schedule, effects = self.schedule, self.effects
        try:
            while schedule.unfinished:
                started = self._start()
                self._do_io()  # after starting handlers, because messages that can no longer start are given back
                if started:
                    continue
                if self.running or effects.busy:
                    await self._wait()
                elif schedule.unfinished and not (schedule.changes or schedule.sends):
                    schedule.unblock(NO_SLOT, alone=all(task.done() for task in self.runaways))
        finally:
            for task in self.running:
                task.cancel()

    def _do_io(self) -> None:
        futures, results = self.effects.start()
        self.answers.update(map(asyncio.wrap_future, futures))
        self._advance(results)

    def _start(self) -> bool:
        started = False
        while self._free() and (deliveries := next_job(self.schedule, self.bound, io_waits=self._waits())):
            started = True
            call = HandlerTask(self.bound, deliveries, self.deadline)
            self.running[asyncio.ensure_future(call.perform())] = call
        return started

    def _free(self) -> bool:
        taken = len(self.running) + sum(not task.done() for task in self.runaways)
        return taken < self.bound.parallel

    def _waits(self) -> bool:
        return self.effects.busy or bool(self.running)

    async def _wait(self) -> None:
        waiting: set[asyncio.Future[None]] = {*self.running, *self.answers}
        await asyncio.wait(waiting, timeout=self._wait_time(time.monotonic()), return_when=asyncio.FIRST_COMPLETED)
        self.answers = {answer for answer in self.answers if not answer.done()}
        self._advance(self.effects.collect())
        now = time.monotonic()
        for task, call in list(self.running.items()):
            errors = self._errors(task, call, now)
            if errors is not None:
                del self.running[task]
                self._advance(zip(call.deliveries, errors, strict=True))

    def _wait_time(self, now: float) -> float | None:
        """Return the seconds until a call may exceed its time: at least a full time-out for calls that have not begun."""
        dues = [call.timeout if call.due is None else call.left(now) for call in self.running.values()]
        left = self.effects.left()
        if left is not None:
            dues.append(left)
        return max(min(dues), 0.0) if dues else None

    def _errors(self, task: asyncio.Future[None], call: HandlerTask, now: float) -> Errors | None:
        """Return the errors of a call; None while it may continue."""
        if task.done():
            _ = task.cancelled() or task.exception()  # retrieved, or asyncio would log it; the call has it already
            return call.result()
        if call.due is None or call.left(now) > 0:
            return None
        if not call.cancelled:
            call.cancelled = True
            call.due = call.latest = self.deadline.grace(now)
            task.cancel()
            return None
        self.runaways[task] = call
        for delivery in call.deliveries:
            delivery.duration = delivery.time_since_start(now)
        text = "and does not let itself be cancelled"
        return [timed_out(self.bound, text, ended=False)] * len(call.deliveries)

    def _advance(self, results: Iterable[tuple[Delivery, Any]]) -> None:
        for delivery, result in results:
            self.schedule.advance(delivery, result)


async def bounded_async(call: Callable[[], T], seconds: float, pool: Pool) -> T:
    """Make a call with a time limit as `bounded` does, without blocking the event loop."""
    context = copy_context()
    future = pool.submit(lambda: context.run(call))
    answer = asyncio.wrap_future(future)
    await asyncio.wait({answer}, timeout=seconds)
    if not answer.done():
        pool.give_up(future)
        raise TimeoutError(f"no answer within {seconds:.3g} s")
    return answer.result()

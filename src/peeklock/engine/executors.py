"""Who runs synchronous handlers: this thread, or others."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, Protocol

from peeklock.concurrency.interrupt import LOOK_AGAIN, QUICK, HandlerTimer, Interrupted, Target
from peeklock.concurrency.thread_pool import Retire
from peeklock.concurrency.timer import Timer, running
from peeklock.engine.bound_consumer import BoundConsumer, Deadline
from peeklock.engine.delivery import Delivery, Halted
from peeklock.engine.invocation import (
    CallResult,
    Errors,
    arguments_of,
    arguments_of_one,
    attempt,
    error_in_return,
    errors_of,
    time_of,
    timed_out,
)
from peeklock.engine.scheduler import Schedule, next_job
from peeklock.message import Message
from peeklock.observability.guarded import Span, enter_span, exit_span, has_spans, observer_failed

Job = tuple[Sequence[Delivery], Errors]

NO_SLOT = "handlers that could not be stopped take every slot"

NO_ROOM = "no time left to start"


class Executor(Protocol):
    """Runs handlers, and advances the schedule by what they raise."""

    @property
    def busy(self) -> bool:
        """Whether a handler is running."""
        ...

    @property
    def has_runaways(self) -> bool:
        """Whether a handler that could not be stopped still runs."""
        ...

    @property
    def may_take_more(self) -> bool:
        """Whether messages that are read and claimed now may run at once."""
        ...

    def work(self, schedule: Schedule, *, io_waits: bool) -> bool:
        """Start what may run now; whether anything was. `io_waits`: results of the store or a queue are still to come,
        so a batch handler waits for the messages that they may let run."""
        ...

    def collect(self) -> tuple[Sequence[Job], float | None]:
        """The jobs that ended or are past their time, and the seconds until the next one is (None: nothing runs)."""
        ...


class MainThreadExecutor:
    """Runs one handler at a time, here, interrupted by the alarm."""

    busy = has_runaways = False
    may_take_more = True

    def __init__(self, bound: BoundConsumer, deadline: Deadline, timer: HandlerTimer) -> None:
        self.bound = bound
        self.deadline = deadline
        self.timer = timer
        self._context = copy_context()
        self._context.run(running.set, timer)
        self._timeout = deadline.timeout
        self._duration = 0.0
        self._observer = bound.observer if has_spans(bound.observer) else None

    def work(self, schedule: Schedule, *, io_waits: bool) -> bool:
        if self.bound.handler.batch:
            deliveries = next_job(schedule, self.bound, io_waits=io_waits)
            for member, error in zip(deliveries, self._run(deliveries), strict=True):
                schedule.advance(member, error)
            return bool(deliveries)
        started = False
        while (delivery := schedule.start()) is not None:
            started = True
            schedule.advance(delivery, self._run_one(delivery))
            if schedule.changes or schedule.sends:
                break
        return started

    def _run_one(self, delivery: Delivery) -> BaseException | None:
        """As `_run`. Apart for its cost, which each message pays."""
        message, arguments = arguments_of_one(self.bound, delivery)
        self._timeout = time_of((delivery,), self.deadline) if delivery.spent else self.deadline.timeout
        error, returned = self._call(message, arguments)
        delivery.duration = self._duration
        if error is None and returned is not None:
            delivery.returned = returned
            return error_in_return(returned)
        return error

    def _run(self, deliveries: Sequence[Delivery]) -> Errors:
        if not deliveries:
            return ()
        self._timeout = time_of(deliveries, self.deadline)
        if not self.deadline.has_room(self.deadline.timeout - self._timeout):  # to read one that is not here took it
            return [Halted(NO_ROOM)] * len(deliveries)
        ended = self._call(deliveries[0].message, arguments_of(self.bound, deliveries))
        for delivery in deliveries:
            delivery.duration = self._duration
        return errors_of(self.bound, deliveries, ended)

    def _call(self, message: Message, arguments: Sequence[Any]) -> CallResult:
        try:
            ended = self._context.copy().run(self._observed, message, arguments)
        except Interrupted as fired:  # between the handler's end and the line that says so
            self.timer.due, ended = None, (fired, None)
        return (timed_out(self.bound, "interrupted", ended=True), None) if type(ended[0]) is Interrupted else ended

    def _observed(self, message: Message, arguments: Sequence[Any]) -> CallResult:
        timer = self.timer
        timer.fired = False
        started = time.monotonic()
        timer.due = started + self._timeout
        if self._timeout < timer.timeout:
            timer.shorten(self._timeout)
        span = None if self._observer is None else enter_span(self._observer, message)
        if span is not None or timer.fired:  # the time that an observer took is not the handler's
            timer.due = None
            if not self.deadline.has_room(self.deadline.timeout - self._timeout):
                return self._leave(span, message, (Halted(NO_ROOM), None))
            timer.fired = False
            started = timer.start(self._timeout)
        ended = attempt(self.bound.handler.call, arguments)
        timer.due = None
        if timer.fired:  # whatever the handler made of that: a part of it was cut off
            ended = Interrupted(), None
        self._duration = time.monotonic() - started
        if self._duration > QUICK:
            timer.rearm()
        return ended if span is None else self._leave(span, message, ended)

    def _leave(self, span: Span | None, message: Message, ended: CallResult) -> CallResult:
        if span is not None:
            with suppress(Interrupted):  # as above; the handler's end stands
                self.timer.start(self._timeout)
                exit_span(span, message, ended[0])
            self.timer.due = None
        return ended

    def collect(self) -> tuple[Sequence[Job], float | None]:
        return (), None


class Run(Timer):
    """One call of the handler in a thread, with all that it needs: nothing is read from its items later."""

    def __init__(self, bound: BoundConsumer, deliveries: Sequence[Delivery], deadline: Deadline) -> None:
        super().__init__(deadline.latest)
        self.deliveries = deliveries
        self.target = Target()
        self.errors: Errors | None = None
        """Set when the handler has ended, and the observer perhaps has not."""
        self.stopped = False
        """Its time was over, and it has a short grace to end."""
        self._bound = bound
        self._deadline = deadline
        self.timeout = time_of(deliveries, deadline)
        self._arguments = arguments_of(bound, deliveries)
        self._message = deliveries[0].message
        self._returned: Any = None
        self._duration = 0.0

    def perform(self) -> None:
        """In the thread. Raises Retire where that must not be used again."""
        running.set(self)
        self._start()
        span = enter_span(self._bound.observer, self._message)
        error: BaseException | None = None
        self._start()  # the time that an observer took is not the handler's
        if self._deadline.may_begin(self._deadline.timeout - self.timeout) and self.target.begin():
            error = self._call()
        if span is not None:
            exit_span(span, self._message, error)
        if self.target.interrupted:
            raise Retire(None)

    def _start(self) -> None:
        self.due = time.monotonic() + self.timeout

    def _call(self) -> BaseException | None:
        started = time.monotonic()
        ended: CallResult = (None, None)
        with suppress(Interrupted):  # it came as the handler ended
            ended = self.target.call(attempt, self._bound.handler.call, self._arguments)
        self._duration, self._returned = time.monotonic() - started, ended[1]
        if self.target.interrupted:  # whatever the handler made of that: a part of it was cut off
            ended = (timed_out(self._bound, "interrupted", ended=True), None)
        self.errors = errors_of(self._bound, self.deliveries, ended)
        return ended[0]

    def result(self) -> Errors:
        """What came of it, written to its items: by the thread that owns them. Only once the handler has ended, or never
        will begin."""
        if self.errors is None:
            return [Halted(NO_ROOM)] * len(self.deliveries)
        self.deliveries[0].returned = self._returned
        for delivery in self.deliveries:
            delivery.duration = self._duration
        return self.errors


class PooledExecutor:
    """Runs up to `parallel` handlers in threads. One that does not end in time is interrupted. Where that does not help,
    since it blocks in C or swallows the interruption, its slot stays taken until it ends, and `runaways` then tells."""

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
        """One that has no thread yet has to have one while there is room for the whole of it."""
        return run.left(now) - (run.timeout if run.due is None else 0.0)

    def _wait_time(self, run: Run, now: float) -> float:
        """Should it begin meanwhile, its time is over no earlier than a whole time-out from now."""
        left = self._left(run, now)
        if run.stopped and not run.target.interrupted:
            left = min(left, LOOK_AGAIN)
        return max(min(left, run.timeout) if run.due is None else left, 0.0)

    def _errors(self, future: Future[None], run: Run, now: float) -> Errors | None:
        """What came of a run; None while it may go on."""
        if future.done():
            future.result()
            return run.result()
        if run.stopped:
            run.target.interrupt()
        if self._left(run, now) > 0:
            return None
        if run.target.cancel():  # it waits for a thread, or its observer hangs
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
            run.target.interrupt()  # now: while another message is read, the next look may come when that is over
            return None
        self.bound.handlers.give_up(future)
        self.runaways[future] = run
        return [timed_out(self.bound, "still running", ended=False)] * len(run.deliveries)

    def close(self) -> None:
        """What has not begun when its event ends never will."""
        for future, run in self.running.items():
            run.target.cancel()
            self.bound.handlers.give_up(future)

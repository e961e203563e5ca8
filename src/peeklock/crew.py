"""Who runs synchronous handlers: this thread, interrupted when time is over, or other threads, which cannot be."""

from __future__ import annotations

import contextvars
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol, Self

from peeklock.call import Errors, call, call_one
from peeklock.item import Item, TimedOut
from peeklock.once import once
from peeklock.plan import Plan
from peeklock.schedule import Schedule

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

AGAIN = 1.0
"""Seconds until a handler that swallowed its interruption is interrupted once more."""

MOST_THREADS = 512
# A bound against a leak, not a setting: an event never uses more threads than `parallel`, and one for the store.

Job = tuple[Sequence[Item], Errors]

set_handler: Callable[[int, Any], Any] = getattr(sys.modules.get("_signal"), "signal", signal.signal)
# What is beneath `signal.signal`, without its search for handlers among the members of an enum, which takes longer than
# a small event.


@once
def pool() -> ThreadPoolExecutor:
    """The threads of the process, started as they are needed."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(MOST_THREADS, "peeklock")


HAS_TIMER = hasattr(signal, "setitimer")
"""Windows has none."""


class Crew(Protocol):
    """Runs handlers, and advances the schedule by what they raise."""

    @property
    def busy(self) -> bool:
        """Whether a handler is running."""
        ...

    def work(self, schedule: Schedule, *, io_waits: bool) -> bool:
        """Start what may run now; whether anything was. `io_waits`: results of the store or a queue are still to come,
        so a batch handler waits for the messages that they may let run."""
        ...

    def collect(self) -> tuple[Sequence[Job], float | None]:
        """The jobs that ended or are past their time, and the seconds until the next one is (None: nothing runs)."""
        ...


class Interrupted(BaseException):
    """Raised into a handler whose time is over. Not an Exception, so that `except Exception` lets it through."""


class Alarm:
    """Interrupts the main thread. One timer an event: to arm one for each message costs more than many handlers do."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.started: float | None = None

    def __enter__(self) -> Self:
        self._before = set_handler(signal.SIGALRM, self._ring)
        signal.setitimer(signal.ITIMER_REAL, self.timeout)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        set_handler(signal.SIGALRM, self._before)

    def _ring(self, signum: int, frame: FrameType | None) -> None:
        del signum, frame
        started = self.started
        left = self.timeout if started is None else started + self.timeout - time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, max(left, 0) or AGAIN)
        if left <= 0:
            raise Interrupted


def can_interrupt() -> bool:
    """Whether this thread gets the alarm, and nobody else waits for one."""
    return (
        threading.current_thread() is threading.main_thread()
        and HAS_TIMER
        and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    )


class Inline:
    """Runs one handler at a time, here."""

    busy = False

    def __init__(self, plan: Plan, alarm: Alarm) -> None:
        self.plan = plan
        self.alarm = alarm

    def work(self, schedule: Schedule, *, io_waits: bool) -> bool:
        if self.plan.handler.batch:
            items = next_job(schedule, self.plan, io_waits=io_waits)
            for one, error in zip(items, self._run(items), strict=True):
                schedule.advance(one, error)
            return bool(items)
        started = False
        while (item := schedule.start()) is not None:
            started = True
            schedule.advance(item, self._run_one(item))
            if schedule.changes or schedule.sends:
                break
        return started

    def _run_one(self, item: Item) -> BaseException | None:
        alarm = self.alarm
        error: BaseException | None
        started = time.monotonic()
        try:
            alarm.started = started
            error = call_one(self.plan, item)
            alarm.started = None
        except Interrupted as rang:  # between the handler's end and the line that says so
            alarm.started, error = None, rang
        item.duration = time.monotonic() - started
        return timed_out(self.plan, "interrupted") if type(error) is Interrupted else error

    def _run(self, items: Sequence[Item]) -> Errors:
        if not items:
            return ()
        alarm, errors = self.alarm, None
        try:
            alarm.started = time.monotonic()
            errors = call(self.plan, items)
            alarm.started = None
        except Interrupted:  # as above
            alarm.started = None
        if errors is None or type(errors[0]) is Interrupted:
            return [timed_out(self.plan, "interrupted")] * len(items)
        return errors

    def collect(self) -> tuple[Sequence[Job], float | None]:
        return (), None


class Threads:
    """Runs up to `parallel` handlers in the pool. One that does not end in time cannot be stopped: its slot stays taken
    until it ends, and `runaways` then tells."""

    def __init__(self, plan: Plan, inbox: SimpleQueue[Any]) -> None:
        self.plan = plan
        self.inbox = inbox
        self.running: dict[Future[Errors], tuple[Sequence[Item], float]] = {}
        self.runaways: dict[Future[Errors], Sequence[Item]] = {}

    def work(self, schedule: Schedule, *, io_waits: bool) -> bool:
        started = False
        timeout = self.plan.queue.timeout.total_seconds()
        while self._free() and (items := next_job(schedule, self.plan, io_waits=io_waits or bool(self.running))):
            started = True
            future = pool().submit(contextvars.copy_context().run, call, self.plan, items)
            self.running[future] = (items, time.monotonic() + timeout)
            future.add_done_callback(self._ended)
        return started

    def _free(self) -> bool:
        taken = len(self.running) + sum(not future.done() for future in self.runaways)
        return taken < self.plan.parallel

    @property
    def busy(self) -> bool:
        return bool(self.running)

    def _ended(self, _: Future[Errors]) -> None:
        self.inbox.put(self)

    def collect(self) -> tuple[Sequence[Job], float | None]:
        now = time.monotonic()
        late: list[Job] = []
        for future, (items, due) in list(self.running.items()):
            if future.done():
                del self.running[future]
                late.append((items, future.result()))
            elif due <= now:
                del self.running[future]
                self.runaways[future] = items
                late.append((items, [timed_out(self.plan, "still running")] * len(items)))
        nearest = min((due for _, due in self.running.values()), default=None)
        return late, (None if nearest is None else max(nearest - now, 0.0))


def next_job(schedule: Schedule, plan: Plan, *, io_waits: bool) -> Sequence[Item]:
    """The messages of the next call: one, or all that may run for a batch handler, once no claim is under way. Empty
    when there is none."""
    if not plan.handler.batch:
        item = schedule.start()
        return () if item is None else (item,)
    if io_waits or schedule.changes or schedule.sends:
        return ()
    return schedule.start_all()


def timed_out(plan: Plan, how: str) -> TimedOut:
    return TimedOut(f"ran past its {plan.queue.timeout.total_seconds():g} s, {how}")

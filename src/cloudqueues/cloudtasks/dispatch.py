"""Dispatcher: sends tasks when they are due, as fast as their queues allow, and settles them by their responses."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable

from cloudqueues.cloudtasks import attempts, http_client, task_requests
from cloudqueues.cloudtasks.attempts import Dispatch
from cloudqueues.cloudtasks.http_client import HttpRequest, HttpResponse
from cloudqueues.cloudtasks.sdk import seconds_of, stamp
from cloudqueues.cloudtasks.state import StoredQueue, StoredTask
from cloudqueues.faults import Faults
from cloudqueues.timeline import Timeline, Timer

MAX_DISPATCHES = 100_000
"""Dispatches that are kept for `CloudTasksEmulator.dispatches`; the oldest make room."""


class Dispatcher:
    """Dispatcher of all queues. It belongs to one event loop and is used in its thread only."""

    def __init__(self, timeline: Timeline, sign: task_requests.Sign, changed: Callable[[], None]) -> None:
        self._timeline = timeline
        self._sign = sign
        self._changed = changed
        self._waiting: dict[StoredQueue, list[tuple[float, int, StoredTask]]] = {}
        self._timers: dict[StoredQueue, Timer] = {}
        self._tickets = itertools.count(1)
        self._postponed: set[tuple[str, int]] = set()
        self._duplicates_due = 0
        self._attempts: set[asyncio.Task[None]] = set()
        self.faults = Faults()
        self.route: http_client.Route | None = None
        self.dispatches: deque[Dispatch] = deque(maxlen=MAX_DISPATCHES)

    @property
    def running(self) -> int:
        """Count of attempts under way, including duplicates that are planned."""
        return len(self._attempts) + self._duplicates_due

    def add(self, task: StoredTask) -> None:
        """Send a task when it is due."""
        self._enqueue(task, task.due)
        self.dispatch_due(task.queue)

    def _enqueue(self, task: StoredTask, due: float) -> None:
        """Add a task to the waiting ones. An earlier entry of it becomes invalid."""
        task.ticket = next(self._tickets)
        heapq.heappush(self._waiting.setdefault(task.queue, []), (due, task.ticket, task))

    def dispatch_due(self, queue: StoredQueue) -> None:
        """Send the tasks that are due and allowed, and set a timer for the next."""
        most = queue.message.rate_limits.max_concurrent_dispatches
        while (first := self._first(queue)) and queue.running < most:
            now, (due, task) = self._timeline.now(), first
            if due > now:
                return self._set_timer(queue, due)
            if self._postpone(task):
                continue
            if not queue.bucket.take(now):
                return self._set_timer(queue, queue.bucket.next(now))
            self.run(task)
        return None

    def _first(self, queue: StoredQueue) -> tuple[float, StoredTask] | None:
        """Return the next waiting task of a running queue, and when it is due."""
        waiting = self._waiting.get(queue, [])
        while waiting and (waiting[0][2].gone or waiting[0][2].ticket != waiting[0][1]):
            heapq.heappop(waiting)
        return (waiting[0][0], waiting[0][2]) if waiting and not queue.paused else None

    def _set_timer(self, queue: StoredQueue, when: float) -> None:
        """Look at a queue again at this time, or earlier where that was asked for before."""
        timer = self._timers.get(queue)
        if timer is not None and not timer.is_over:
            if timer.when <= when:
                return
            timer.cancel()
        self._timers[queue] = self._timeline.at(when, lambda: self.dispatch_due(queue))

    def next_due(self) -> float | None:
        """Return the time when the next task of a running queue may be sent; None where none waits."""
        now = self._timeline.now()
        firsts = [(queue, self._first(queue)) for queue in self._waiting]
        return min((max(first[0], queue.bucket.next(now)) for queue, first in firsts if first), default=None)

    def remove_queue(self, queue: StoredQueue) -> None:
        """Forget a queue that was deleted."""
        self._waiting.pop(queue, None)
        self._timers.pop(queue, None)

    def _postpone(self, task: StoredTask) -> bool:
        """Return True when a fault lets later tasks go first, once for each attempt."""
        what = (task.name, task.message.dispatch_count)
        if what in self._postponed or not self.faults.hits("reorder", *what):
            return False
        self._postponed.add(what)
        self._enqueue(task, self._timeline.now() + self.faults.draw("reorder for", *what) * self.faults.delay_s)
        return True

    def run(self, task: StoredTask) -> None:
        """Send a task now, whatever its queue's limits."""
        self._count_attempt(task)
        attempt = task.attempt
        self._start_attempt(task, attempt)
        if self.faults.hits("duplicate", task.name, attempt):
            self._duplicates_due += 1
            wait = self.faults.draw("duplicate after", task.name, attempt) * self.faults.delay_s
            self._timeline.after(wait, lambda: self._start_duplicate(task, attempt))

    def _start_duplicate(self, task: StoredTask, attempt: int) -> None:
        self._duplicates_due -= 1
        self._start_attempt(task, attempt, duplicate=True)

    def _count_attempt(self, task: StoredTask) -> None:
        message, now = task.message, self._timeline.now()
        message.dispatch_count += 1
        message.last_attempt.Clear()
        message.last_attempt.schedule_time.CopyFrom(message.schedule_time)
        task.began = task.began or now
        task.attempt = message.dispatch_count
        task.ticket = 0
        task.queue.running += 1

    def _start_attempt(self, task: StoredTask, attempt: int, *, duplicate: bool = False) -> None:
        try:
            request = task_requests.build(task, attempt - 1, self._sign)
        except ValueError:
            request = None
        work = asyncio.create_task(self._attempt(task, attempt, request, duplicate=duplicate))
        self._attempts.add(work)
        work.add_done_callback(self._attempts.discard)

    async def _attempt(self, task: StoredTask, attempt: int, request: HttpRequest | None, *, duplicate: bool) -> None:
        when = self._timeline.now()
        if not duplicate:
            attempts.record_start(task, when)
        answer = await self._exchange(task, attempt, request)
        self._attempts.discard(asyncio.current_task())
        self.dispatches.append(
            Dispatch(
                task=task.name,
                attempt=attempt,
                method=request.method if request else "",
                url=request.url if request else "",
                headers=request.headers if request else {},
                status=answer.status,
                when=when,
                took=self._timeline.now() - when,
                duplicate=duplicate,
            )
        )
        if not duplicate:
            self._end(task, attempt, answer)
        self._changed()

    async def _exchange(self, task: StoredTask, attempt: int, request: HttpRequest | None) -> HttpResponse:
        if request is None:
            return HttpResponse(status=attempts.NO_ANSWER)
        work = asyncio.ensure_future(http_client.send(request, self.route))
        deadline = self._timeline.after(self._answer_timeout(task, attempt), work.cancel)
        try:
            answer = await work
        except http_client.Unreachable:
            return HttpResponse(status=attempts.NO_ANSWER)
        except asyncio.CancelledError:
            if not deadline.is_over:
                work.cancel()
                raise
            return HttpResponse(status=attempts.TIMED_OUT)
        finally:
            deadline.cancel()
        return await self._delay_or_drop(task, attempt, answer)

    def _answer_timeout(self, task: StoredTask, attempt: int) -> float:
        """Return the seconds for which a response is awaited."""
        if self.faults.hits("lose_lock", task.name, attempt):
            return self.faults.draw("lock lost after", task.name, attempt) * self.faults.delay_s
        return seconds_of(task.message.dispatch_deadline)

    async def _delay_or_drop(self, task: StoredTask, attempt: int, answer: HttpResponse) -> HttpResponse:
        """Delay or lose a response, as faults demand."""
        faults = self.faults
        if faults.hits("delay", task.name, attempt):
            await self._timeline.sleep(faults.draw("delay for", task.name, attempt) * faults.delay_s)
        return HttpResponse(status=attempts.NO_ANSWER) if faults.hits("drop", task.name, attempt) else answer

    def _end(self, task: StoredTask, attempt: int, answer: HttpResponse) -> None:
        task.queue.running -= 1
        if not task.gone and (task.attempt == attempt or attempts.is_success(answer.status)):
            self._settle(task, answer)
        self.dispatch_due(task.queue)

    def _settle(self, task: StoredTask, answer: HttpResponse) -> None:
        now, message, status = self._timeline.now(), task.message, answer.status
        task.previous = status
        attempts.record_end(task, status, now)
        retry = task.retry()
        if attempts.is_success(status) or retry.spent(message.dispatch_count, now - task.began):
            task.queue.remove(task, now)
            return
        wait = retry.backoff(message.dispatch_count)
        if status in attempts.BACKPRESSURE:
            wait = max(wait, answer.retry_after)
        message.schedule_time.CopyFrom(stamp(now + wait))
        self._enqueue(task, task.due)

    async def stop(self) -> None:
        """Break off what is under way."""
        running = list(self._attempts)
        for work in running:
            work.cancel()
        await asyncio.gather(*running, return_exceptions=True)

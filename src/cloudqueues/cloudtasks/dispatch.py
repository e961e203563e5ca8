"""Sends tasks when they are due, as fast as their queues allow, and decides what each answer means."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable

from cloudqueues.cloudtasks import attempts, outgoing, requests
from cloudqueues.cloudtasks.alarm import Alarm, Deadlines
from cloudqueues.cloudtasks.attempts import Dispatch
from cloudqueues.cloudtasks.book import Held, Line
from cloudqueues.cloudtasks.outgoing import Answer, Outgoing
from cloudqueues.cloudtasks.sdk import seconds_of, stamp
from cloudqueues.faults import Faults
from cloudqueues.timeline import Timeline

REMEMBERED = 100_000
"""Dispatches that are kept for `CloudTasksEmulator.dispatches`; the oldest make room."""


class Dispatcher:
    """Belongs to one event loop: all is called in its thread."""

    def __init__(self, timeline: Timeline, sign: requests.Sign, changed: Callable[[], None]) -> None:
        self._timeline = timeline
        self._sign = sign
        self._changed = changed
        self._deadlines = Deadlines(timeline)
        self._waiting: dict[Line, list[tuple[float, int, Held]]] = {}
        self._alarms: dict[Line, Alarm] = {}
        self._tickets = itertools.count(1)
        self._held_back: set[tuple[str, int]] = set()
        self._promised = 0
        self._running: set[asyncio.Task[None]] = set()
        self.faults = Faults()
        self.route: outgoing.Route | None = None
        self.dispatches: deque[Dispatch] = deque(maxlen=REMEMBERED)

    @property
    def running(self) -> int:
        """Attempts under way, with the duplicates that will be."""
        return len(self._running) + self._promised

    def add(self, task: Held) -> None:
        """Send it when it is due."""
        self._put(task, task.due)
        self.pump(task.queue)

    def _put(self, task: Held, due: float) -> None:
        """Any place that it had before is void."""
        task.ticket = next(self._tickets)
        heapq.heappush(self._waiting.setdefault(task.queue, []), (due, task.ticket, task))

    def pump(self, line: Line) -> None:
        """Send what is due and allowed, and come back when more is."""
        most = line.message.rate_limits.max_concurrent_dispatches
        while (first := self._first(line)) and line.running < most:
            now, (due, task) = self._timeline.now(), first
            if due > now:
                return self._come_back(line, due)
            if self._hold_back(task):
                continue
            if not line.bucket.take(now):
                return self._come_back(line, line.bucket.next(now))
            self.run(task)
        return None

    def _first(self, line: Line) -> tuple[float, Held] | None:
        """The next that waits in a running queue, and when it is due."""
        waiting = self._waiting.get(line, [])
        while waiting and (waiting[0][2].gone or waiting[0][2].ticket != waiting[0][1]):
            heapq.heappop(waiting)
        return (waiting[0][0], waiting[0][2]) if waiting and not line.paused else None

    def _come_back(self, line: Line, when: float) -> None:
        if line not in self._alarms:
            self._alarms[line] = Alarm(self._timeline, lambda: self.pump(line))
        self._alarms[line].by(when)

    def next_due(self) -> float | None:
        """When the next task of a running queue may be sent, if one waits."""
        now = self._timeline.now()
        firsts = [(line, self._first(line)) for line in self._waiting]
        return min((max(first[0], line.bucket.next(now)) for line, first in firsts if first), default=None)

    def forget(self, line: Line) -> None:
        """A queue that was deleted."""
        self._waiting.pop(line, None)
        self._alarms.pop(line, None)

    def _hold_back(self, task: Held) -> bool:
        """Whether a fault has later ones go before it: once for each attempt."""
        what = (task.name, task.message.dispatch_count)
        if what in self._held_back or not self.faults.hits("reorder", *what):
            return False
        self._held_back.add(what)
        self._put(task, self._timeline.now() + self.faults.draw("reorder for", *what) * self.faults.delay_s)
        return True

    def run(self, task: Held) -> None:
        """Send it now, whatever its queue says."""
        self._begin(task)
        attempt = task.attempt
        self._start(task, attempt)
        if self.faults.hits("duplicate", task.name, attempt):
            self._promised += 1
            wait = self.faults.draw("duplicate after", task.name, attempt) * self.faults.delay_s
            self._timeline.after(wait, lambda: self._again(task, attempt))

    def _again(self, task: Held, attempt: int) -> None:
        self._promised -= 1
        self._start(task, attempt, duplicate=True)

    def _begin(self, task: Held) -> None:
        message, now = task.message, self._timeline.now()
        message.dispatch_count += 1
        message.last_attempt.Clear()
        message.last_attempt.schedule_time.CopyFrom(message.schedule_time)
        task.began = task.began or now
        task.attempt = message.dispatch_count
        task.ticket = 0
        task.queue.running += 1

    def _start(self, task: Held, attempt: int, *, duplicate: bool = False) -> None:
        try:
            request = requests.build(task, attempt - 1, self._sign)
        except ValueError:
            request = None
        work = asyncio.create_task(self._attempt(task, attempt, request, duplicate=duplicate))
        self._running.add(work)
        work.add_done_callback(self._running.discard)

    async def _attempt(self, task: Held, attempt: int, request: Outgoing | None, *, duplicate: bool) -> None:
        when = self._timeline.now()
        if not duplicate:
            attempts.note_begin(task, when)
        answer = await self._exchange(task, attempt, request)
        self._running.discard(asyncio.current_task())
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

    async def _exchange(self, task: Held, attempt: int, request: Outgoing | None) -> Answer:
        if request is None:
            return Answer(status=attempts.NO_ANSWER)
        work = asyncio.ensure_future(outgoing.send(request, self.route))
        deadline = self._deadlines.add(self._patience(task, attempt), work.cancel)
        try:
            answer = await work
        except outgoing.Unreachable:
            return Answer(status=attempts.NO_ANSWER)
        except asyncio.CancelledError:
            if not deadline.passed:
                work.cancel()
                raise
            return Answer(status=attempts.LATE)
        finally:
            deadline.over = True
            self._deadlines.tidy()
        return await self._on_its_way(task, attempt, answer)

    def _patience(self, task: Held, attempt: int) -> float:
        """Seconds until the answer is not waited for any more."""
        if self.faults.hits("lose_lock", task.name, attempt):
            return self.faults.draw("lock lost after", task.name, attempt) * self.faults.delay_s
        return seconds_of(task.message.dispatch_deadline)

    async def _on_its_way(self, task: Held, attempt: int, answer: Answer) -> Answer:
        """What faults make of an answer."""
        faults = self.faults
        if faults.hits("delay", task.name, attempt):
            await pause(self._timeline, faults.draw("delay for", task.name, attempt) * faults.delay_s)
        return Answer(status=attempts.NO_ANSWER) if faults.hits("drop", task.name, attempt) else answer

    def _end(self, task: Held, attempt: int, answer: Answer) -> None:
        task.queue.running -= 1
        if not task.gone and (task.attempt == attempt or attempts.is_success(answer.status)):
            self._settle(task, answer)
        self.pump(task.queue)

    def _settle(self, task: Held, answer: Answer) -> None:
        now, message, status = self._timeline.now(), task.message, answer.status
        task.previous = status
        attempts.note_end(task, status, now)
        retry = task.retry()
        if attempts.is_success(status) or retry.spent(message.dispatch_count, now - task.began):
            task.queue.remove(task, now)
            return
        wait = retry.backoff(message.dispatch_count)
        if status in attempts.ASKS_TO_WAIT:
            wait = max(wait, answer.retry_after)
        message.schedule_time.CopyFrom(stamp(now + wait))
        self._put(task, task.due)

    async def stop(self) -> None:
        """Break off what is under way."""
        running = list(self._running)
        for work in running:
            work.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def pause(timeline: Timeline, seconds: float) -> None:
    """By the emulator's time."""
    over = asyncio.Event()
    timer = timeline.after(seconds, over.set)
    try:
        await over.wait()
    finally:
        timer.cancel()

"""Pools of daemon threads, which are bounded, survive a fork, and do not delay the interpreter's exit.

`concurrent.futures.ThreadPoolExecutor` joins its threads at exit, so a call that never returns would block it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

Job = tuple["Future[Any]", Callable[[], Any]]
"""A future, and the call that provides its result."""


class Retire(BaseException):
    """Raised by a call if its thread must not be used again. The argument is the result of the call."""


class _Workers:
    """Threads of a pool in one process. They refer to this object and not to the pool, which can be deleted before them."""

    def __init__(self, most: int, name: str) -> None:
        self.most = most
        self.name = name
        self.lock = threading.Lock()
        self.jobs: SimpleQueue[Job | None] = SimpleQueue()
        """Pending calls; None ends the threads after the pool was deleted."""
        self.threads = 0
        self.spare = 0
        """Threads waiting for a job, minus jobs waiting for a thread."""
        self.stuck: set[Future[Any]] = set()
        """Calls that were given up and have not returned."""

    def start_thread(self) -> None:
        try:
            threading.Thread(target=self.work, name=self.name, daemon=True).start()
        except RuntimeError as exc:  # the system's limit of threads
            if self.threads == len(self.stuck):
                raise TimeoutError("no thread can be started") from exc
            return  # another thread will take the job
        self.threads += 1
        self.spare += 1

    def work(self) -> None:
        retired = False
        while not retired and (job := self.jobs.get()) is not None:
            future, call = job
            if future.set_running_or_notify_cancel():
                retired = _perform(future, call)
            del job, future, call  # the last result must not live as long as an idle thread
            with self.lock:
                self.spare += 1
        if not retired:
            self.jobs.put(None)  # for the next thread
        with self.lock:
            self._leave()

    def _leave(self) -> None:
        """Remove the current thread, and start another if calls are waiting."""
        self.threads -= 1
        self.spare -= 1
        if self.spare < 0:
            with suppress(TimeoutError):  # waiting calls have their own deadlines
                self.start_thread()


class Pool:
    """Pool of up to `most` threads, which are started on demand. Calls wait while all are busy.

    The threads end when the pool has been deleted and its calls have been made.
    """

    def __init__(self, most: int, name: str) -> None:
        self.most = most
        self._name = name
        self._by_process: dict[int, _Workers] = {}
        # By process id, because threads do not survive a fork, and a lock may have been held at that moment.

    def __del__(self) -> None:
        for workers in self._by_process.values():
            workers.jobs.put(None)

    def _of_this_process(self) -> _Workers:
        pid = os.getpid()
        return self._by_process.get(pid) or self._by_process.setdefault(pid, _Workers(self.most, self._name))

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Make a call in a thread. Raises TimeoutError if all threads are stuck in calls that were given up."""
        workers = self._of_this_process()
        future: Future[T] = Future()
        with workers.lock:
            if len(workers.stuck) >= self.most:
                raise TimeoutError(f"all {self.most} threads hang")
            if workers.spare <= 0 and workers.threads < self.most:
                workers.start_thread()
            workers.spare -= 1
        workers.jobs.put((future, call))
        return future

    def give_up(self, future: Future[Any]) -> None:
        """Stop waiting for a call. It is cancelled if it has not begun, otherwise it occupies its thread until it returns."""
        if future.cancel() or future.done():
            return
        workers = self._of_this_process()
        with workers.lock:
            workers.stuck.add(future)
        future.add_done_callback(workers.stuck.discard)

    def map(self, call: Callable[..., T], *arguments: Iterable[Any]) -> Iterator[T]:
        """Make a call for each set of arguments, concurrently. Return the results in order."""
        futures = [self.submit(lambda each=each: call(*each)) for each in zip(*arguments, strict=False)]  # type: ignore[misc] # a default binds early
        return (future.result() for future in futures)


def _perform(future: Future[Any], call: Callable[[], Any]) -> bool:
    """Make a call and set its future. Return whether the thread has to end."""
    try:
        result = call()
    except Retire as done:
        future.set_result(done.args[0])
        return True
    except BaseException as exc:  # noqa: BLE001 - passed to the caller
        future.set_exception(exc)
    else:
        future.set_result(result)
    return False

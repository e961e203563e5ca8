"""Pools of daemon threads: bounded, safe over a fork, and never waited for when the interpreter exits.

`concurrent.futures.ThreadPoolExecutor` joins its threads at exit, so one call that never returns would hold the process.
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
"""What is to be called, and who waits for it."""


class Retire(BaseException):
    """Raised by a call to say that its thread must not be used again. Its argument is the call's result."""


class _Workers:
    """The threads of a pool in one process. They know it and not the pool, which may be forgotten before they are."""

    def __init__(self, most: int, name: str) -> None:
        self.most = most
        self.name = name
        self.lock = threading.Lock()
        self.jobs: SimpleQueue[Job | None] = SimpleQueue()
        """None: the pool is gone, and each thread ends that comes to it."""
        self.threads = 0
        self.spare = 0
        """Threads that wait for a job, less the jobs that wait for a thread."""
        self.stuck: set[Future[Any]] = set()
        """Calls that nobody waits for any more, and that have not returned."""

    def start_thread(self) -> None:
        try:
            threading.Thread(target=self.work, name=self.name, daemon=True).start()
        except RuntimeError as exc:  # the system's limit of threads
            if self.threads == len(self.stuck):
                raise TimeoutError("no thread can be started") from exc
            return  # one of the others will come to it
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
        """A thread ends; another takes its place where calls wait for one."""
        self.threads -= 1
        self.spare -= 1
        if self.spare < 0:
            with suppress(TimeoutError):  # the calls that wait have their own deadlines
                self.start_thread()


class Pool:
    """Threads that are started as they are needed, `most` at a time. A call that finds none free waits for one. They end when
    the pool is forgotten and its calls have been made."""

    def __init__(self, most: int, name: str) -> None:
        self.most = most
        self._name = name
        self._by_process: dict[int, _Workers] = {}
        # By process: threads do not survive a fork, and a lock may have been held at that moment.

    def __del__(self) -> None:
        for workers in self._by_process.values():
            workers.jobs.put(None)

    def _of_this_process(self) -> _Workers:
        pid = os.getpid()
        return self._by_process.get(pid) or self._by_process.setdefault(pid, _Workers(self.most, self._name))

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Call it in a thread. Raises TimeoutError when every thread is stuck in a call that was given up."""
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
        """Stop waiting for a call. One that has not begun never will; one that has keeps its thread until it returns."""
        if future.cancel() or future.done():
            return
        workers = self._of_this_process()
        with workers.lock:
            workers.stuck.add(future)
        future.add_done_callback(workers.stuck.discard)

    def map(self, call: Callable[..., T], *arguments: Iterable[Any]) -> Iterator[T]:
        """Call it for each set of arguments, all at once; the results in order."""
        futures = [self.submit(lambda each=each: call(*each)) for each in zip(*arguments, strict=False)]  # type: ignore[misc] # a default binds early
        return (future.result() for future in futures)


def _perform(future: Future[Any], call: Callable[[], Any]) -> bool:
    """Whether the thread that did it must end."""
    try:
        result = call()
    except Retire as done:
        future.set_result(done.args[0])
        return True
    except BaseException as exc:  # noqa: BLE001 - it is the caller's, whatever it is
        future.set_exception(exc)
    else:
        future.set_result(result)
    return False

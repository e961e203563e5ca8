"""Calls of a user's hook (`decode=`, `key=`, `unwrap=`, `on_error=`) in a thread, with a time limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextvars import copy_context
from typing import TypeVar

from peeklock.concurrency.interrupt import LOOK_AGAIN, Interrupted, Target
from peeklock.concurrency.thread_pool import Pool, Retire
from peeklock.errors import PeeklockError

T = TypeVar("T")

GRACE = 0.1
"""Seconds that an interrupted hook may take to end before its thread counts as lost."""


class NoThread(PeeklockError):
    """A hook was not called, because all threads are occupied by calls that hang."""


def call_within(pool: Pool, call: Callable[[], T], seconds: float) -> T:
    """Return what the call returns, or raise what it raises.

    Raises Interrupted if it takes longer than `seconds`, and NoThread if no thread was free to begin it.
    """
    target, context = Target(), copy_context()
    try:
        future = pool.submit(lambda: context.run(_perform, target, call))
    except TimeoutError as exc:
        raise NoThread(str(exc)) from exc
    try:
        return future.result(seconds)
    except TimeoutError:
        if future.done():
            return future.result()  # it ended at the last moment, or the TimeoutError is its own
    never_began = target.cancel()
    _stop(target, future)
    pool.give_up(future)
    raise NoThread("no thread came free") if never_began else Interrupted


def _perform(target: Target, call: Callable[[], T]) -> T:
    if not target.begin():
        raise Interrupted
    try:
        return target.call(call)
    except KeyboardInterrupt as exc:  # not Ctrl+C, which arrives in the main thread
        raise OSError("the hook raised KeyboardInterrupt") from exc
    finally:
        if target.interrupted:
            raise Retire(None)  # the caller has stopped waiting for the result


def _stop(target: Target, future: Future[T]) -> None:
    """Interrupt a call. Return when it has ended, can no longer begin, or turns out not to be interruptible."""
    end = time.monotonic() + GRACE
    while not target.cancel() and not future.done() and time.monotonic() < end:
        target.interrupt()
        wait((future,), LOOK_AGAIN)

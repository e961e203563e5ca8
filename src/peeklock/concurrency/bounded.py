"""Calls with a time limit, for code that may hang."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import TypeVar

from peeklock.concurrency.thread_pool import Pool

T = TypeVar("T")

MOST_CALLS = 64
"""Maximum number of concurrent calls of a process. Further ones are refused, because each may occupy a thread for long."""

_pool = Pool(MOST_CALLS, "peeklock-bounded")


def bounded(call: Callable[[], T], seconds: float, pool: Pool = _pool) -> T:
    """Return what the call returns, or raise what it raises.

    Raises TimeoutError if it takes longer than `seconds`, if no time is left to begin, or if all threads are occupied by calls
    that hang. The call may then still be running, and may take effect; its result is ignored.
    """
    if seconds <= 0:
        raise TimeoutError("no time is left for the call")
    context = contextvars.copy_context()
    future = pool.submit(lambda: context.run(call))
    try:
        return future.result(seconds)
    except TimeoutError:
        if future.done():
            return future.result()  # it ended at the last moment, or the TimeoutError is its own
        pool.give_up(future)
        raise TimeoutError(f"no answer within {seconds:.3g} s") from None

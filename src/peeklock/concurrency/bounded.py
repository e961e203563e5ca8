"""Waiting no longer than there is time for calls that may hang."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import TypeVar

from peeklock.concurrency.thread_pool import Pool

T = TypeVar("T")

MOST_CALLS = 64
"""Calls of a process that may hang at once. Beyond it none is made, since each costs a thread until it returns."""

_pool = Pool(MOST_CALLS, "peeklock-bounded")


def bounded(call: Callable[[], T], seconds: float, pool: Pool = _pool) -> T:
    """Return what the call returns, or raise what it raises.

    Raises TimeoutError when it takes longer than `seconds`, when no time is left to begin, and at once when as many calls
    as may hang do. The call may then still be going on, and may have had its effect; what it answers later is ignored.
    """
    if seconds <= 0:
        raise TimeoutError("no time is left for the call")
    context = contextvars.copy_context()
    future = pool.submit(lambda: context.run(call))
    try:
        return future.result(seconds)
    except TimeoutError:
        if future.done():
            return future.result()  # in the last moment; or the call's own
        pool.give_up(future)
        raise TimeoutError(f"no answer within {seconds:.3g} s") from None

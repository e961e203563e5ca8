"""One event loop per process, for `async def` handlers on a host that calls functions synchronously.

A loop per event would not do: connections that a handler keeps would belong to a loop that is closed.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import NoReturn, TypeVar

T = TypeVar("T")


_loops: dict[int, asyncio.AbstractEventLoop] = {}
"""Event loop by process id, because the thread of a parent's loop does not survive a fork."""


def _loop() -> asyncio.AbstractEventLoop:
    """Return the loop of this process, started by the first thread that needs it. No lock, which a fork could leave held."""
    pid = os.getpid()
    loop = _loops.get(pid)
    if loop is None:
        new_loop = asyncio.new_event_loop()
        loop = _loops.setdefault(pid, new_loop)
        if loop is new_loop:
            threading.Thread(target=_serve, args=(loop,), name="peeklock-loop", daemon=True).start()
        else:
            new_loop.close()
    return loop


def _serve(loop: asyncio.AbstractEventLoop) -> NoReturn:
    """Run the loop forever.

    asyncio stops a loop when a task raises SystemExit or KeyboardInterrupt, after setting it on that task. The other tasks
    have to continue.
    """
    while True:
        with suppress(SystemExit, KeyboardInterrupt):
            loop.run_forever()


def run(coroutine: Coroutine[object, object, T], seconds: float | None = None) -> T:
    """Run a coroutine on the loop of the process and wait for it, from any thread but the loop's own.

    Raises TimeoutError if it has not ended after `seconds`, because something blocks the loop. Later calls then use another
    loop until this one continues, to which connections that handlers keep belong.
    """
    used = _loop()
    future = asyncio.run_coroutine_threadsafe(coroutine, used)
    try:
        return future.result(seconds)
    except TimeoutError:
        pid = os.getpid()
        if not future.done() and _loops.get(pid) is used:
            _loops.pop(pid, None)  # unless another event has already removed it
            used.call_soon_threadsafe(_loops.__setitem__, pid, used)  # when it continues
        raise

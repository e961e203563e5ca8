"""One event loop a process, for `async def` handlers under a host that calls functions synchronously.

Never a loop an event: connections that a handler keeps would be bound to one that is closed.
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
"""By process: the thread of a parent's loop does not survive a fork."""


def _loop() -> asyncio.AbstractEventLoop:
    """The first thread's loop is everyone's. Without a lock, which a fork could leave held for ever."""
    pid = os.getpid()
    loop = _loops.get(pid)
    if loop is None:
        made = asyncio.new_event_loop()
        loop = _loops.setdefault(pid, made)
        if loop is made:
            threading.Thread(target=_serve, args=(loop,), name="peeklock-loop", daemon=True).start()
        else:
            made.close()
    return loop


def _serve(loop: asyncio.AbstractEventLoop) -> NoReturn:
    """Run the loop for good. asyncio stops a loop for a SystemExit or KeyboardInterrupt of any task, after that task has been
    given it: whoever awaits the task learns of it, and all others have to go on."""
    while True:
        with suppress(SystemExit, KeyboardInterrupt):
            loop.run_forever()


def run(coroutine: Coroutine[object, object, T], seconds: float | None = None) -> T:
    """Run it on the process's loop and wait, from any thread but the loop's own.

    Raises TimeoutError when it has not ended after so many seconds: something on the loop blocks it. Whatever comes next
    gets another loop, until this one goes on: what handlers keep, such as connections, belongs to it.
    """
    used = _loop()
    future = asyncio.run_coroutine_threadsafe(coroutine, used)
    try:
        return future.result(seconds)
    except TimeoutError:
        pid = os.getpid()
        if not future.done() and _loops.get(pid) is used:
            _loops.pop(pid, None)  # unless another event has just done so
            used.call_soon_threadsafe(_loops.__setitem__, pid, used)  # once it can
        raise

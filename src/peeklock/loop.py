"""One event loop a process, for `async def` handlers under a host that calls functions synchronously.

Never a loop an event: connections that a handler keeps would be bound to one that is closed.
"""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="peeklock-loop", daemon=True).start()
    return loop


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(after_in_child=_loop.cache_clear)  # its thread does not survive a fork


def run(coroutine: Coroutine[object, object, T]) -> T:
    """Run it on the process's loop and wait, from any thread but the loop's own."""
    return asyncio.run_coroutine_threadsafe(coroutine, _loop()).result()

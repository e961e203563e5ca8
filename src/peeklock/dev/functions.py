"""The running functions of one platform."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from cloudqueues.errors import CloudqueuesError
from peeklock.errors import PeeklockError


class Startable(Protocol):
    """One function, in processes of its own."""

    def start(self) -> object: ...

    def stop(self) -> None: ...


class RunningFunctions:
    """Functions that are started, replaced and stopped together."""

    def __init__(self) -> None:
        self._running: Sequence[Startable] = ()

    def replace(
        self, functions: Sequence[Startable], *, stop_first: bool = False, switch: Callable[[], None] = lambda: None
    ) -> None:
        """Start functions, then stop those that ran before. Raises the error of a start; those that ran before then go on.
        `stop_first`: where both cannot run at once, since they listen to the same ports. `switch` is called in between, to
        direct messages to the new functions."""
        if stop_first:
            self.stop()
        try:
            _at_once([function.start for function in functions])
        except (PeeklockError, CloudqueuesError):
            _at_once([function.stop for function in functions])
            raise
        switch()
        self.stop()
        self._running = functions

    def stop(self) -> None:
        functions, self._running = self._running, ()
        _at_once([function.stop for function in functions])


def _at_once(calls: Sequence[Callable[[], object]]) -> None:
    """Run all, each in a thread, since each waits for processes. Raises the first error once all have ended."""
    if not calls:
        return
    with ThreadPoolExecutor(len(calls)) as pool:
        futures = [pool.submit(call) for call in calls]
    for future in futures:
        future.result()

"""The interface of an executor, which runs synchronous handlers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from peeklock.engine.delivery import Delivery
from peeklock.engine.invocation import Errors
from peeklock.engine.scheduler import Schedule

Job = tuple[Sequence[Delivery], Errors]

NO_SLOT = "handlers that could not be stopped take every slot"

NO_ROOM = "no time left to start"


class Executor(Protocol):
    """Runs handlers, and advances the schedule with their errors."""

    @property
    def busy(self) -> bool:
        """True while a handler is running."""
        ...

    @property
    def has_runaways(self) -> bool:
        """True while a handler that could not be stopped is still running."""
        ...

    @property
    def may_take_more(self) -> bool:
        """True if messages that are read and claimed now could run immediately."""
        ...

    def work(self, schedule: Schedule, *, io_waits: bool) -> bool:
        """Start the handlers that may run now. Return whether there were any.

        `io_waits`: results of the store or a queue are pending, so a batch handler waits for the messages that these may
        allow to run.
        """
        ...

    def collect(self) -> tuple[Sequence[Job], float | None]:
        """Return the jobs that ended or exceeded their time, and the seconds until the next one does (None: nothing runs)."""
        ...

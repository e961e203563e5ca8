"""Values that are created once per process and shared by its threads, such as clients and pools."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable
from typing import Generic, ParamSpec, TypeVar

from peeklock.concurrency.timer import untimed

P = ParamSpec("P")
T = TypeVar("T")


class per_process(Generic[P, T]):  # noqa: N801 - used as a decorator
    """Decorator that calls a function once per process for each set of arguments, and caches its value.

    Concurrent calls with the same arguments wait for the first one, which may take long or hang; others do not wait. A
    forked child creates values of its own, because connections and threads do not survive a fork, and a shared socket
    would mix up the answers of two processes.
    """

    def __init__(self, make: Callable[P, T]) -> None:
        self._make = make
        self.forget()
        if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
            os.register_at_fork(after_in_child=self.forget)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        key = (args, *sorted(kwargs.items()))
        values, makers = self._values, self._makers
        if key not in values:
            # The time-out of the first handler that needs the value must not include its creation.
            with untimed(), makers.setdefault(key, threading.Lock()):
                if key not in values:
                    values[key] = self._make(*args, **kwargs)
        return values[key]

    def forget(self) -> None:
        """Drop all cached values."""
        self._values: dict[Hashable, T] = {}
        self._makers: dict[Hashable, threading.Lock] = {}  # a thread of the parent may hold an old lock

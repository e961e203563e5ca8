"""What a process makes once and its threads share: clients, pools."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable
from typing import Generic, ParamSpec, TypeVar

from peeklock.concurrency.timer import untimed

P = ParamSpec("P")
T = TypeVar("T")


class per_process(Generic[P, T]):  # noqa: N801 - used as a decorator
    """One value for each set of arguments, also when threads ask at the same moment. Making one may take long, or hang:
    only those wait for it who ask for the same. A forked child makes its own: connections and threads do not survive a
    fork, and a shared socket mixes up the answers of two processes."""

    def __init__(self, make: Callable[P, T]) -> None:
        self._make = make
        self.forget()
        if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
            os.register_at_fork(after_in_child=self.forget)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        key = (args, *sorted(kwargs.items()))
        values, makers = self._values, self._makers
        if key not in values:
            # A handler that is the first to need it must not pay for it with its own time.
            with untimed(), makers.setdefault(key, threading.Lock()):
                if key not in values:
                    values[key] = self._make(*args, **kwargs)
        return values[key]

    def forget(self) -> None:
        """Make everything anew from here on."""
        self._values: dict[Hashable, T] = {}
        self._makers: dict[Hashable, threading.Lock] = {}  # in a child, a thread of the parent may have held an old one

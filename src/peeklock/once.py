"""What a process makes once and its threads share: clients, pools."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

from peeklock.timer import untimed

P = ParamSpec("P")
T = TypeVar("T")


class once(Generic[P, T]):  # noqa: N801 - used as a decorator
    """One value for each set of arguments, also when threads ask at the same moment. A forked child makes its own:
    connections and threads do not survive a fork, and a shared socket mixes up the answers of two processes."""

    def __init__(self, make: Callable[P, T]) -> None:
        self._make = make
        self.forget()
        if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
            os.register_at_fork(after_in_child=self.forget)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        with untimed(), self._lock:  # a handler that is the first to need it must not pay for it with its own time
            return self._cached(*args, **kwargs)

    def forget(self) -> None:
        """Make everything anew from here on."""
        self._lock = threading.Lock()  # in a child, a thread of the parent may have held the old one
        self._cached: Callable[..., T] = functools.cache(self._make)

"""Fixtures shared by the core's tests."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from peeklock.engine import effects

PATIENCE = 12.0
"""Seconds for a test whose fault would be a hang: many times what it takes, and less than whoever plants one waits for."""


@pytest.fixture
def fast_pauses(monkeypatch):
    """A store that is asked again at once: thousands of faults would otherwise take minutes of waiting."""
    monkeypatch.setattr(effects, "PAUSES", (0.0, 0.0))


@pytest.fixture
def impatient() -> Iterator[None]:
    """A test that hangs fails and says where. By a signal of its own, since the alarm is peeklock's; and again and again,
    since a handler that was interrupted may have swallowed the first."""
    main, over = threading.main_thread(), threading.Event()

    def interrupt() -> None:
        while not over.wait(PATIENCE):
            signal.pthread_kill(main.ident or 0, signal.SIGUSR2)

    def fail(*_: object) -> None:
        raise AssertionError(f"it hangs: no answer in {PATIENCE:g} s")

    before = signal.signal(signal.SIGUSR2, fail)
    watch = threading.Thread(target=interrupt)
    watch.start()
    try:
        yield
    finally:
        over.set()
        watch.join()
        signal.signal(signal.SIGUSR2, before)

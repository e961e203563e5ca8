"""One value a process, and another in its children."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from peeklock.concurrency.per_process import per_process

CHILD_SECONDS = 3
"""Until a child that hangs is ended, whole seconds as alarm(2) takes them."""


def test_threads_that_ask_at_once_get_the_same():
    """The first makes it, the others wait."""
    names: list[str] = []

    @per_process
    def client(name: str) -> list[str]:
        time.sleep(0.01)
        names.append(name)
        return [name]

    results: list[list[str]] = []
    threads = [threading.Thread(target=lambda: results.append(client("a"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert names == ["a"]
    assert all(result is results[0] for result in results)
    assert client("b") == ["b"]
    client.forget()
    assert client("a") is not results[0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_makes_its_own():
    """Even when a thread of its parent was making one at the moment of the fork. (trials 6)"""
    begun, go = threading.Event(), threading.Event()

    @per_process
    def slow() -> int:
        if threading.current_thread() is not threading.main_thread():
            begun.set()
            go.wait(10)
        return os.getpid()

    thread = threading.Thread(target=slow)
    thread.start()
    begun.wait(10)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(CHILD_SECONDS)  # a child that waits for its parent's lock waits for ever
        os._exit(0 if slow() == os.getpid() else 1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    go.set()
    thread.join(10)
    assert status == 0, "-14: the child waited for a thread of its parent's"
    assert slow() == os.getpid()

"""Calls that may hang, and the threads that they take with them."""

from __future__ import annotations

import contextvars
import os
import signal
import subprocess
import sys
import threading

import pytest

from peeklock.concurrency.bounded import bounded
from peeklock.concurrency.thread_pool import Pool, Retire


def test_an_answer_is_returned_and_an_error_raised():
    assert bounded(lambda: 7, 10) == 7
    with pytest.raises(ZeroDivisionError):
        bounded(lambda: 1 // 0, 10)


def test_a_time_out_of_the_call_itself_is_its_own_error():
    def call() -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        bounded(call, 10)


def test_a_call_that_hangs_is_not_waited_for():
    release = threading.Event()
    with pytest.raises(TimeoutError, match="no answer within"):
        bounded(lambda: release.wait(30), 0.02)
    release.set()


def test_nothing_is_called_when_no_time_is_left():
    calls: list[int] = []
    with pytest.raises(TimeoutError, match="no time"):
        bounded(lambda: calls.append(1), 0)
    assert calls == []


def test_when_every_thread_hangs_it_fails_at_once_until_a_call_returns():
    """The time that it had, ten minutes, is not waited out (trials 1.15)."""
    pool, release, returned = Pool(2, "test"), threading.Event(), threading.Event()

    def hang() -> None:
        release.wait(30)

    for _ in range(2):
        with pytest.raises(TimeoutError):
            bounded(hang, 0.02, pool)
    with pytest.raises(TimeoutError, match="all 2 threads hang"):
        bounded(lambda: 1, 600, pool)
    next(iter(pool._of_this_process().stuck)).add_done_callback(lambda _: returned.set())
    release.set()
    assert returned.wait(10)
    assert bounded(lambda: 1, 10, pool) == 1


def test_calls_beyond_the_bound_wait_for_a_thread():
    pool = Pool(2, "test")
    assert list(pool.map(lambda left, right: left + right, range(50), range(50))) == [2 * n for n in range(50)]
    assert pool._of_this_process().threads <= 2


def test_a_call_that_was_given_up_before_it_began_never_runs():
    """(trials 1.22)"""
    pool, release, runs = Pool(1, "test"), threading.Event(), []
    first = pool.submit(lambda: release.wait(30))
    waiting = pool.submit(lambda: runs.append(1))
    pool.give_up(waiting)
    release.set()
    first.result(10)
    pool.submit(lambda: None).result(10)
    assert (waiting.cancelled(), runs) == (True, [])


def test_giving_up_what_has_returned_changes_nothing():
    pool = Pool(1, "test")
    future = pool.submit(lambda: 1)
    future.result(10)
    pool.give_up(future)
    assert pool.submit(lambda: 2).result(10) == 2


def test_a_thread_that_retires_is_replaced():
    pool = Pool(1, "test")

    def last() -> None:
        raise Retire(threading.get_ident())

    retired = pool.submit(last)
    waiting = pool.submit(threading.current_thread)
    assert retired.result(10) > 0
    assert waiting.result(10).is_alive()


def test_the_call_sees_the_context_and_does_not_change_it():
    variable = contextvars.ContextVar("variable", default="outside")
    variable.set("inside")

    def call() -> str:
        seen = variable.get()
        variable.set("changed")
        return seen

    assert (bounded(call, 10), variable.get()) == ("inside", "inside")


def test_without_a_thread_to_be_had_it_fails_at_once():
    pool = Pool(2, "test")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", _refuse)
        with pytest.raises(TimeoutError, match="no thread can be started"):
            bounded(lambda: 1, 600, pool)


def test_with_a_thread_that_is_busy_it_waits_for_that_one():
    pool, release = Pool(2, "test"), threading.Event()
    first = pool.submit(lambda: release.wait(30))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", _refuse)
        second = pool.submit(lambda: 2)
    release.set()
    assert (first.result(10), second.result(10)) == (True, 2)


def _refuse(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_has_threads_of_its_own():
    """Although its parent's were all stuck, and the lock held."""
    pool, release = Pool(1, "test"), threading.Event()
    with pytest.raises(TimeoutError):
        bounded(lambda: release.wait(30), 0.02, pool)
    with pool._of_this_process().lock:
        child = os.fork()
        if child == 0:
            signal.alarm(10)  # ends it where it would wait for ever
            os._exit(0 if bounded(os.getpid, 10, pool) == os.getpid() else 1)
    release.set()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_exit_of_the_process_does_not_wait():
    """(trials 1.14)"""
    program = (
        "import sys, threading; from peeklock.concurrency.bounded import bounded\n"
        "try: bounded(lambda: threading.Event().wait(), 0.05)\n"
        "except TimeoutError: sys.exit(3)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 3


def test_the_threads_of_a_forgotten_pool_end():
    """After the calls that were handed to it; a test suite makes thousands of them."""
    pool, both = Pool(2, "test"), threading.Barrier(3)  # else one thread may make all calls before the other has begun
    ran = [pool.submit(lambda: (both.wait(10), threading.current_thread())[1]) for _ in range(2)]
    last = pool.submit(threading.current_thread)
    del pool
    both.wait(10)
    for future in [*ran, last]:
        thread = future.result(10)
        assert isinstance(thread, threading.Thread)
        thread.join(10)
        assert not thread.is_alive()

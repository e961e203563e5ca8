"""Hooks of the user's that hang: they cost their own message, and end in its outcome."""

from __future__ import annotations

import signal
import threading
import time
from datetime import timedelta
from typing import Any

import pytest

from peeklock import Message, Queue, consumer
from peeklock.claims import State
from peeklock.engine import run
from peeklock.hooks import _perform, limited
from peeklock.interrupt import Alarm, Interrupted, Target
from peeklock.plan import Plan, Window
from peeklock.stores.memory import MemoryStore
from peeklock.testing import FakeClock
from peeklock.threads import Pool
from tests.core.world import message, plan_for

QUICK = Queue("orders", max_attempts=5, timeout=0.1, first_delay=1)
WAYS = ("main", "threads", "async")
HANG = b'"hang"'


def hang() -> None:
    """In Python, so that it can be interrupted."""
    while True:
        time.sleep(0.001)


def plan(way: str, *, store: Any = None, clock: Any = None, **declared: Any) -> Plan:
    @consumer(QUICK, **declared)
    def handler(payload: dict) -> None:
        if payload == "fail":
            raise ValueError

    @consumer(QUICK, **declared)
    async def coroutine(payload: dict) -> None:
        if payload == "fail":
            raise ValueError

    declared_one: Any = coroutine if way == "async" else handler
    world = {"clock": clock} if clock else {}
    return plan_for(declared_one, store=store, parallel=1 + (way == "threads"), **world)


def decode(body: bytes) -> Any:
    if body == HANG:
        hang()
    return "fail" if body == b'"fail"' else body


def key(payload: Any) -> str:
    if payload == HANG:
        hang()
    return str(payload)


HOOKS: dict[str, Any] = {"decode": {"decode": decode}, "key": {"decode": lambda body: body, "key": key}}


def reasons(settled: Any) -> list[str]:
    return [one.outcome.reason.value for one in settled]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_that_hangs_costs_its_own_message(way, hook):
    """It has timed out, counted by the store; what is beside it runs."""
    store = MemoryStore()
    bound = plan(way, store=store, **HOOKS[hook])
    settled = run(bound, [message(HANG, id="a"), message(b"{}", id="b")], timedelta(seconds=20))
    assert reasons(settled) == ["timeout", "done"]
    assert "reading it took longer" in settled[0].outcome.detail
    record = store.records["orders#a"]
    assert (record.state, record.attempts) == (State.WAITING, 1)


@pytest.mark.parametrize("way", WAYS)
def test_without_a_store_it_costs_its_own_message_too(way):
    bound = plan(way, decode=decode)
    assert reasons(run(bound, [message(HANG, id="a"), message(b"{}", id="b")], timedelta(seconds=20))) == [
        "timeout",
        "done",
    ]


@pytest.mark.parametrize("way", WAYS)
def test_an_on_error_that_hangs_has_no_answer(way, caplog):
    """The failure is then one like any other."""
    bound = plan(way, store=MemoryStore(), decode=decode, on_error=lambda _: hang())
    assert reasons(run(bound, [message(b'"fail"', id="a"), message(b"{}", id="b")], timedelta(seconds=20))) == [
        "retry",
        "done",
    ]
    assert "on_error_failed" in caplog.text


def test_no_hook_is_called_without_time_for_it():
    """As no handler is; nothing is known of the message then, so it comes back."""
    calls: list[bytes] = []
    bound = plan("main", store=MemoryStore(), clock=FakeClock(), decode=calls.append)
    assert reasons(run(bound, [message(b"{}")], timedelta(seconds=0.5))) == ["halted"]
    assert calls == []


def test_a_hook_that_blocks_is_left_alone():
    """It may go on; what it answers later concerns nobody."""
    release, ended = threading.Event(), threading.Event()
    gate = threading.Lock()

    def stubborn() -> str:
        while not release.is_set():
            try:
                release.wait(10)
            except Interrupted:
                continue
        ended.set()
        return "late"

    pool = Pool(1, "test")
    with pytest.raises(Interrupted):
        limited(pool, stubborn, 0.02)
    with pytest.raises(TimeoutError, match="hang"):
        limited(pool, gate.locked, 10)
    release.set()
    assert ended.wait(10)


def test_a_hook_that_gets_no_thread_is_never_called():
    pool, release, calls = Pool(1, "test"), threading.Event(), []
    occupied = pool.submit(lambda: release.wait(10))
    with pytest.raises(Interrupted):
        limited(pool, lambda: calls.append(1), 0.02)
    release.set()
    occupied.result(10)
    pool.submit(lambda: None).result(10)
    assert calls == []


def test_a_hook_whose_time_was_over_before_it_began_is_not_called():
    """Its thread had it already, and nobody waits any more."""
    target, calls = Target(), []
    assert target.cancel()
    with pytest.raises(Interrupted):
        _perform(target, lambda: calls.append(1))
    assert calls == []


def test_a_time_out_of_the_hook_s_own_stays_one():
    def fails() -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        limited(Pool(1, "test"), fails, 10)


@pytest.mark.parametrize("where", ["main", "thread"])
def test_one_that_swallows_its_interruption_has_no_result(where):
    def swallow() -> str:
        try:
            hang()
        except BaseException:  # noqa: BLE001 - what is meant to be tested
            return "half"
        return "whole"

    def on_main() -> str:
        with Alarm(10, time.monotonic() + 20) as alarm:
            return alarm.limited(swallow, 0.02)

    with pytest.raises(Interrupted):
        limited(Pool(1, "test"), swallow, 0.02) if where == "thread" else on_main()


def test_an_envelope_may_hang_too():
    """`unwrap=` is read in the same call."""
    from dataclasses import replace

    def unwrap(arrived: Message) -> Message:
        if arrived.body == HANG:
            hang()
        return arrived

    bound = replace(plan("threads"), unwrap=unwrap, has_hooks=True)
    assert Window(bound, None, 1).timeout == 0.1
    assert reasons(run(bound, [message(HANG)], timedelta(seconds=20))) == ["timeout"]


@pytest.mark.parametrize("after", [signal.SIG_IGN, signal.SIG_DFL])
def test_a_hook_that_uses_the_alarm_itself(after):
    """Takes the time-out from no handler, and the process goes on."""

    def take(_: Message) -> dict[str, Any]:
        signal.signal(signal.SIGALRM, after)
        signal.setitimer(signal.ITIMER_REAL, 0)
        return {}

    @consumer(QUICK, decode=take)
    def handler(payload: dict) -> None:
        hang()

    settled = run(plan_for(handler), [message({}, id=name) for name in "ab"])
    assert [one.outcome.reason for one in settled] == ["timeout", "timeout"]

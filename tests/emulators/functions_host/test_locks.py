"""Locks of running functions and idle sessions, on a clock that the tests move."""

from __future__ import annotations

import contextlib

from azure.servicebus import ServiceBusMessage

from tests.emulators.functions_host.kit import Stage


def pass_time(stage: Stage, seconds: float, step: float = 15) -> None:
    """Move the host's time first, so that it renews locks before they end."""
    for _ in range(int(seconds / step)):
        stage.host.advance(step)
        stage.bus.advance(step)


def ended(stage: Stage, queue: str) -> list[int]:
    """Return how many locks of each message have ended."""
    return [message.delivery_count for message in stage.bus.messages(queue)]


def test_a_single_messages_lock_is_renewed_as_long_as_host_json_says(stage: Stage) -> None:
    host = stage.run("single", bus={"maxAutoLockRenewalDuration": "00:02:00", "maxConcurrentCalls": 1}, grace=0.1)
    stage.send("orders", "sleep 600")
    stage.until_noted("single")
    pass_time(stage, 120)
    assert ended(stage, "orders") == [0], stage.host.lines
    pass_time(stage, 120, step=5)  # with longer steps a renewal could come too late by itself
    assert ended(stage, "orders") == [1]
    host.kill()
    assert host.wait_count(1)[0].settled == ("lost",)


def test_locks_of_a_batch_are_not_renewed(stage: Stage) -> None:
    stage.run("batch", grace=0.1)
    stage.send("batches", "sleep 600", "a")
    stage.until_noted("batch")
    pass_time(stage, 45)
    assert ended(stage, "batches") == [0, 0]
    pass_time(stage, 30)
    assert ended(stage, "batches") == [1, 1]


def test_a_sessions_lock_is_renewed_and_it_is_given_up_when_it_is_idle(stage: Stage) -> None:
    """Other sessions are served then, even when the host serves one at a time."""
    host = stage.run("session", bus={"maxConcurrentSessions": 1, "sessionIdleTimeout": "00:00:30"})
    stage.send("sessions", ServiceBusMessage("sleep 0.5", session_id="s"), ServiceBusMessage("b", session_id="t"))
    stage.until_noted("session")
    pass_time(stage, 90)
    assert ended(stage, "sessions") == [0, 0]
    host.wait_count(1)
    while len(host.invocations) < 2:  # a time that is moved before the host waits for the session is moved in vain
        host.advance(31)
        with contextlib.suppress(TimeoutError):
            host.wait_count(2, timeout=3)
    assert [invocation.settled for invocation in host.invocations] == [("completed",)] * 2


def test_more_calls_than_one_a_session(stage: Stage) -> None:
    host = stage.run("session", bus={"maxConcurrentCallsPerSession": 3})
    stage.send("sessions", *(ServiceBusMessage("sleep 0.3", session_id="s") for _ in range(3)))
    together = host.wait_count(3)
    assert [invocation.settled for invocation in together] == [("completed",)] * 3
    assert stage.left("sessions") == []

"""Rates, waits and the meaning of responses, where the real service was not recorded."""

from __future__ import annotations

import socket
import time
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudqueues.cloudtasks import CloudTasksEmulator, attempts, http_client
from cloudqueues.cloudtasks.errors import Code
from tests.emulators.cloudtasks.support import HANG, Target, queue_of, refusal, task_of


def starts(emulator: CloudTasksEmulator) -> list[float]:
    times = [dispatch.when for dispatch in emulator.dispatches]
    return [round(later - min(times), 1) for later in sorted(times)]


def test_a_burst_and_then_the_rate(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    queue = queue_of(client, rate_limits={"max_dispatches_per_second": 2})
    client.pause_queue(name=queue.name)
    for _ in range(14):
        task_of(client, queue, target.url)
    client.resume_queue(name=queue.name)
    emulator.drain()
    assert starts(emulator) == [0.0] * 10 + [0.5, 1.0, 1.5, 2.0]


def test_a_new_rate_counts_at_once(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    queue = queue_of(client, rate_limits={"max_dispatches_per_second": 0.001})
    for _ in range(11):
        task_of(client, queue, target.url)
    target.wait(10)
    client.update_queue(queue={"name": queue.name, "rate_limits": {"max_dispatches_per_second": 500}})
    emulator.wait_idle()
    assert len(target.seen) == 11


def test_no_more_at_once_than_allowed(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    target.script = [HANG] * 4 + [200]
    queue = queue_of(client, rate_limits={"max_concurrent_dispatches": 2}, retry_config={"max_attempts": 1})
    for _ in range(6):
        task_of(client, queue, target.url, dispatch_deadline={"seconds": 15})
    assert len(target.wait(2)) == 2
    emulator.advance(15)
    assert len(target.wait(4)) == 4
    emulator.advance(15)
    emulator.wait_idle()
    assert sorted(dispatch.status for dispatch in emulator.dispatches) == [200, 200, 504, 504, 504, 504]


def test_tasks_are_sent_when_they_are_due_and_in_that_order(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    queue = queue_of(client)
    now = int(emulator.now)
    for later in (3000, 1000, 2000):
        task_of(client, queue, f"{target.url}/{later}", schedule_time={"seconds": now + later})
    emulator.advance(1500)
    target.wait(1)
    emulator.drain()
    assert [seen.path for seen in target.seen] == ["/1000", "/2000", "/3000"]


def test_a_task_that_is_deleted_while_it_waits_is_not_sent(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    queue = queue_of(client)
    now = int(emulator.now)
    deleted = task_of(client, queue, f"{target.url}/deleted", schedule_time={"seconds": now + 1000})
    task_of(client, queue, f"{target.url}/kept", schedule_time={"seconds": now + 2000})
    client.delete_task(name=deleted.name)
    emulator.drain()
    assert [seen.path for seen in target.seen] == ["/kept"]


def test_a_task_under_way_is_not_tried_again_once_its_queue_is_deleted(
    emulator: CloudTasksEmulator, target: Target
) -> None:
    client = emulator.client()
    target.script = [HANG, 200]
    queue = queue_of(client)
    task_of(client, queue, target.url, dispatch_deadline={"seconds": 15})
    target.wait(1)
    client.delete_queue(name=queue.name)
    emulator.advance(15)
    emulator.wait_for(lambda dispatches: len(dispatches) == 1)
    emulator.drain()
    assert [dispatch.status for dispatch in emulator.dispatches] == [504]


@pytest.mark.parametrize(
    ("status", "code", "is_error"),
    [
        (400, Code.INVALID_ARGUMENT, False),
        (402, Code.FAILED_PRECONDITION, False),
        (498, Code.FAILED_PRECONDITION, False),
        (500, Code.INTERNAL, True),
        (599, Code.INTERNAL, True),
        (600, Code.UNKNOWN, False),
        (399, Code.UNKNOWN, False),
        (0, Code.UNKNOWN, True),
    ],
)
def test_what_a_status_counts_as(status: int, code: Code, is_error: bool) -> None:
    assert (attempts.status_code(status), attempts.is_server_error(status)) == (code, is_error)


@pytest.mark.parametrize("status", [200, 201, 204, 205, 299, 304])
def test_success(emulator: CloudTasksEmulator, target: Target, status: Any) -> None:
    """304 is not tried again by the real service either: google/nomulus, pull request 2118."""
    client = emulator.client()
    target.script = [status, 500]
    task_of(client, queue_of(client), target.url)
    emulator.wait_idle()
    assert [dispatch.status for dispatch in emulator.dispatches] == [status]


@pytest.mark.parametrize(
    ("status", "asked", "waited"),
    [
        (503, "20", 20),
        (429, "20", 20),
        (503, "1", 5),
        (500, "20", 5),
        (503, "soon", 5),
        (503, "a date in 1000 s", 1000),
    ],
)
def test_retry_after_lengthens_the_wait(
    emulator: CloudTasksEmulator, target: Target, status: Any, asked: Any, waited: Any
) -> None:
    client = emulator.client()
    target.script = [status, 200]
    dated = formatdate(time.time() + 1000, usegmt=True)
    target.headers = {"Retry-After": dated if waited == 1000 else asked}
    queue = queue_of(client, retry_config={"min_backoff": {"seconds": 5}, "max_backoff": {"seconds": 5}})
    name = task_of(client, queue, target.url).name
    emulator.wait_for(lambda ended: len(ended) == 1)
    task = client.get_task(name=name)
    wait = (task.schedule_time - task.last_attempt.response_time).total_seconds()
    assert wait == pytest.approx(waited, abs=30 if waited == 1000 else 0.01)


def test_a_deleted_task_stays_deleted_whatever_its_attempt_says(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    queue = queue_of(client)
    target.script = [HANG]
    name = task_of(client, queue, target.url, dispatch_deadline={"seconds": 15}).name
    target.wait(1)
    client.delete_task(name=name)
    emulator.advance(15)
    emulator.wait_idle()
    assert [dispatch.status for dispatch in emulator.dispatches] == [504]
    assert "existed recently" in refusal(lambda: client.get_task(name=name))


def test_a_deleted_queue_sends_nothing_more(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    queue = queue_of(client)
    task_of(client, queue, target.url, schedule_time={"seconds": int(emulator.now) + 60})
    client.delete_queue(name=queue.name)
    emulator.advance(3600)
    emulator.wait_idle()
    assert target.seen == []


def test_the_newest_attempt_counts(emulator: CloudTasksEmulator, target: Target) -> None:
    """RunTask beside an attempt under way: the response to the earlier one is ignored."""
    client = emulator.client()
    target.script = [HANG, 500]
    queue = queue_of(client, retry_config={"min_backoff": {"seconds": 600}, "max_backoff": {"seconds": 600}})
    name = task_of(client, queue, target.url, dispatch_deadline={"seconds": 15}).name
    target.wait(1)
    client.run_task(name=name)
    emulator.wait_for(lambda ended: len(ended) == 1)
    emulator.advance(15)
    emulator.wait_for(lambda _: len(emulator.dispatches) == 2)  # a condition may look at the emulator itself
    task = client.get_task(name=name)
    assert (task.dispatch_count, task.last_attempt.response_status.code) == (2, Code.INTERNAL)
    emulator.advance(600)
    assert [seen.tasks("taskpreviousresponse") for seen in target.wait(3)] == [None, None, "500"]


def test_success_counts_whichever_attempt_has_it(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    queue = queue_of(client, retry_config={"min_backoff": {"seconds": 600}})
    with socket.create_server(("127.0.0.1", 0)) as slow:
        name = task_of(client, queue, f"http://127.0.0.1:{slow.getsockname()[1]}/").name
        slow.settimeout(5)
        first = slow.accept()[0]
        uri = {"scheme": "HTTP", "host": "127.0.0.1", "port": target.port}
        client.update_queue(
            queue={"name": queue.name, "http_target": {"uri_override": uri}}, update_mask={"paths": ["http_target"]}
        )
        target.script = [500]
        client.run_task(name=name)
        emulator.wait_for(lambda ended: len(ended) == 1)
        first.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        emulator.wait_idle()
        first.close()
    assert [dispatch.status for dispatch in emulator.dispatches] == [500, 200]


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_a_retry_after_of_any_kind(text: str) -> None:
    assert http_client._seconds(text) >= 0


def test_a_wait_that_ends_after_the_last_day(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    target.script = [500]
    forever = {"seconds": 315_576_000_000}
    queue = queue_of(client, retry_config={"min_backoff": forever, "max_backoff": forever})
    name = task_of(client, queue, target.url).name
    emulator.wait_for(lambda ended: len(ended) == 1)
    assert client.get_task(name=name).schedule_time.year == 9999


def test_run_before_its_time_leaves_no_second_attempt(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    queue = queue_of(client)
    name = task_of(client, queue, target.url, schedule_time={"seconds": int(emulator.now) + 60}).name
    client.run_task(name=name)
    emulator.wait_idle()
    emulator.advance(3600)
    emulator.wait_idle()
    assert len(target.seen) == 1

"""Recorded: when a task is sent again and given up, and RunTask."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from cloudqueues.cloudtasks import CloudTasksEmulator
from tests.emulators.cloudtasks.support import (
    EXISTED,
    GONE,
    Target,
    attempt_of,
    queue_of,
    refusal,
    task_of,
)


def attempts(emulator: CloudTasksEmulator, target: Target, retry: Any, task_retry: Any = None) -> tuple[int, list[int]]:
    """Return how often a task that always fails is sent, and the seconds between."""
    client = emulator.client()
    target.script = [500]
    own = {"retry_config": task_retry} if task_retry else {}
    task_of(client, queue_of(client, retry_config=retry), target.url, **own)
    emulator.drain()
    times = [dispatch.when for dispatch in emulator.dispatches]
    return len(times), [round(later - earlier) for earlier, later in itertools.pairwise(times)]


def seconds(**retry: Any) -> dict[str, Any]:
    """Return retry settings with their times in seconds."""
    counts = {"max_attempts", "max_doublings"}
    return {name: value if name in counts else {"seconds": value} for name, value in retry.items()}


TWO = {"min_backoff": 2, "max_backoff": 2}
ONE = {"min_backoff": 1, "max_backoff": 1}


@pytest.mark.parametrize(
    ("retry", "count"),
    [
        (seconds(max_attempts=3, **ONE), 3),
        (seconds(max_attempts=-1, max_retry_duration=3, **TWO), 3),
        (seconds(max_attempts=2, max_retry_duration=3, **TWO), 3),
        (seconds(max_attempts=4, max_retry_duration=1, **ONE), 4),
    ],
)
def test_a_task_is_given_up_when_both_limits_are_reached(
    emulator: CloudTasksEmulator, target: Target, retry: Any, count: Any
) -> None:
    assert attempts(emulator, target, retry)[0] == count


def test_doublings_and_then_linear(emulator: CloudTasksEmulator, target: Target) -> None:
    retry = seconds(max_attempts=6, min_backoff=1, max_backoff=7, max_doublings=1)
    assert attempts(emulator, target, retry) == (6, [1, 2, 4, 6, 7])


def test_the_series_of_the_documentation(emulator: CloudTasksEmulator, target: Target) -> None:
    """https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues#RetryConfig"""
    retry = seconds(max_attempts=9, min_backoff=10, max_backoff=300, max_doublings=3)
    assert attempts(emulator, target, retry) == (9, [10, 20, 40, 80, 160, 240, 300, 300])


def test_a_tasks_own_retry_settings(emulator: CloudTasksEmulator, target: Target) -> None:
    assert attempts(emulator, target, seconds(max_attempts=10, **ONE), seconds(max_attempts=2, **ONE))[0] == 2


@pytest.mark.parametrize("status", [200, 500])
def test_a_finished_tasks_name_is_blocked(emulator: CloudTasksEmulator, target: Target, status: Any) -> None:
    client = emulator.client()
    target.script = [status]
    queue = queue_of(client, retry_config={"max_attempts": 1})
    name = task_of(client, queue, target.url, name=f"{queue.name}/tasks/t").name
    emulator.wait_idle()
    assert refusal(lambda: client.get_task(name=name)) == GONE
    assert refusal(lambda: task_of(client, queue, target.url, name=name)) == EXISTED


def test_a_paused_queue_sends_nothing(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    queue = queue_of(client)
    assert client.pause_queue(name=queue.name).state.name == "PAUSED"
    task_of(client, queue, target.url)
    emulator.advance(3600)
    emulator.wait_idle()
    assert target.seen == []
    assert client.resume_queue(name=queue.name).state.name == "RUNNING"
    emulator.wait_idle()
    assert len(target.seen) == 1


def test_run_sends_now(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    queue = queue_of(client)
    later = int(emulator.now) + 86400
    when = {"seconds": later, "nanos": 123456000}
    created = task_of(client, queue, target.url, name=f"{queue.name}/tasks/t", schedule_time=when)
    ran = client.run_task(name=created.name)
    assert (ran.dispatch_count, ran.response_count, ran.view.name) == (1, 0, "BASIC")
    assert ("first_attempt" in ran, "dispatch_time" in ran.last_attempt) == (False, False)
    assert ran.schedule_time == ran.last_attempt.schedule_time == created.schedule_time
    [seen] = target.wait(1)
    assert seen.tasks("TaskETA") == f"{later}.123456"
    emulator.wait_idle()
    assert refusal(lambda: client.get_task(name=created.name)) == GONE


def test_run_ignores_a_pause(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    queue = queue_of(client)
    client.pause_queue(name=queue.name)
    client.run_task(name=task_of(client, queue, target.url).name)
    target.wait(1)


def test_run_backs_off_after_a_failure(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    target.script = [500]
    queue = queue_of(client, retry_config=seconds(min_backoff=60, max_backoff=60))
    created = task_of(client, queue, target.url, schedule_time={"seconds": int(emulator.now) + 86400})
    client.run_task(name=created.name)
    emulator.wait_for(lambda ended: len(ended) == 1)
    task = client.get_task(name=created.name)
    assert attempt_of(client, created.name) == (1, 0, 13, "INTERNAL(13): HTTP status code 500")
    assert "first_attempt" in task
    assert "dispatch_time" in task.last_attempt
    assert (task.schedule_time - task.last_attempt.response_time).total_seconds() == 60

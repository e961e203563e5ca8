"""Recorded: when the name of a task is free again."""

from __future__ import annotations

from typing import Any

from cloudqueues.cloudtasks import CloudTasksEmulator
from tests.emulators.cloudtasks.support import (
    EXISTED,
    GONE,
    LATER,
    queue_of,
    refusal,
    task_of,
)

NOT_FOUND = "NOT_FOUND: Requested entity was not found."


def test_a_name_is_used_once(client: Any, queue: Any) -> None:
    name = f"{queue.name}/tasks/once"
    task_of(client, queue, name=name)
    assert refusal(lambda: task_of(client, queue, name=name)) == "ALREADY_EXISTS: Requested entity already exists"


def test_a_deleted_tasks_name_is_blocked_for_a_day(emulator: CloudTasksEmulator) -> None:
    client = emulator.client()
    queue = queue_of(client)
    name = f"{queue.name}/tasks/t"
    task_of(client, queue, name=name, **LATER)
    assert client.delete_task(name=name) is None
    assert refusal(lambda: client.get_task(name=name)) == GONE
    assert refusal(lambda: task_of(client, queue, name=name)) == EXISTED
    assert refusal(lambda: client.delete_task(name=name)) == NOT_FOUND
    assert refusal(lambda: client.run_task(name=name)) == NOT_FOUND
    emulator.advance(86400 - 60)
    assert refusal(lambda: task_of(client, queue, name=name)) == EXISTED
    emulator.advance(61)
    assert refusal(lambda: client.get_task(name=name)) == NOT_FOUND
    assert task_of(client, queue, name=name, schedule_time={"seconds": int(emulator.now) + 60}).name == name


def test_purged_tasks_leave_their_names_blocked(client: Any) -> None:
    queue = queue_of(client)
    client.pause_queue(name=queue.name)
    name = task_of(client, queue, name=f"{queue.name}/tasks/a").name
    client.purge_queue(name=queue.name)
    task_of(client, queue, name=f"{queue.name}/tasks/b")
    assert [task.name.rpartition("/")[2] for task in client.list_tasks(parent=queue.name)] == ["b"]
    assert refusal(lambda: client.get_task(name=name)) == GONE
    assert refusal(lambda: task_of(client, queue, name=name)) == EXISTED

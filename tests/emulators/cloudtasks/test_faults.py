"""Injected faults, which repeat from the same seed."""

from __future__ import annotations

import contextlib
from collections import Counter

import pytest
from google.api_core import exceptions, retry
from google.cloud import tasks_v2

from cloudqueues.cloudtasks import CloudTasksEmulator
from cloudqueues.faults import NO_FAULTS, Faults
from tests.emulators.cloudtasks.support import HANG, HERE, Target, fresh, queue_of, task_of


def paths(target: Target) -> list[str]:
    return [seen.path for seen in target.seen]


def test_a_duplicate_comes_also_after_success(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    emulator.faults = Faults(duplicate=1.0, delay_s=0.05)
    for number in range(10):
        task_of(client, queue_of(client), f"{target.url}/{number}")
    emulator.wait_idle()
    assert Counter(paths(target)) == {f"/{number}": 2 for number in range(10)}
    assert all(seen.tasks("taskretrycount") == "0" for seen in target.seen)
    assert Counter(dispatch.duplicate for dispatch in emulator.dispatches) == {False: 10, True: 10}


def test_the_answer_to_a_duplicate_changes_nothing(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    target.script = [200, 500]
    emulator.faults = Faults(duplicate=1.0, delay_s=0.1)
    task_of(client, queue_of(client), target.url)
    emulator.wait_idle()
    assert len(target.seen) == 2


def test_later_ones_go_before_a_task_that_is_held_back(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    queue = queue_of(client)
    emulator.faults = Faults(seed=3, reorder=0.5, delay_s=600.0)
    for number in range(20):
        task_of(client, queue, f"{target.url}/{number:02}", name=f"{queue.name}/tasks/{number:02}")
    emulator.drain()
    assert paths(target) != sorted(paths(target))
    assert sorted(paths(target)) == [f"/{number:02}" for number in range(20)]


def test_an_answer_that_is_lost_has_the_task_sent_again(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    queue = queue_of(client, retry_config={"max_attempts": 2})
    emulator.faults = Faults(drop=1.0)
    with pytest.raises(exceptions.ServiceUnavailable):
        task_of(client, queue, target.url)
    emulator.drain()
    assert [dispatch.status for dispatch in emulator.dispatches] == [0, 0]
    assert [seen.tasks("taskpreviousresponse") for seen in target.seen] == [None, "0"]


def test_the_answer_to_a_call_is_late_by_the_emulators_time(emulator: CloudTasksEmulator) -> None:
    client = emulator.client()
    queue = queue_of(client)
    client.pause_queue(name=queue.name)
    emulator.faults = Faults(delay=1.0, delay_s=3600.0)
    request = tasks_v2.CreateTaskRequest(parent=queue.name, task={"http_request": {"url": "http://x"}})
    answer = client.transport.create_task.future(request)
    emulator._wait(lambda emulation: emulation.until(lambda: bool(emulation.state.queue(queue.name).tasks)), 10)
    assert not answer.done()
    emulator.advance(3600)
    assert answer.result(timeout=10).name


def test_the_answer_of_a_target_is_late(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    queue = queue_of(client)
    task = {"name": f"{queue.name}/tasks/t", "http_request": {"url": target.url}}
    faults = Faults(delay=1.0, delay_s=0.5)
    emulator.faults = faults
    client.create_task(parent=queue.name, task=task)
    emulator.wait_idle()
    [dispatch] = emulator.dispatches
    assert dispatch.took >= 0.5 * faults.draw("delay for", dispatch.task, 1) > 0


def test_a_refused_call_is_not_done_and_another_try_has_another_fate(emulator: CloudTasksEmulator) -> None:
    client = emulator.client()
    names = [fresh() for _ in range(20)]
    emulator.faults = Faults(seed=1, refuse=0.5)
    refused = 0
    for name in names:
        try:
            client.create_queue(parent=HERE, queue={"name": name})
        except exceptions.ServiceUnavailable:
            refused += 1
    assert 0 < refused < 20
    emulator.faults = NO_FAULTS
    assert len(list(client.list_queues(parent=HERE))) == 20 - refused
    emulator.faults = Faults(seed=1, refuse=0.5)
    again = retry.Retry(predicate=retry.if_exception_type(exceptions.ServiceUnavailable), initial=0.001, maximum=0.001)
    for number in range(10):
        client.create_queue(parent=f"{HERE}{number}", queue={"name": f"{HERE}{number}/queues/q"}, retry=again)


def test_a_lost_answer_to_a_call_was_done(emulator: CloudTasksEmulator) -> None:
    client = emulator.client()
    emulator.faults = Faults(drop=1.0)
    name = fresh()
    with pytest.raises(exceptions.ServiceUnavailable):
        client.create_queue(parent=HERE, queue={"name": name})
    emulator.faults = NO_FAULTS
    assert client.get_queue(name=name).name == name


def test_a_lock_that_is_lost_has_the_task_sent_while_its_handler_runs(
    emulator: CloudTasksEmulator, target: Target
) -> None:
    client = emulator.client()
    target.script = [HANG, 200]
    queue = queue_of(client, retry_config={"min_backoff": {"nanos": 1_000_000}})
    emulator.faults = Faults(lose_lock=1.0, delay_s=30.0)
    task_of(client, queue, target.url)
    target.wait(1)
    emulator.advance(30)
    emulator.wait_for(bool)
    emulator.faults = NO_FAULTS
    emulator.drain()
    assert [dispatch.status for dispatch in emulator.dispatches] == [504, 200]


def run(seed: int, target: Target) -> list[tuple[str, int, int, bool]]:
    """Return the fates of twenty tasks by their names, not their times."""
    faults = Faults(seed=seed, duplicate=0.3, drop=0.3, reorder=0.3, delay=0.3, refuse=0.3, delay_s=0.01)
    again = retry.Retry(predicate=retry.if_exception_type(exceptions.ServiceUnavailable), initial=0.001, maximum=0.001)
    with CloudTasksEmulator(faults=faults) as emulator:
        client = emulator.client()
        name = f"{HERE}/queues/q"
        client.update_queue(queue={"name": name, "retry_config": {"max_attempts": 5}}, retry=again)
        for number in range(20):
            task = {"name": f"{name}/tasks/{number}", "http_request": {"url": f"{target.url}/{number}"}}
            with contextlib.suppress(exceptions.AlreadyExists):  # the answer to an earlier try was lost
                client.create_task(parent=name, task=task, retry=again)
        emulator.drain()
        return sorted(
            (dispatch.task, dispatch.attempt, dispatch.status, dispatch.duplicate) for dispatch in emulator.dispatches
        )


def test_the_same_seed_does_the_same_again(target: Target) -> None:
    first = run(7, target)
    assert first == run(7, target)
    assert first != run(8, target)
    assert len({task for task, *_ in first}) == 20

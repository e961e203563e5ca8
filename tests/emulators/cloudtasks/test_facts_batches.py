"""Recorded: batches and their operations."""

from __future__ import annotations

import time
from typing import Any

import grpc
import pytest
from google.longrunning import operations_pb2  # type: ignore[import-untyped] # Google's

from cloudqueues.cloudtasks import CloudTasksEmulator
from tests.emulators.cloudtasks.support import HERE, NO_QUEUE, fresh, queue_of, refusal, task_of

TASK: dict[str, Any] = {
    "http_request": {"url": "https://example.com/work"},
    "schedule_time": {"seconds": int(time.time()) + 86400},
}
BAD_ID = (
    'Task ID "not valid" can contain only letters ([A-Za-z]), numbers ([0-9]), hyphens (-),'
    " or underscores (_). Task ID must between 1 and 500 characters."
)
NOT_FOUND = "Requested entity was not found."
TOO_FAR = (
    "The Task.scheduleTime, 2099-12-31T16:00:00-08:00, is too far in the future."
    " Schedule time must be no more than 720h in the future."
)


def new_task(client: Any, queue: Any, **fields: Any) -> Any:
    """Return the request for a task that is due tomorrow."""
    return task_of(client, queue, schedule_time=TASK["schedule_time"], **fields)


def create(client: Any, queue: str, *tasks: Any, request_id: str = "") -> Any:
    requests = [{"parent": queue, **({} if task is None else {"task": task})} for task in tasks]
    return client.batch_create_tasks({"parent": queue, "requests": requests, "request_id": request_id})


def failures(operation: Any) -> dict[int, tuple[int, str]]:
    """Return code and text of each failure by its number; none has details."""
    failed = operation.metadata.failed_requests
    assert not any(list(status.details) for status in failed.values())
    return {number: (status.code, status.message) for number, status in sorted(failed.items())}


def test_a_batch_creates_every_task(client: Any) -> None:
    queue = queue_of(client).name
    a, b = ({**TASK, "name": f"{queue}/tasks/{name}"} for name in "ab")
    requests = [{"parent": queue, "task": a}, {"parent": queue, "task": b, "response_view": "FULL"}]
    operation = client.batch_create_tasks({"parent": queue, "requests": requests})
    assert operation.operation.name.startswith(f"{HERE}/operations/")
    assert operation.done()
    assert [(task.name, task.view.name) for task in operation.result().tasks] == [
        (a["name"], "BASIC"),
        (b["name"], "FULL"),
    ]
    assert (operation.metadata.state.name, failures(operation)) == ("SUCCEEDED", {})
    assert operation.metadata.start_time <= operation.metadata.end_time
    assert client.get_task(name=a["name"]).name == a["name"]


def test_a_batch_reports_what_failed(client: Any) -> None:
    queue = queue_of(client)
    existing, deleted = (new_task(client, queue, name=f"{queue.name}/tasks/{name}") for name in "ed")
    client.delete_task(name=deleted.name)
    url = "https://example.com/work"
    account = {"service_account_email": "a@b"}
    operation = create(
        client,
        queue.name,
        {**TASK, "name": f"{queue.name}/tasks/new"},
        None,
        {},
        {"http_request": {"url": "ftp://example.com/work"}},
        {"http_request": {"url": url, "http_method": "GET", "body": b"hi"}},
        {"http_request": {"url": url}, "dispatch_deadline": {"seconds": 14}},
        {"http_request": {"url": url}, "schedule_time": {"seconds": 4_102_444_800}},
        {"http_request": {"url": url, "oauth_token": account}},
        {**TASK, "name": existing.name},
        {**TASK, "name": deleted.name},
    )
    existed = (
        "The task cannot be created because a task with this name existed too recently. For more information about task"
        " de-duplication see https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues.tasks/create"
        "#body.request_body.FIELDS.task."
    )
    assert failures(operation) == {
        1: (3, "Payload type must be set."),
        2: (3, "Payload type must be set."),
        3: (3, "HttpTarget.url must start with 'http://' or 'https://'."),
        4: (3, "Body can only be set if the http_method is POST, PUT, or PATCH."),
        5: (3, "Task.dispatchDeadline must be between [15s, 30m]."),
        6: (3, TOO_FAR),
        7: (3, 'Invalid url for HttpRequest.oauth_token. The hostname in the url must end with ".googleapis.com"'),
        8: (6, "Requested entity already exists"),
        9: (6, existed),
    }
    assert operation.metadata.state.name == "PARTIALLY_SUCCEEDED"
    assert [task.name for task in operation.result().tasks] == [f"{queue.name}/tasks/new"]


@pytest.mark.parametrize(
    ("exists", "url", "failure"),
    [
        (False, "https://example.com", (5, NO_QUEUE)),
        (True, "ftp://example.com", (3, "HttpTarget.url must start with 'http://' or 'https://'.")),
    ],
)
def test_a_batch_of_which_nothing_is_left(client: Any, exists: Any, url: Any, failure: Any) -> None:
    """Recorded: done, with neither a response nor an error."""
    name = queue_of(client).name if exists else fresh()
    operation = create(client, name, {"http_request": {"url": url}})
    assert (operation.metadata.state.name, failures(operation)) == ("FAILED", {0: failure})
    assert operation.operation.done
    assert operation.operation.WhichOneof("result") is None


def test_batches_that_are_refused(client: Any) -> None:
    queue, other = queue_of(client).name, fresh()

    def said(*requests: Any) -> str:
        return refusal(lambda: client.batch_create_tasks({"parent": queue, "requests": requests}))

    own, foreign = {"parent": queue, "task": TASK}, {"parent": other, "task": TASK}
    named = {"parent": queue, "task": {**TASK, "name": f"{queue}/tasks/t"}}
    misnamed = {"parent": queue, "task": {**TASK, "name": f"{queue}/tasks/not valid"}}
    elsewhere = {"parent": queue, "task": {**TASK, "name": f"{other}/tasks/t"}}
    assert said() == "INVALID_ARGUMENT: Request must contain at least one task."
    assert said(*[own] * 101) == (
        "INVALID_ARGUMENT: A maximum of 100 tasks can be created in a single batch, but got 101 tasks."
    )
    for request, wrong_queue in ((foreign, other), ({"task": TASK}, "")):
        assert said(request) == (
            "INVALID_ARGUMENT: All tasks in a batch request must target the same queue."
            f" Found task for queue {wrong_queue} in batch request for queue {queue}."
        )
    assert said(named, named) == f"INVALID_ARGUMENT: Duplicate task name in the batch request: {queue}/tasks/t"
    assert said(misnamed) == f"INVALID_ARGUMENT: {BAD_ID}"
    assert said(elsewhere) == (
        f"INVALID_ARGUMENT: The queue name from request ('{queue}') must be the same"
        f" as the queue name in the named task ('{other}')."
    )
    assert list(client.list_tasks(parent=queue)) == []
    assert len(create(client, queue, *[TASK] * 100).result().tasks) == 100


def test_a_request_id_names_the_operation_and_is_used_once(client: Any) -> None:
    queue = queue_of(client).name
    request_id = fresh("request").rpartition("/")[2]
    operation = create(client, queue, TASK, request_id=request_id)
    assert operation.operation.name == f"{HERE}/operations/{request_id}"
    duplicate = f"INVALID_ARGUMENT: Duplicate operation id in the batch request: {request_id}"
    assert (
        refusal(lambda: create(client, queue, {**TASK, "name": f"{queue}/tasks/b"}, request_id=request_id)) == duplicate
    )
    assert refusal(lambda: client.get_task(name=f"{queue}/tasks/b")) == f"NOT_FOUND: {NOT_FOUND}"
    delete = {"parent": queue, "names": [f"{queue}/tasks/b"], "request_id": request_id}
    assert refusal(lambda: client.batch_delete_tasks(delete)) == duplicate


def test_a_batch_deletes_every_task(client: Any) -> None:
    queue = queue_of(client)
    names = [new_task(client, queue).name for _ in range(2)]
    operation = client.batch_delete_tasks({"parent": queue.name, "names": names})
    operation.result()
    assert (operation.metadata.state.name, failures(operation)) == ("SUCCEEDED", {})
    assert "existed recently" in refusal(lambda: client.get_task(name=names[0]))


def test_a_batch_reports_what_it_could_not_delete(client: Any) -> None:
    """Recorded: a name that is listed twice is deleted once, without a failure."""
    queue, other = queue_of(client), fresh()
    for name in ("existing", "repeated", "deleted"):
        new_task(client, queue, name=f"{queue.name}/tasks/{name}")
    client.delete_task(name=f"{queue.name}/tasks/deleted")
    malformed = (
        'Invalid task name: Task name must be formatted: "projects/<PROJECT_ID>/locations/<LOCATION_ID>'
        '/queues/<QUEUE_ID>/tasks/<TASK_ID>".'
    )
    short = ["existing", "missing", "deleted", None, "not valid", None, None, "repeated", "repeated", "m", "m"]
    names = [f"{queue.name}/tasks/{name}" for name in short]
    names[3], names[5], names[6] = f"{other}/tasks/t", "not-a-valid-name", ""
    operation = client.batch_delete_tasks({"parent": queue.name, "names": names})
    assert failures(operation) == {
        1: (5, NOT_FOUND),
        2: (5, NOT_FOUND),
        3: (
            3,
            (
                f"The queue name from request ('{queue.name}') must be the same"
                f" as the queue name in the named task ('{other}')."
            ),
        ),
        4: (3, f"Invalid task name: {BAD_ID}"),
        5: (3, malformed),
        6: (3, malformed),
        9: (5, NOT_FOUND),
        10: (5, NOT_FOUND),
    }
    assert operation.metadata.state.name == "PARTIALLY_SUCCEEDED"
    assert list(client.list_tasks(parent=queue.name)) == []


@pytest.mark.parametrize("exists", [True, False])
def test_a_batch_that_deletes_nothing(client: Any, exists: Any) -> None:
    name = queue_of(client).name if exists else fresh()
    operation = client.batch_delete_tasks({"parent": name, "names": [f"{name}/tasks/a", f"{name}/tasks/b"]})
    assert refusal(operation.result) == (
        "ABORTED: None of the requests succeeded, refer to BatchDeleteTasksMetadata.failed_requests"
        " for individual error details"
    )
    assert failures(operation) == {0: (5, NOT_FOUND), 1: (5, NOT_FOUND)}
    assert operation.metadata.state.name == "PARTIALLY_SUCCEEDED"


def test_deletions_that_are_refused(client: Any) -> None:
    queue = queue_of(client).name

    def said(names: list[str]) -> str:
        return refusal(lambda: client.batch_delete_tasks({"parent": queue, "names": names}))

    assert said([]) == "INVALID_ARGUMENT: Request contains an invalid argument."
    allowed = client.batch_delete_tasks({"parent": queue, "names": [f"{queue}/tasks/t"] * 1000})
    assert len(failures(allowed)) == 1000
    assert said([f"{queue}/tasks/t"] * 1001) == (
        "INVALID_ARGUMENT: A maximum of 1000 tasks can be handled in a batch, but 1001 were requested."
    )


def test_an_operation_can_be_read_again_and_no_more(shared: CloudTasksEmulator, client: Any) -> None:
    operation = create(client, queue_of(client).name, TASK).operation
    assert client.get_operation({"name": operation.name}) == operation
    with grpc.insecure_channel(shared.address) as channel:
        for name in ("ListOperations", "WaitOperation", "CancelOperation", "DeleteOperation"):
            call = channel.unary_unary(
                f"/google.longrunning.Operations/{name}",
                request_serializer=operations_pb2.GetOperationRequest.SerializeToString,
            )
            with pytest.raises(grpc.RpcError) as caught:
                call(operations_pb2.GetOperationRequest(name=operation.name))
            assert (caught.value.code().name, caught.value.details()) == (
                "PERMISSION_DENIED",
                (
                    "Method doesn't allow unregistered callers (callers without established identity). Please use API Key"
                    " or other form of API consumer identity to call this API."
                ),
            )


def test_the_oldest_operations_make_room(emulator: CloudTasksEmulator, monkeypatch: Any) -> None:
    from cloudqueues.cloudtasks import state

    monkeypatch.setattr(state, "MAX_OPERATIONS", 2)
    client = emulator.client()
    queue = queue_of(client).name
    names = [create(client, queue, TASK).operation.name for _ in range(3)]
    assert refusal(lambda: client.get_operation({"name": names[0]})) == f"NOT_FOUND: {NOT_FOUND}"
    assert client.get_operation({"name": names[-1]}).done

"""Recorded: refusals of invalid names by each method, in the words of the real service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.cloud import tasks_v2 as v2

from tests.emulators.cloudtasks.support import HERE, NO_QUEUE, details, over_grpc, queue_of, refusal

pytestmark = over_grpc

Call = Callable[[Any, str], Any]
URL = {"http_request": {"url": "https://example.com/work"}}
BAD_QUEUE_ID = (
    'INVALID_ARGUMENT: Queue ID "not_valid" can contain only letters ([A-Za-z]), numbers ([0-9]), or hyphens (-).'
    " Queue ID must be between 1 and 100 characters."
)
BAD_TASK_ID = (
    'INVALID_ARGUMENT: Task ID "not valid" can contain only letters ([A-Za-z]), numbers ([0-9]), hyphens (-),'
    " or underscores (_). Task ID must between 1 and 500 characters."
)
NOT_FOUND = "NOT_FOUND: Requested entity was not found."
NO_SUCH_QUEUE = f"NOT_FOUND: {NO_QUEUE}"


def create_task(c: Any, name: str) -> Any:
    return c.create_task(parent=name, task=URL)


def batch_create(c: Any, name: str) -> Any:
    return c.batch_create_tasks({"parent": name, "requests": [{"parent": name, "task": URL}]})


def batch_delete(c: Any, name: str) -> Any:
    return c.batch_delete_tasks({"parent": name, "names": ["t"]})


OF_A_LOCATION: list[tuple[str, str, Call]] = [
    ("ListQueues", "queues.list", lambda c, name: c.list_queues(parent=name)),
    ("CreateQueue", "queues.create", lambda c, name: c.create_queue(parent=name, queue={})),
]
OF_A_QUEUE: list[tuple[str, str, Call, str]] = [
    ("GetQueue", "queues.get", lambda c, name: c.get_queue(name=name), NO_SUCH_QUEUE),
    ("UpdateQueue", "queues.update", lambda c, name: c.update_queue(queue={"name": name}), ""),
    ("DeleteQueue", "queues.delete", lambda c, name: c.delete_queue(name=name), NOT_FOUND),
    ("PauseQueue", "queues.pause", lambda c, name: c.pause_queue(name=name), NO_SUCH_QUEUE),
    ("ResumeQueue", "queues.resume", lambda c, name: c.resume_queue(name=name), NO_SUCH_QUEUE),
    ("PurgeQueue", "queues.purge", lambda c, name: c.purge_queue(name=name), NO_SUCH_QUEUE),
    ("GetIamPolicy", "queues.list", lambda c, name: c.get_iam_policy({"resource": name}), NO_SUCH_QUEUE),
    ("SetIamPolicy", "queues.list", lambda c, name: c.set_iam_policy({"resource": name}), NO_SUCH_QUEUE),
    (
        "TestIamPermissions",
        "queues.list",
        lambda c, name: c.test_iam_permissions({"resource": name}),
        NO_SUCH_QUEUE,
    ),
    ("ListTasks", "tasks.list", lambda c, name: c.list_tasks(parent=name), NO_SUCH_QUEUE),
    ("CreateTask", "tasks.create", create_task, NO_SUCH_QUEUE),
    ("BatchCreateTasks", "tasks.create", batch_create, ""),
    ("BatchDeleteTasks", "tasks.delete", batch_delete, ""),
]
OF_A_TASK: list[tuple[str, str, Call, str]] = [
    ("GetTask", "tasks.get", lambda c, name: c.get_task(name=name), NOT_FOUND),
    ("DeleteTask", "tasks.delete", lambda c, name: c.delete_task(name=name), NOT_FOUND),
    ("RunTask", "tasks.run", lambda c, name: c.run_task(name=name), NO_SUCH_QUEUE),
]
CMEK: list[tuple[str, Call]] = [
    ("GetCmekConfig", lambda c, name: c.get_cmek_config(name=name)),
    ("UpdateCmekConfig", lambda c, name: c.update_cmek_config(cmek_config={"name": name, "kms_key": "k"})),
]
EVERY: list[tuple[str, Call]] = [
    *((method, call) for method, _, call in OF_A_LOCATION),
    *((method, call) for method, _, call, _ in (*OF_A_QUEUE, *OF_A_TASK)),
    *CMEK,
]


@pytest.mark.parametrize(("method", "call"), EVERY)
def test_an_empty_name(client: Any, method: Any, call: Any) -> None:
    said = refusal(lambda: call(client, ""))
    assert said == "INVALID_ARGUMENT: Invalid resource field value in the request."
    [info] = details(lambda: call(client, ""))
    assert (info.reason, info.domain, dict(info.metadata)) == (
        "RESOURCE_PROJECT_INVALID",
        "googleapis.com",
        {"method": f"google.cloud.tasks.v2.CloudTasks.{method}", "service": "cloudtasks.googleapis.com"},
    )


@pytest.mark.parametrize(("method", "call"), EVERY)
def test_a_name_outside_of_projects(client: Any, method: Any, call: Any) -> None:
    text = "Permission denied on resource project not-a-valid-name."
    assert refusal(lambda: call(client, "not-a-valid-name")) == f"PERMISSION_DENIED: {text}"
    info, localized, link = details(lambda: call(client, "not-a-valid-name"))
    assert (info.reason, dict(info.metadata)) == (
        "CONSUMER_INVALID",
        {
            "consumer": "projects/not-a-valid-name",
            "containerInfo": "not-a-valid-name",
            "service": "cloudtasks.googleapis.com",
        },
    )
    assert (localized.locale, localized.message) == ("en-US", text)
    assert link.links[0].url == "https://console.developers.google.com"


def lacks(permission: str, name: str) -> str:
    return (
        f'PERMISSION_DENIED: The principal (user or service account) lacks IAM permission "cloudtasks.{permission}"'
        f' for the resource "{name}" (or the resource may not exist).'
    )


@pytest.mark.parametrize(("method", "permission", "call"), OF_A_LOCATION)
@pytest.mark.parametrize("name", ["projects/p", f"{HERE}/extra"])
def test_what_is_no_location(client: Any, method: Any, permission: Any, call: Any, name: Any) -> None:
    assert refusal(lambda: call(client, name)) == lacks(permission, name)


@pytest.mark.parametrize(("method", "permission", "call", "unknown"), OF_A_QUEUE)
def test_what_is_no_queue(client: Any, method: Any, permission: Any, call: Any, unknown: Any) -> None:
    assert refusal(lambda: call(client, f"{HERE}/queues")) == lacks(permission, f"{HERE}/queues")
    assert refusal(lambda: call(client, f"{HERE}/queues/not_valid")) == BAD_QUEUE_ID
    [link] = details(lambda: call(client, f"{HERE}/queues/not_valid"))
    assert link.links[0].description == "Definition of queue ID"
    if unknown:
        assert refusal(lambda: call(client, f"{HERE}/queues/never-made")) == unknown


@pytest.mark.parametrize(("method", "permission", "call", "unknown"), OF_A_TASK)
def test_what_is_no_task(client: Any, method: Any, permission: Any, call: Any, unknown: Any) -> None:
    queue = queue_of(client).name
    short, long = f"{queue}/tasks", f"{queue}/tasks/t/extra"
    assert refusal(lambda: call(client, short)) == lacks(permission, short)
    assert refusal(lambda: call(client, long)) == lacks(permission, long)
    assert refusal(lambda: call(client, f"{queue}/tasks/not valid")) == BAD_TASK_ID
    assert refusal(lambda: call(client, f"{HERE}/queues/not_valid/tasks/t")) == BAD_QUEUE_ID
    assert refusal(lambda: call(client, f"{queue}/tasks/never-made")) == NOT_FOUND
    assert refusal(lambda: call(client, f"{HERE}/queues/never-made/tasks/t")) == unknown


@pytest.mark.parametrize(("method", "call"), CMEK)
@pytest.mark.parametrize("name", [HERE, f"{HERE}/otherConfig"])
def test_what_is_no_key_setting(client: Any, method: Any, call: Any, name: Any) -> None:
    assert refusal(lambda: call(client, name)) == (
        'INVALID_ARGUMENT: CMEK Config name must be formatted: "projects/<PROJECT_ID>/locations/<LOCATION_ID>/cmekConfig".'
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "",
            'INVALID_ARGUMENT: Queue name must be formatted: "projects/<PROJECT_ID>/locations/<LOCATION_ID>/queues/<QUEUE_ID>".',
        ),
        (
            "malformed",
            'INVALID_ARGUMENT: Queue name must be formatted: "projects/<PROJECT_ID>/locations/<LOCATION_ID>/queues/<QUEUE_ID>".',
        ),
        (f"{HERE}/queues/not_valid", BAD_QUEUE_ID),
        (f"{HERE}/queues/{'a' * 101}", BAD_QUEUE_ID.replace("not_valid", "a" * 101)),
        (
            "projects/p/locations/us-central1/queues/elsewhere",
            f"INVALID_ARGUMENT: projects/p/locations/us-central1/queues/elsewhere must begin with {HERE}.",
        ),
    ],
)
def test_a_new_queues_name(client: Any, name: Any, said: Any) -> None:
    assert refusal(lambda: client.create_queue(parent=HERE, queue={"name": name})) == said


def test_a_new_tasks_name(client: Any) -> None:
    queue, other = queue_of(client).name, f"{HERE}/queues/other"

    def create(name: str) -> str:
        return refusal(lambda: client.create_task(parent=queue, task={"name": name, **URL}))

    assert create("malformed") == (
        'INVALID_ARGUMENT: Task name must be formatted: "projects/<PROJECT_ID>/locations/<LOCATION_ID>'
        '/queues/<QUEUE_ID>/tasks/<TASK_ID>".'
    )
    assert create(f"{queue}/tasks/not valid") == BAD_TASK_ID
    assert create(f"{queue}/tasks/{'a' * 501}") == BAD_TASK_ID.replace("not valid", "a" * 501)
    assert create(f"{other}/tasks/t") == (
        f"INVALID_ARGUMENT: The queue name from request ('{queue}') must be the same"
        f" as the queue name in the named task ('{other}')."
    )


def test_an_operations_name(client: Any) -> None:
    assert refusal(lambda: client.get_operation({"name": f"{HERE}/operations/unknown"})) == NOT_FOUND
    said = refusal(lambda: client.get_operation({"name": f"{HERE}/operations"}))
    assert said == lacks("operations.get", f"{HERE}/operations")
    [info] = details(lambda: client.get_operation({"name": ""}))
    assert info.metadata["method"] == "google.longrunning.Operations.GetOperation"


def test_every_method_of_the_client_is_in_this_table(client: Any) -> None:
    """A method that Google adds must not be forgotten."""
    own = {f"{method[0].lower()}{method[1:]}" for method, _ in EVERY}
    offered = {
        "".join(part.title() if n else part for n, part in enumerate(name.split("_")))
        for name in vars(v2.CloudTasksClient)
        if name.islower()
        and not name.startswith(("_", "from_", "parse_", "common_", "get_mtls"))
        and not name.endswith("_path")
    }
    rest = {"transport", "apiEndpoint", "universeDomain", "getOperation", "getLocation", "listLocations"}
    assert own | rest == offered

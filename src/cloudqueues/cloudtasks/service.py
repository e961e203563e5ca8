"""Methods of the service, from request to response. They raise Refused for requests that the service refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cloudqueues.cloudtasks import config, iam_policy, names, oidc, targets, tasks
from cloudqueues.cloudtasks.dispatch import Dispatcher
from cloudqueues.cloudtasks.errors import no_encryption
from cloudqueues.cloudtasks.filters import selects
from cloudqueues.cloudtasks.paging import page
from cloudqueues.cloudtasks.sdk import LOCATIONS, new, shared
from cloudqueues.cloudtasks.state import State, StoredQueue

MOST_QUEUES = 9800
MOST_TASKS = 1000
# https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues/list and .../queues.tasks/list


class Service:
    """Service whose methods have the names of the real ones."""

    def __init__(self, state: State, dispatcher: Dispatcher, now: Callable[[], float]) -> None:
        self._state = state
        self._dispatcher = dispatcher
        self._now = now

    # queues

    def list_queues(self, request: Any) -> Any:
        parent = names.location(request.parent, "queues.list", "ListQueues")
        wanted = selects(request.filter)
        queues, token = page(
            lambda after: (queue for queue in self._state.queues_after(parent, after) if wanted(queue.message)),
            lambda queue: str(queue.message.name),
            request="ListQueuesRequest",
            size=request.page_size,
            most=MOST_QUEUES,
            token=request.page_token,
        )
        return new("ListQueuesResponse", queues=[queue.message for queue in queues], next_page_token=token)

    def get_queue(self, request: Any) -> Any:
        return self._queue(request.name, "queues.get", "GetQueue").message

    def create_queue(self, request: Any) -> Any:
        parent = names.location(request.parent, "queues.create", "CreateQueue")
        names.new_queue(request.queue.name, parent)
        config.check(request.queue)
        _check_signing(request.queue.http_target)
        return self._state.add_queue(request.queue).message

    def update_queue(self, request: Any) -> Any:
        names.queue(request.queue.name, "queues.update", "UpdateQueue")
        paths = config.paths_of(request)
        config.check(request.queue)
        _check_signing(request.queue.http_target)
        queue = self._state.update_queue(request.queue, paths)
        self._dispatcher.dispatch_due(queue)
        return queue.message

    def delete_queue(self, request: Any) -> Any:
        name = names.queue(request.name, "queues.delete", "DeleteQueue")
        queue = self._state.queues.get(name)
        self._state.delete_queue(name)
        if queue is not None:
            self._dispatcher.remove_queue(queue)
        return shared()["Empty"]()

    def purge_queue(self, request: Any) -> Any:
        queue = self._queue(request.name, "queues.purge", "PurgeQueue")
        self._state.purge(queue)
        return queue.message

    def pause_queue(self, request: Any) -> Any:
        queue = self._queue(request.name, "queues.pause", "PauseQueue")
        queue.message.state = queue.message.PAUSED
        return queue.message

    def resume_queue(self, request: Any) -> Any:
        queue = self._queue(request.name, "queues.resume", "ResumeQueue")
        queue.message.state = queue.message.RUNNING
        self._dispatcher.dispatch_due(queue)
        return queue.message

    def _queue(self, name: str, permission: str, method: str) -> StoredQueue:
        return self._state.queue(names.queue(name, permission, method))

    # IAM policies: the permissions in refusals are the recorded ones

    def get_iam_policy(self, request: Any) -> Any:
        return iam_policy.get(self._queue(request.resource, "queues.list", "GetIamPolicy"))

    def set_iam_policy(self, request: Any) -> Any:
        return iam_policy.put(self._queue(request.resource, "queues.list", "SetIamPolicy"), request.policy)

    def test_iam_permissions(self, request: Any) -> Any:
        self._queue(request.resource, "queues.list", "TestIamPermissions")
        granted = iam_policy.granted(list(request.permissions))
        return shared()["TestIamPermissionsResponse"](permissions=granted)

    # tasks

    def list_tasks(self, request: Any) -> Any:
        queue = self._queue(request.parent, "tasks.list", "ListTasks")
        stored, token = page(
            queue.tasks.after,
            lambda task: task.name,
            request="ListTasksRequest",
            size=request.page_size,
            most=MOST_TASKS,
            token=request.page_token,
        )
        full = new("Task").FULL
        view = full if request.response_view == full else 0
        return new(
            "ListTasksResponse",
            tasks=[tasks.shown(stored_task.message, view) for stored_task in stored],
            next_page_token=token,
        )

    def get_task(self, request: Any) -> Any:
        name = names.task(request.name, "tasks.get", "GetTask")
        return tasks.shown(self._state.task(name, explain=True).message, request.response_view)

    def create_task(self, request: Any) -> Any:
        parent = names.queue(request.parent, "tasks.create", "CreateTask")
        name = names.new_task(request.task.name, parent)
        queue = self._state.queue(parent)
        target = queue.message.http_target
        message = tasks.complete(request.task, name, target, self._now())
        _check_signing(message.http_request)
        stored = self._state.add_task(queue, message)
        answer = tasks.shown(message, request.response_view)
        self._dispatcher.add(stored)
        return answer

    def delete_task(self, request: Any) -> Any:
        self.remove_task(names.task(request.name, "tasks.delete", "DeleteTask"))
        return shared()["Empty"]()

    def remove_task(self, name: str) -> None:
        stored = self._state.task(name)
        stored.queue.remove(stored, self._now())

    def run_task(self, request: Any) -> Any:
        name = names.task(request.name, "tasks.run", "RunTask")
        self._state.queue(name.partition("/tasks/")[0])
        stored = self._state.task(name)
        self._dispatcher.run(stored)
        return tasks.shown(stored.message, request.response_view)

    # encryption keys, which are only remembered

    def get_cmek_config(self, request: Any) -> Any:
        parent = names.cmek_parent(request.name, "GetCmekConfig")
        return new("CmekConfig", name=request.name, kms_key=self._state.keys.get(parent, ""))

    def update_cmek_config(self, request: Any) -> Any:
        cmek_config = request.cmek_config
        parent = names.cmek_parent(cmek_config.name, "UpdateCmekConfig")
        if cmek_config.kms_key:
            if any(queue.message.http_target.header_overrides for queue in self._state.queues.values()):
                raise no_encryption()
            names.check_key(cmek_config.kms_key, parent)
        self._state.keys[parent] = cmek_config.kms_key
        return cmek_config

    # locations: each one with a queue

    def list_locations(self, request: Any) -> Any:
        names.project(request.name, "ListLocations", LOCATIONS)
        locations = sorted({name.partition("/queues/")[0] for name in self._state.queues})
        matching = [_location(name) for name in locations if name.startswith(f"{request.name}/locations/")]
        return shared()["ListLocationsResponse"](locations=matching)

    def get_location(self, request: Any) -> Any:
        name = names.location(request.name, "locations.get", "GetLocation", service=LOCATIONS)
        return _location(name)


def _location(name: str) -> Any:
    location_id = names.short(name)
    labels = {"cloud.googleapis.com/region": location_id}
    return shared()["Location"](name=name, location_id=location_id, labels=labels)


def _check_signing(message: Any) -> None:
    """Raise Refused for a token that could not be signed at its dispatch."""
    if targets.token_of(message) == "oidc_token":
        oidc.ready()

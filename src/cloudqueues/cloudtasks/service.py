"""The methods of the service, each from its request to its answer. Raises Refused for what the service refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cloudqueues.cloudtasks import config, names, oidc, policy, targets, tasks
from cloudqueues.cloudtasks.book import Book, Line
from cloudqueues.cloudtasks.dispatch import Dispatcher
from cloudqueues.cloudtasks.errors import no_encryption
from cloudqueues.cloudtasks.filters import selects
from cloudqueues.cloudtasks.paging import page
from cloudqueues.cloudtasks.sdk import LOCATIONS, new, shared

MOST_QUEUES = 9800
MOST_TASKS = 1000
# https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues/list and .../queues.tasks/list


class Service:
    """Each method has the name of the service's own."""

    def __init__(self, book: Book, dispatcher: Dispatcher, now: Callable[[], float]) -> None:
        self._book = book
        self._dispatcher = dispatcher
        self._now = now

    # queues

    def list_queues(self, request: Any) -> Any:
        parent = names.location(request.parent, "queues.list", "ListQueues")
        wanted = selects(request.filter)
        lines, token = page(
            lambda after: (line for line in self._book.below(parent, after) if wanted(line.message)),
            lambda line: str(line.message.name),
            request="ListQueuesRequest",
            size=request.page_size,
            most=MOST_QUEUES,
            token=request.page_token,
        )
        return new("ListQueuesResponse", queues=[line.message for line in lines], next_page_token=token)

    def get_queue(self, request: Any) -> Any:
        return self._line(request.name, "queues.get", "GetQueue").message

    def create_queue(self, request: Any) -> Any:
        parent = names.location(request.parent, "queues.create", "CreateQueue")
        names.new_queue(request.queue.name, parent)
        config.check(request.queue)
        _ready_to_sign(request.queue.http_target)
        return self._book.add_queue(request.queue).message

    def update_queue(self, request: Any) -> Any:
        names.queue(request.queue.name, "queues.update", "UpdateQueue")
        paths = config.paths_of(request)
        config.check(request.queue)
        _ready_to_sign(request.queue.http_target)
        line = self._book.change_queue(request.queue, paths)
        self._dispatcher.pump(line)
        return line.message

    def delete_queue(self, request: Any) -> Any:
        name = names.queue(request.name, "queues.delete", "DeleteQueue")
        line = self._book.queues.get(name)
        self._book.drop_queue(name)
        if line is not None:
            self._dispatcher.forget(line)
        return shared()["Empty"]()

    def purge_queue(self, request: Any) -> Any:
        line = self._line(request.name, "queues.purge", "PurgeQueue")
        self._book.purge(line)
        return line.message

    def pause_queue(self, request: Any) -> Any:
        line = self._line(request.name, "queues.pause", "PauseQueue")
        line.message.state = line.message.PAUSED
        return line.message

    def resume_queue(self, request: Any) -> Any:
        line = self._line(request.name, "queues.resume", "ResumeQueue")
        line.message.state = line.message.RUNNING
        self._dispatcher.pump(line)
        return line.message

    def _line(self, name: str, permission: str, method: str) -> Line:
        return self._book.queue(names.queue(name, permission, method))

    # who may do what: the permission named in a refusal is the recorded one

    def get_iam_policy(self, request: Any) -> Any:
        return policy.get(self._line(request.resource, "queues.list", "GetIamPolicy"))

    def set_iam_policy(self, request: Any) -> Any:
        return policy.put(self._line(request.resource, "queues.list", "SetIamPolicy"), request.policy)

    def test_iam_permissions(self, request: Any) -> Any:
        self._line(request.resource, "queues.list", "TestIamPermissions")
        granted = policy.granted(list(request.permissions))
        return shared()["TestIamPermissionsResponse"](permissions=granted)

    # tasks

    def list_tasks(self, request: Any) -> Any:
        line = self._line(request.parent, "tasks.list", "ListTasks")
        held, token = page(
            line.tasks.after,
            lambda task: task.name,
            request="ListTasksRequest",
            size=request.page_size,
            most=MOST_TASKS,
            token=request.page_token,
        )
        full = new("Task").FULL
        view = full if request.response_view == full else 0
        return new("ListTasksResponse", tasks=[tasks.shown(one.message, view) for one in held], next_page_token=token)

    def get_task(self, request: Any) -> Any:
        name = names.task(request.name, "tasks.get", "GetTask")
        return tasks.shown(self._book.task(name, explain=True).message, request.response_view)

    def create_task(self, request: Any) -> Any:
        parent = names.queue(request.parent, "tasks.create", "CreateTask")
        name = names.new_task(request.task.name, parent)
        line = self._book.queue(parent)
        target = line.message.http_target
        message = tasks.complete(request.task, name, target, self._now())
        _ready_to_sign(message.http_request)
        held = self._book.add_task(line, message)
        answer = tasks.shown(message, request.response_view)
        self._dispatcher.add(held)
        return answer

    def delete_task(self, request: Any) -> Any:
        self.remove_task(names.task(request.name, "tasks.delete", "DeleteTask"))
        return shared()["Empty"]()

    def remove_task(self, name: str) -> None:
        held = self._book.task(name)
        held.queue.remove(held, self._now())

    def run_task(self, request: Any) -> Any:
        name = names.task(request.name, "tasks.run", "RunTask")
        self._book.queue(name.partition("/tasks/")[0])
        held = self._book.task(name)
        self._dispatcher.run(held)
        return tasks.shown(held.message, request.response_view)

    # encryption keys: only remembered

    def get_cmek_config(self, request: Any) -> Any:
        parent = names.cmek_parent(request.name, "GetCmekConfig")
        return new("CmekConfig", name=request.name, kms_key=self._book.keys.get(parent, ""))

    def update_cmek_config(self, request: Any) -> Any:
        given = request.cmek_config
        parent = names.cmek_parent(given.name, "UpdateCmekConfig")
        if given.kms_key:
            if any(line.message.http_target.header_overrides for line in self._book.queues.values()):
                raise no_encryption()
            names.check_key(given.kms_key, parent)
        self._book.keys[parent] = given.kms_key
        return given

    # locations: any that has a queue

    def list_locations(self, request: Any) -> Any:
        names.project(request.name, "ListLocations", LOCATIONS)
        found = sorted({name.partition("/queues/")[0] for name in self._book.queues})
        below = [_location(name) for name in found if name.startswith(f"{request.name}/locations/")]
        return shared()["ListLocationsResponse"](locations=below)

    def get_location(self, request: Any) -> Any:
        name = names.location(request.name, "locations.get", "GetLocation", service=LOCATIONS)
        return _location(name)


def _location(name: str) -> Any:
    location_id = names.short(name)
    labels = {"cloud.googleapis.com/region": location_id}
    return shared()["Location"](name=name, location_id=location_id, labels=labels)


def _ready_to_sign(message: Any) -> None:
    """Raises Refused for a token that could not be signed when it is due."""
    if targets.token_of(message) == "oidc_token":
        oidc.ready()

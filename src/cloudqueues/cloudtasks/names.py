"""Names of queues, tasks and operations: their checks, and the refusals of invalid ones."""

from __future__ import annotations

import re
import secrets

from cloudqueues.cloudtasks.errors import (
    INVALID,
    REFERENCE,
    Refused,
    foreign_project,
    help_link,
    invalid,
    no_permission,
    no_project,
    not_found,
)
from cloudqueues.cloudtasks.sdk import OPERATIONS, SERVICE

_QUEUE_ID = re.compile(r"[A-Za-z0-9-]{1,100}")
_TASK_ID = re.compile(r"[A-Za-z0-9_-]{1,500}")
_LOCATION = ("projects", "locations")
_QUEUE = (*_LOCATION, "queues")
_TASK = (*_QUEUE, "tasks")
_OPERATION = (*_LOCATION, "operations")
_KEY = (*_LOCATION, "keyRings", "cryptoKeys")


def fits(name: str, words: tuple[str, ...]) -> bool:
    """Return True when a name consists of these words, each followed by an id."""
    parts = name.split("/")
    return tuple(parts[::2]) == words and len(parts) == 2 * len(words) and all(parts[1::2])


def location(name: str, permission: str, method: str, *, service: str = SERVICE) -> str:
    """Check and return the name of a location. Raises Refused."""
    return _resource(name, _LOCATION, permission, method, service)


def queue(name: str, permission: str, method: str) -> str:
    """Check and return the name of a queue. Raises Refused."""
    _resource(name, _QUEUE, permission, method)
    check_queue_id(name.rpartition("/")[2])
    return name


def task(name: str, permission: str, method: str) -> str:
    """Check and return the name of a task. Raises Refused."""
    _resource(name, _TASK, permission, method)
    check_queue_id(name.split("/")[5])
    check_task_id(name.rpartition("/")[2])
    return name


def operation(name: str) -> str:
    """Check and return the name of an operation. Raises Refused."""
    return _resource(name, _OPERATION, "operations.get", "GetOperation", OPERATIONS)


def project(name: str, method: str, service: str = SERVICE) -> None:
    """Raise Refused for a name that does not begin with a project."""
    if not name:
        raise no_project(method, service)
    if not re.match(r"projects/[^/]+", name):
        raise foreign_project(name)


def _resource(name: str, words: tuple[str, ...], permission: str, method: str, service: str = SERVICE) -> str:
    project(name, method, service)
    if not fits(name, words):
        raise no_permission(permission, name)
    return name


def new_queue(name: str, parent: str) -> str:
    """Check and return the name of a queue to create. Raises Refused."""
    if not fits(name, _QUEUE):
        text = 'Queue name must be formatted: "projects/<PROJECT_ID>/locations/<LOCATION_ID>/queues/<QUEUE_ID>".'
        raise invalid(text, help_link("Definition of queue name", f"{REFERENCE}#Queue.FIELDS.name"))
    check_queue_id(name.rpartition("/")[2])
    if not name.startswith(f"{parent}/"):
        raise invalid(f"{name} must begin with {parent}.")
    return name


def new_task(name: str, parent: str) -> str:
    """Return the name of a task to create, generated where the request has none. Raises Refused."""
    if not name:
        return f"{parent}/tasks/{secrets.randbelow(9 * 10**19) + 10**19}"
    owner = task_owner(name)
    if owner != parent:
        raise invalid(
            f"The queue name from request ('{parent}') must be the same"
            f" as the queue name in the named task ('{owner}')."
        )
    return name


def task_owner(name: str) -> str:
    """Return the queue in a task's name. Raises Refused."""
    if not fits(name, _TASK):
        text = (
            'Task name must be formatted: "projects/<PROJECT_ID>/locations/<LOCATION_ID>'
            '/queues/<QUEUE_ID>/tasks/<TASK_ID>".'
        )
        raise invalid(text, help_link("Definition of task name", f"{REFERENCE}.tasks#Task.FIELDS.name"))
    owner, _, task_id = name.partition("/tasks/")
    check_task_id(task_id)
    return owner


def check_queue_id(queue_id: str) -> None:
    """Raise Refused for an invalid id of a queue."""
    if not _QUEUE_ID.fullmatch(queue_id):
        text = (
            f'Queue ID "{queue_id}" can contain only letters ([A-Za-z]), numbers ([0-9]), or hyphens (-).'
            " Queue ID must be between 1 and 100 characters."
        )
        raise invalid(text, help_link("Definition of queue ID", f"{REFERENCE}#Queue.FIELDS.name"))


def check_task_id(task_id: str) -> None:
    """Raise Refused for an invalid id of a task."""
    if not _TASK_ID.fullmatch(task_id):
        raise bad_task_id(task_id)


def bad_task_id(task_id: str) -> Refused:
    text = (
        f'Task ID "{task_id}" can contain only letters ([A-Za-z]), numbers ([0-9]), hyphens (-),'
        " or underscores (_). Task ID must between 1 and 500 characters."
    )
    return invalid(text, help_link("Definition of task ID", f"{REFERENCE}.tasks#Task.FIELDS.name"))


def short(name: str) -> str:
    """Return the id at the end of a name."""
    return name.rpartition("/")[2]


def cmek_parent(name: str, method: str) -> str:
    """Return the location in the name of its key settings. Raises Refused."""
    project(name, method)
    parent, _, last = name.rpartition("/")
    if last != "cmekConfig" or not fits(parent, _LOCATION):
        raise invalid('CMEK Config name must be formatted: "projects/<PROJECT_ID>/locations/<LOCATION_ID>/cmekConfig".')
    return parent


def check_key(key: str, parent: str) -> None:
    """Raise Refused for a key outside this location."""
    if not key.startswith("projects/"):
        raise invalid(f"Resource name [{key}] does not match any known resource name pattern.")
    if not fits(key, _KEY):
        raise invalid(INVALID)
    if key.split("/")[3] != short(parent):
        raise not_found()

"""Batches: many tasks in one request, answered by an operation that is finished at once."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from typing import Any

from cloudqueues.cloudtasks import names
from cloudqueues.cloudtasks.errors import INVALID, Code, Refused, invalid, not_found
from cloudqueues.cloudtasks.sdk import new, shared, stamp
from cloudqueues.cloudtasks.state import State

MAX_CREATES = 100
MAX_DELETES = 1000
# https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2
_ALL_FAILED = (
    "None of the requests succeeded, refer to BatchDeleteTasksMetadata.failed_requests for individual error details"
)

Failures = dict[int, Refused]


class Batches:
    """Runs the requests of a batch one by one, and collects their results."""

    def __init__(
        self, state: State, now: Callable[[], float], create: Callable[[Any], Any], delete: Callable[[str], None]
    ) -> None:
        self._state = state
        self._now = now
        self._create = create
        self._delete = delete

    def create(self, request: Any) -> Any:
        """Run a BatchCreateTasksRequest. Raises Refused for one that is invalid as a whole."""
        parent = names.queue(request.parent, "tasks.create", "BatchCreateTasks")
        _check_creates(parent, request.requests)
        name = self._operation_name(parent, request.request_id)
        tasks: list[Any] = []
        began, failures = self._now(), Failures()
        for number, entry in enumerate(request.requests):
            try:
                tasks.append(self._create(entry))
            except Refused as refused:
                failures[number] = _in_batch(refused)
        state = "SUCCEEDED" if not failures else "PARTIALLY_SUCCEEDED" if tasks else "FAILED"
        operation = self._operation(name, "BatchCreateTasksMetadata", began, state, failures)
        if tasks:
            operation.response.Pack(new("BatchCreateTasksResponse", tasks=tasks))
        return self._keep(operation)

    def delete(self, request: Any) -> Any:
        """Run a BatchDeleteTasksRequest. Raises Refused for one that is invalid as a whole."""
        parent = names.queue(request.parent, "tasks.delete", "BatchDeleteTasks")
        _check_count(len(request.names))
        name = self._operation_name(parent, request.request_id)
        began, failures = self._now(), Failures()
        existing = [self._find(parent, task, number, failures) for number, task in enumerate(request.names)]
        for task in dict.fromkeys(filter(None, existing)):
            self._delete(task)
        state = "PARTIALLY_SUCCEEDED" if failures else "SUCCEEDED"
        operation = self._operation(name, "BatchDeleteTasksMetadata", began, state, failures)
        if any(existing):
            operation.response.Pack(shared()["Empty"]())
        else:
            operation.error.CopyFrom(Refused(Code.ABORTED, _ALL_FAILED).status())
        return self._keep(operation)

    def _find(self, parent: str, name: str, number: int, failures: Failures) -> str:
        """Return the name of a task that exists; else record its failure and return "". All are looked up before any is
        deleted."""
        try:
            owner = _queue_of(name)
            if owner != parent:
                names.new_task(name, parent)
            self._state.task(name)
        except Refused as refused:
            failures[number] = refused
            return ""
        return name

    def get(self, request: Any) -> Any:
        """Run a GetOperationRequest. Raises Refused."""
        name = names.operation(request.name)
        if name not in self._state.operations:
            raise not_found()
        return self._state.operations[name]

    def _operation_name(self, parent: str, request_id: str) -> str:
        """Return the name of a new operation. Raises Refused for an id that was used."""
        location = parent.partition("/queues/")[0]
        name = f"{location}/operations/{request_id or secrets.randbelow(9 * 10**18) + 10**18}"
        if name in self._state.operations:
            raise invalid(f"Duplicate operation id in the batch request: {request_id}")
        return name

    def _operation(self, name: str, metadata: str, began: float, state: str, failures: Failures) -> Any:
        operation = shared()["Operation"](name=name, done=True)
        about = new(metadata, start_time=stamp(began), end_time=stamp(self._now()), state=state)
        for number, refused in failures.items():
            about.failed_requests[number].CopyFrom(refused.status(bare=True))
        operation.metadata.Pack(about)
        return operation

    def _keep(self, operation: Any) -> Any:
        self._state.add_operation(operation)
        return operation


def _check_creates(parent: str, requests: Iterable[Any]) -> None:
    entries = list(requests)
    if not entries:
        raise invalid("Request must contain at least one task.")
    if len(entries) > MAX_CREATES:
        raise invalid(
            f"A maximum of {MAX_CREATES} tasks can be created in a single batch, but got {len(entries)} tasks."
        )
    seen: set[str] = set()
    for entry in entries:
        if entry.parent != parent:
            raise invalid(
                "All tasks in a batch request must target the same queue."
                f" Found task for queue {entry.parent} in batch request for queue {parent}."
            )
        if entry.task.name in seen:
            raise invalid(f"Duplicate task name in the batch request: {entry.task.name}")
        if entry.task.name:
            seen.add(names.new_task(entry.task.name, parent))


def _check_count(count: int) -> None:
    if not count:
        raise invalid(INVALID)
    if count > MAX_DELETES:
        raise invalid(f"A maximum of {MAX_DELETES} tasks can be handled in a batch, but {count} were requested.")


def _in_batch(refused: Refused) -> Refused:
    """Return the refusal in a batch's words, of which one differs from those of single requests."""
    if refused.text == "Task.payload_type is not set.":
        return invalid("Payload type must be set.")
    return refused


def _queue_of(name: str) -> str:
    """Return the queue in a task's name. Raises Refused in a batch's words."""
    try:
        return names.task_owner(name)
    except Refused as refused:
        raise invalid(f"Invalid task name: {refused.text}") from refused

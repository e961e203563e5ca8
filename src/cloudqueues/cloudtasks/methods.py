"""Methods of the service by name, with the types of their requests and responses, for gRPC and REST."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from cloudqueues.cloudtasks.errors import UNREGISTERED, Code, Refused
from cloudqueues.cloudtasks.operations import Batches
from cloudqueues.cloudtasks.sdk import LOCATIONS, OPERATIONS, SERVICE, kind, shared
from cloudqueues.cloudtasks.service import Service

Method: TypeAlias = Callable[[Any], Any]
"""Function from a request to its response; raises Refused."""

Methods: TypeAlias = dict[str, tuple[Any, Any, Method]]
"""Types of request and response, and the method, by name."""

_NOT_SERVED = ("ListOperations", "WaitOperation", "CancelOperation", "DeleteOperation")


def methods_of(service: Service, batches: Batches) -> dict[str, Methods]:
    """Return the methods by the name of the gRPC service that they belong to."""
    google = shared()
    empty, operation = google["Empty"], google["Operation"]
    operations: Methods = {"GetOperation": (google["GetOperationRequest"], operation, batches.get)}
    operations |= {name: (google[f"{name}Request"], empty, _not_served) for name in _NOT_SERVED}
    locations: Methods = {
        "ListLocations": (google["ListLocationsRequest"], google["ListLocationsResponse"], service.list_locations),
        "GetLocation": (google["GetLocationRequest"], google["Location"], service.get_location),
    }
    own = _queues(service) | _policies(service) | _tasks(service) | _batches(batches)
    return {SERVICE: own, OPERATIONS: operations, LOCATIONS: locations}


def _queues(service: Service) -> Methods:
    queue, key = kind("Queue"), kind("CmekConfig")
    return {
        "ListQueues": (kind("ListQueuesRequest"), kind("ListQueuesResponse"), service.list_queues),
        "GetQueue": (kind("GetQueueRequest"), queue, service.get_queue),
        "CreateQueue": (kind("CreateQueueRequest"), queue, service.create_queue),
        "UpdateQueue": (kind("UpdateQueueRequest"), queue, service.update_queue),
        "DeleteQueue": (kind("DeleteQueueRequest"), shared()["Empty"], service.delete_queue),
        "PurgeQueue": (kind("PurgeQueueRequest"), queue, service.purge_queue),
        "PauseQueue": (kind("PauseQueueRequest"), queue, service.pause_queue),
        "ResumeQueue": (kind("ResumeQueueRequest"), queue, service.resume_queue),
        "GetCmekConfig": (kind("GetCmekConfigRequest"), key, service.get_cmek_config),
        "UpdateCmekConfig": (kind("UpdateCmekConfigRequest"), key, service.update_cmek_config),
    }


def _policies(service: Service) -> Methods:
    google = shared()
    policy, granted = google["Policy"], google["TestIamPermissionsResponse"]
    return {
        "GetIamPolicy": (google["GetIamPolicyRequest"], policy, service.get_iam_policy),
        "SetIamPolicy": (google["SetIamPolicyRequest"], policy, service.set_iam_policy),
        "TestIamPermissions": (google["TestIamPermissionsRequest"], granted, service.test_iam_permissions),
    }


def _tasks(service: Service) -> Methods:
    task = kind("Task")
    return {
        "ListTasks": (kind("ListTasksRequest"), kind("ListTasksResponse"), service.list_tasks),
        "GetTask": (kind("GetTaskRequest"), task, service.get_task),
        "CreateTask": (kind("CreateTaskRequest"), task, service.create_task),
        "DeleteTask": (kind("DeleteTaskRequest"), shared()["Empty"], service.delete_task),
        "RunTask": (kind("RunTaskRequest"), task, service.run_task),
    }


def _batches(batches: Batches) -> Methods:
    operation = shared()["Operation"]
    return {
        "BatchCreateTasks": (kind("BatchCreateTasksRequest"), operation, batches.create),
        "BatchDeleteTasks": (kind("BatchDeleteTasksRequest"), operation, batches.delete),
    }


def _not_served(_: Any) -> Any:
    raise Refused(Code.PERMISSION_DENIED, UNREGISTERED)

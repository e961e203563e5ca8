"""The gRPC side: Google's own clients cannot tell it from the service."""

from __future__ import annotations

import errno
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from peeklock.emulators.cloudtasks.dispatch import Dispatcher, pause
from peeklock.emulators.cloudtasks.errors import UNREGISTERED, Code, Refused
from peeklock.emulators.cloudtasks.operations import Batches
from peeklock.emulators.cloudtasks.sdk import LOCATIONS, OPERATIONS, SERVICE, grpc, kind, shared
from peeklock.emulators.cloudtasks.service import Service
from peeklock.emulators.timeline import Timeline

Method: TypeAlias = Callable[[Any], Any]
"""From a request to its answer; raises Refused."""

Methods: TypeAlias = dict[str, tuple[Any, Any, Method]]
"""By name: the types of request and answer, and what leads from one to the other."""

MAX_MESSAGE = 110 * 2**20
"""Bytes of a request: a hundred tasks of a batch, each as large as it may be."""
_NOT_SERVED = ("ListOperations", "WaitOperation", "CancelOperation", "DeleteOperation")


class Caller:
    """Runs a method as a remote call: with its errors as statuses, and with faults."""

    def __init__(self, timeline: Timeline, dispatcher: Dispatcher, changed: Callable[[], None]) -> None:
        self._timeline = timeline
        self._dispatcher = dispatcher
        self._changed = changed
        self._seen: Counter[bytes] = Counter()

    async def call(self, name: str, method: Method, request: Any, context: Any) -> Any:
        try:
            return await self._run(name, method, request)
        except Refused as refused:
            details = refused.status().SerializeToString() if refused.details else b""
            metadata = (("grpc-status-details-bin", details),) if details else ()
            await context.abort(_status_code(refused.code), refused.text, metadata)

    async def _run(self, name: str, method: Method, request: Any) -> Any:
        """Raises Refused, also for an answer that is lost: the client sees no more than that."""
        faults = self._dispatcher.faults
        what = self._identity(name, request)
        if faults.hits("refuse", *what):
            raise Refused(Code.UNAVAILABLE, "The service is currently unavailable.")
        answer = method(request)
        self._changed()
        if faults.hits("delay", *what):
            await pause(self._timeline, faults.draw("delay for", *what) * faults.delay_s)
        if faults.hits("drop", *what):
            raise Refused(Code.UNAVAILABLE, "Socket closed")
        return answer

    def _identity(self, name: str, request: Any) -> tuple[str, str, int]:
        """A call by its content and how often it was made: a second try has another fate than the first."""
        faults = self._dispatcher.faults
        if not (faults.refuse or faults.delay or faults.drop):
            return name, "", 0
        digest = hashlib.blake2b(name.encode() + request.SerializeToString(deterministic=True), digest_size=16)
        self._seen[digest.digest()] += 1
        return name, digest.hexdigest(), self._seen[digest.digest()]


def _status_code(code: Code) -> Any:
    return next(one for one in grpc().StatusCode if one.value[0] == int(code))


def handlers(service: Service, batches: Batches, caller: Caller) -> list[Any]:
    """gRPC's generic handlers, with the (de)serializers of the client's own types."""
    google = shared()
    empty, operation, policy = google["Empty"], google["Operation"], google["Policy"]
    queue, task, key = kind("Queue"), kind("Task"), kind("CmekConfig")
    own: Methods = {
        "ListQueues": (kind("ListQueuesRequest"), kind("ListQueuesResponse"), service.list_queues),
        "GetQueue": (kind("GetQueueRequest"), queue, service.get_queue),
        "CreateQueue": (kind("CreateQueueRequest"), queue, service.create_queue),
        "UpdateQueue": (kind("UpdateQueueRequest"), queue, service.update_queue),
        "DeleteQueue": (kind("DeleteQueueRequest"), empty, service.delete_queue),
        "PurgeQueue": (kind("PurgeQueueRequest"), queue, service.purge_queue),
        "PauseQueue": (kind("PauseQueueRequest"), queue, service.pause_queue),
        "ResumeQueue": (kind("ResumeQueueRequest"), queue, service.resume_queue),
        "GetIamPolicy": (google["GetIamPolicyRequest"], policy, service.get_iam_policy),
        "SetIamPolicy": (google["SetIamPolicyRequest"], policy, service.set_iam_policy),
        "TestIamPermissions": (
            google["TestIamPermissionsRequest"],
            google["TestIamPermissionsResponse"],
            service.test_iam_permissions,
        ),
        "ListTasks": (kind("ListTasksRequest"), kind("ListTasksResponse"), service.list_tasks),
        "GetTask": (kind("GetTaskRequest"), task, service.get_task),
        "CreateTask": (kind("CreateTaskRequest"), task, service.create_task),
        "DeleteTask": (kind("DeleteTaskRequest"), empty, service.delete_task),
        "RunTask": (kind("RunTaskRequest"), task, service.run_task),
        "BatchCreateTasks": (kind("BatchCreateTasksRequest"), operation, batches.create),
        "BatchDeleteTasks": (kind("BatchDeleteTasksRequest"), operation, batches.delete),
        "GetCmekConfig": (kind("GetCmekConfigRequest"), key, service.get_cmek_config),
        "UpdateCmekConfig": (kind("UpdateCmekConfigRequest"), key, service.update_cmek_config),
    }
    operations: Methods = {"GetOperation": (google["GetOperationRequest"], operation, batches.get)}
    operations |= {name: (google[f"{name}Request"], empty, _not_served) for name in _NOT_SERVED}
    locations: Methods = {
        "ListLocations": (google["ListLocationsRequest"], google["ListLocationsResponse"], service.list_locations),
        "GetLocation": (google["GetLocationRequest"], google["Location"], service.get_location),
    }
    services: dict[str, Methods] = {SERVICE: own, OPERATIONS: operations, LOCATIONS: locations}
    return [_generic(name, methods, caller) for name, methods in services.items()]


def _not_served(_: Any) -> Any:
    raise Refused(Code.PERMISSION_DENIED, UNREGISTERED)


def _generic(service: str, methods: Methods, caller: Caller) -> Any:
    rpc = grpc()
    return rpc.method_handlers_generic_handler(
        service,
        {
            name: rpc.unary_unary_rpc_method_handler(
                _entry(name, method, caller),
                request_deserializer=request.FromString,
                response_serializer=answer.SerializeToString,
            )
            for name, (request, answer, method) in methods.items()
        },
    )


def _entry(name: str, method: Method, caller: Caller) -> Callable[[Any, Any], Awaitable[Any]]:
    async def entry(request: Any, context: Any) -> Any:
        return await caller.call(name, method, request, context)

    return entry


async def serve(host: str, port: int, generic: list[Any]) -> tuple[Any, int]:
    """A server that runs, and its port. Raises OSError when it is taken."""
    options = [("grpc.max_receive_message_length", MAX_MESSAGE), ("grpc.so_reuseport", 0)]
    server = grpc().aio.server(options=options)
    server.add_generic_rpc_handlers(tuple(generic))
    try:
        bound = server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except RuntimeError as exc:
        raise OSError(errno.EADDRINUSE, f"cannot listen on {host}:{port}") from exc
    await server.start()
    return server, bound

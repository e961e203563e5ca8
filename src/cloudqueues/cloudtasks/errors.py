"""Refusals in the words of the real service, as recorded from it (tests/emulators/cloudtasks/facts.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, TypeAlias

from cloudqueues.cloudtasks.sdk import SERVICE, shared

DOMAIN = "cloudtasks.googleapis.com"
REFERENCE = "https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues"

Detail: TypeAlias = tuple[str, Mapping[str, Any]]
"""Name of a type of google.rpc, and its fields."""


class Code(IntEnum):
    """Codes of google.rpc.Code that are used here."""

    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


HTTP_STATUS = {
    Code.INVALID_ARGUMENT: 400,
    Code.FAILED_PRECONDITION: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.ABORTED: 409,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
}
"""https://cloud.google.com/apis/design/errors#handling_errors; any other code is 500."""


class Refused(Exception):
    """Request that the service answers with an error."""

    def __init__(self, code: Code, text: str, *details: Detail) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.details = details

    def status(self, *, bare: bool = False) -> Any:
        """Return the google.rpc.Status. `bare`: without details, as inside a batch."""
        status = shared()["Status"](code=int(self.code), message=self.text)
        for name, fields in () if bare else self.details:
            status.details.add().Pack(shared()[name](**fields))
        return status


def invalid(text: str, *details: Detail) -> Refused:
    return Refused(Code.INVALID_ARGUMENT, text, *details)


INVALID = "Request contains an invalid argument."
NO_QUEUE = "Queue does not exist. If you just created the queue, wait at least a minute for the queue to initialize."
NOT_FOUND = "Requested entity was not found."
TASK_IS_GONE = (
    "The task no longer exists, though a task with this name existed recently."
    " The task either successfully completed or was deleted."
)
TASK_EXISTS = "Requested entity already exists"
TASK_EXISTED = (
    "The task cannot be created because a task with this name existed too recently."
    " For more information about task de-duplication see"
    f" {REFERENCE}.tasks/create#body.request_body.FIELDS.task."
)
QUEUE_EXISTS = "Queue already exists"
QUEUE_EXISTED = "The queue cannot be created because a queue with this name existed too recently."
UNREGISTERED = (
    "Method doesn't allow unregistered callers (callers without established identity)."
    " Please use API Key or other form of API consumer identity to call this API."
)


def bad_request(violations: Sequence[tuple[str, str]]) -> Refused:
    """Return the refusal of fields in a REST request, by the path and the problem of each."""
    legible = [(field, text.encode("utf-8", "backslashreplace").decode()) for field, text in violations]
    listed = [{"field": field, "description": text} for field, text in legible]
    return invalid("\n".join(text for _, text in legible), ("BadRequest", {"field_violations": listed}))


def no_queue() -> Refused:
    return Refused(Code.NOT_FOUND, NO_QUEUE)


def not_found() -> Refused:
    return Refused(Code.NOT_FOUND, NOT_FOUND)


def help_link(description: str, url: str) -> Detail:
    return "Help", {"links": [{"description": description, "url": url}]}


def error_info(reason: str, domain: str, metadata: Mapping[str, str]) -> Detail:
    return "ErrorInfo", {"reason": reason, "domain": domain, "metadata": dict(metadata)}


def no_project(method: str, service: str = SERVICE) -> Refused:
    """Return the refusal of a request with an empty name."""
    metadata = {"method": f"{service}.{method}", "service": DOMAIN}
    info = error_info("RESOURCE_PROJECT_INVALID", "googleapis.com", metadata)
    return invalid("Invalid resource field value in the request.", info)


def foreign_project(name: str) -> Refused:
    """Return the refusal of a name that does not begin with a project."""
    text = f"Permission denied on resource project {name}."
    metadata = {"consumer": f"projects/{name}", "containerInfo": name, "service": DOMAIN}
    return Refused(
        Code.PERMISSION_DENIED,
        text,
        error_info("CONSUMER_INVALID", "googleapis.com", metadata),
        ("LocalizedMessage", {"locale": "en-US", "message": text}),
        help_link("Google developers console", "https://console.developers.google.com"),
    )


def no_permission(permission: str, resource: str) -> Refused:
    """Return the refusal of a name of another shape than the method takes, which the real service does not find."""
    text = (
        f'The principal (user or service account) lacks IAM permission "cloudtasks.{permission}"'
        f' for the resource "{resource}" (or the resource may not exist).'
    )
    return Refused(Code.PERMISSION_DENIED, text)


def bad_target(problem: str) -> Refused:
    """Return the refusal of a queue's http_target."""
    info = error_info("INVALID_INPUT_ON_HTTP_TARGET_OVERRIDE", DOMAIN, {"invalid_field": problem})
    return invalid(f"Error in parsing HttpTarget. {problem}", info)


def bad_headers(names: Sequence[str]) -> Refused:
    """Return the refusal of header overrides that may not be set."""
    return invalid(
        "Error in parsing HttpTarget.headers. Header name cannot be empty or start with reserved prefixes."
        f" Invalid headers found: {', '.join(names)}"
    )


def no_encryption() -> Refused:
    """Return the refusal of an encryption key in a project with a queue that overrides headers."""
    return Refused(
        Code.FAILED_PRECONDITION,
        "CMEK cannot be enabled on any project that has one or more queues with HTTP Target Override headers"
        " or tasks ttl of more than 60 days.",
        error_info("UNSATISFIED_PRECONDITION_FOR_CMEK", DOMAIN, {}),
    )

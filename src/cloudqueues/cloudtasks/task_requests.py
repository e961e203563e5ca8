"""What a task's request holds at its dispatch: the headers recorded from the real service, in its words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cloudqueues.cloudtasks import targets
from cloudqueues.cloudtasks.http_client import HttpRequest
from cloudqueues.cloudtasks.names import short
from cloudqueues.cloudtasks.state import StoredTask

Sign = Callable[[str, str], str]
"""An OIDC token of an account's e-mail for an audience."""


def build(task: StoredTask, before: int, sign: Sign) -> HttpRequest:
    """The request of an attempt, with the number of those before it. Raises ValueError when there is none to send."""
    request, target = task.message.http_request, task.queue.message.http_target
    number: int = target.http_method or request.http_method
    method = targets.METHODS[number]
    if request.body and method not in targets.WITH_BODY:
        raise ValueError("a body that this method cannot have")
    return HttpRequest(
        method=method,
        url=targets.address(request.url, target),
        headers=_headers(task, before, sign),
        body=request.body,
    )


def _headers(task: StoredTask, before: int, sign: Sign) -> dict[str, str]:
    request, target = task.message.http_request, task.queue.message.http_target
    overrides = {one.header.key: targets.one_line(one.header.value) for one in target.header_overrides}
    headers = _over(request.headers, overrides)
    headers = {name: value for name, value in headers.items() if not name.lower().startswith(targets.SERVICE_PREFIX)}
    token = _token(target if targets.token_of(target) else request, request.url, sign)
    if token:
        headers = _over(headers, {"Authorization": f"Bearer {token}"})
    return {**headers, **_service_headers(task, before)}


def _over(headers: Mapping[str, str], overrides: Mapping[str, str]) -> dict[str, str]:
    taken = {name.lower() for name in overrides}
    return {**{name: value for name, value in headers.items() if name.lower() not in taken}, **overrides}


def _token(message: Any, url: str, sign: Sign) -> str:
    """An access token is opaque: only Google's own services could check one."""
    kind = targets.token_of(message)
    if kind == "oidc_token":
        return sign(message.oidc_token.service_account_email, message.oidc_token.audience or url)
    return "ya29.of-the-emulator" if kind else ""


def _service_headers(task: StoredTask, before: int) -> dict[str, str]:
    message = task.message
    headers = {
        "X-CloudTasks-QueueName": short(task.queue.message.name),
        "X-CloudTasks-TaskName": short(task.name),
        "X-CloudTasks-TaskRetryCount": str(before),
        "X-CloudTasks-TaskExecutionCount": str(message.response_count),
        "X-CloudTasks-TaskETA": f"{task.due:.6f}".rstrip("0").rstrip("."),
    }
    if task.previous is not None:
        headers["X-CloudTasks-TaskPreviousResponse"] = str(task.previous)
        headers["X-CloudTasks-TaskRetryReason"] = ""  # always empty for an HTTP target
    return headers

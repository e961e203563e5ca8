"""Requests of tasks at their dispatch, with the headers that were recorded from the real service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cloudqueues.cloudtasks import targets
from cloudqueues.cloudtasks.http_client import HttpRequest
from cloudqueues.cloudtasks.names import short
from cloudqueues.cloudtasks.state import StoredTask

Sign = Callable[[str, str], str]
"""Function that returns an OIDC token for an account's e-mail address and an audience."""


def build(task: StoredTask, before: int, sign: Sign) -> HttpRequest:
    """Build the request of an attempt. `before`: number of earlier attempts. Raises ValueError when it cannot be sent."""
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
    overrides = {override.header.key: targets.one_line(override.header.value) for override in target.header_overrides}
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
    """Return the token of a request. An access token is a constant: only Google's own services can check one."""
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

"""Recorded: requests at a target, and the attempts of a task afterwards."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from cloudqueues.cloudtasks import CloudTasksEmulator
from tests.emulators.cloudtasks.support import (
    ACCOUNT,
    HANG,
    Target,
    attempt_of,
    queue_of,
    task_of,
)

ONCE_AN_HOUR = {"max_attempts": 2, "min_backoff": {"seconds": 3600}, "max_backoff": {"seconds": 3600}}
EVERY_SECOND = {"min_backoff": {"seconds": 1}, "max_backoff": {"seconds": 1}}
SPOOFED = {"X-CloudTasks-TaskName": "spoofed", "X-CloudTasks-TaskPreviousResponse": "200"}


def service_headers(request: Any) -> dict[str, str]:
    """Return the headers of Cloud Tasks, without the time."""
    return {
        name.removeprefix("x-cloudtasks-"): value
        for name, value in request.headers.items()
        if name.startswith("x-cloudtasks-") and name != "x-cloudtasks-tasketa"
    }


def test_headers_of_a_first_attempt(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    queue = queue_of(client)
    eta = int(emulator.now) + 100
    headers = {"X-Custom": "value", "Authorization": "Bearer token", "Content-Type": "text/plain", **SPOOFED}
    http = {"http_method": "PUT", "headers": headers, "body": b"hi"}
    when = {"seconds": eta, "nanos": 120_000_000}
    task_of(client, queue, f"{target.url}/a b/ü?q=1 2", name=f"{queue.name}/tasks/t", http=http, schedule_time=when)
    emulator.advance(101)
    [seen] = target.wait(1)
    assert (seen.method, seen.path, seen.body) == ("PUT", "/a%20b/%C3%BC?q=1%202", b"hi")
    assert seen.headers == {
        "host": f"127.0.0.1:{target.port}",
        "content-length": "2",
        "authorization": "Bearer token",
        "content-type": "text/plain",
        "user-agent": "Google-Cloud-Tasks",
        "x-custom": "value",
        "x-cloudtasks-queuename": queue.name.rpartition("/")[2],
        "x-cloudtasks-taskname": "t",
        "x-cloudtasks-taskretrycount": "0",
        "x-cloudtasks-taskexecutioncount": "0",
        "x-cloudtasks-tasketa": f"{eta}.12",
    }


def test_headers_of_the_attempts_that_follow(emulator: CloudTasksEmulator, target: Target) -> None:
    """Recorded: a response of 5xx is not an execution; its status is in a header, and its reason is empty."""
    client = emulator.client()
    target.script = [503, 404, 429, 500, 302, 200]
    queue = queue_of(client, retry_config={"max_attempts": 10, **EVERY_SECOND})
    task_of(client, queue, target.url, name=f"{queue.name}/tasks/t")
    emulator.drain()
    always = {"queuename": queue.name.rpartition("/")[2], "taskname": "t"}
    first, *later_headers = map(service_headers, target.seen)
    assert first == {**always, "taskretrycount": "0", "taskexecutioncount": "0"}
    assert later_headers == [
        {
            **always,
            "taskretrycount": str(number),
            "taskexecutioncount": executions,
            "taskpreviousresponse": previous,
            "taskretryreason": "",
        }
        for number, executions, previous in [
            (1, "0", "503"),
            (2, "1", "404"),
            (3, "2", "429"),
            (4, "2", "500"),
            (5, "3", "302"),
        ]
    ]


def test_headers_after_a_deadline(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    target.script = [HANG, 200]
    queue = queue_of(client, retry_config={"max_attempts": 2, **EVERY_SECOND})
    task_of(client, queue, target.url, dispatch_deadline={"seconds": 15})
    target.wait(1)
    emulator.advance(14)
    assert emulator.dispatches == ()
    emulator.advance(1)
    emulator.wait_for(lambda ended: len(ended) == 1)
    emulator.drain()
    second = target.wait(2)[1]
    assert [second.tasks(f"task{name}") for name in ("retrycount", "executioncount", "previousresponse")] == [
        "1",
        "0",
        "504",
    ]


STATUSES = {
    301: (1, 2, "UNKNOWN(2)"),
    400: (1, 3, "INVALID_ARGUMENT(3)"),
    401: (1, 16, "UNAUTHENTICATED(16)"),
    403: (1, 7, "PERMISSION_DENIED(7)"),
    404: (1, 5, "NOT_FOUND(5)"),
    405: (1, 9, "FAILED_PRECONDITION(9)"),
    409: (1, 10, "ABORTED(10)"),
    410: (1, 9, "FAILED_PRECONDITION(9)"),
    418: (1, 9, "FAILED_PRECONDITION(9)"),
    429: (1, 8, "RESOURCE_EXHAUSTED(8)"),
    499: (1, 1, "CANCELLED(1)"),
    500: (0, 13, "INTERNAL(13)"),
    501: (0, 12, "UNIMPLEMENTED(12)"),
    502: (0, 13, "INTERNAL(13)"),
    503: (0, 14, "UNAVAILABLE(14)"),
    504: (0, 4, "DEADLINE_EXCEEDED(4)"),
    505: (0, 13, "INTERNAL(13)"),
    507: (0, 13, "INTERNAL(13)"),
}


def test_what_an_attempt_shows_of_each_status(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    queue = queue_of(client, retry_config=ONCE_AN_HOUR)
    target.script = [lambda seen: int(seen.path[1:])]
    tasks = {status: task_of(client, queue, f"{target.url}/{status}").name for status in STATUSES}
    emulator.wait_for(lambda ended: len(ended) == len(STATUSES))
    assert {status: attempt_of(client, name) for status, name in tasks.items()} == {
        status: (1, responses, code, f"{text}: HTTP status code {status}")
        for status, (responses, code, text) in STATUSES.items()
    }


def test_what_an_attempt_without_an_answer_shows(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    queue = queue_of(client, retry_config=ONCE_AN_HOUR)
    target.script = [HANG]
    slow = task_of(client, queue, target.url, dispatch_deadline={"seconds": 15})
    unreachable = task_of(client, queue, "http://127.0.0.1:1/")
    target.wait(1)
    emulator.wait_for(lambda ended: len(ended) == 1)
    emulator.advance(15)
    emulator.wait_for(lambda ended: len(ended) == 2)
    assert attempt_of(client, slow.name) == (1, 0, 4, "DEADLINE_EXCEEDED(4): HTTP status code 504")
    assert attempt_of(client, unreachable.name) == (1, 0, 2, "UNKNOWN(2): HTTP status code 0")


def test_a_redirect_is_followed_without_being_an_attempt(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    target.script = [302, 200]
    target.headers = {"Location": "/elsewhere"}
    task_of(client, queue_of(client), f"{target.url}/first", http={"body": b"hi", "headers": {"Content-Type": "a/b"}})
    emulator.wait_idle()
    assert [(seen.method, seen.path) for seen in target.seen] == [("POST", "/first"), ("GET", "/elsewhere")]
    assert ("content-type" in target.seen[1].headers, target.seen[1].body) == (False, b"")
    assert [dispatch.status for dispatch in emulator.dispatches] == [200]


# the target of a queue


def claims_of(seen: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of a bearer token, unchecked."""
    scheme, _, token = seen.headers["authorization"].partition(" ")
    assert scheme == "Bearer"
    header, claims = (json.loads(base64.urlsafe_b64decode(f"{part}==")) for part in token.split(".")[:2])
    return header, claims


def overrides(target: Target, path: str) -> dict[str, Any]:
    return {"scheme": "HTTP", "host": "127.0.0.1", "port": target.port, "path_override": {"path": path}}


def test_a_queues_target_replaces_the_tasks(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    headers = [{"header": {"key": key, "value": "queue"}} for key in ("X-Custom", "X-Other")]
    queue = queue_of(
        client,
        http_target={
            "uri_override": {**overrides(target, "/overridden"), "query_override": {"query_params": "q=1"}},
            "http_method": "PUT",
            "header_overrides": headers,
            "oidc_token": {"service_account_email": ACCOUNT, "audience": "https://example.com/audience"},
        },
    )
    http = {"headers": {"x-custom": "task", "Content-Type": "text/plain"}, "body": b"hi"}
    task_of(client, queue, "https://example.com/kept?b=2", http=http)
    [seen] = target.wait(1)
    assert (seen.method, seen.path, seen.body) == ("PUT", "/overridden?q=1", b"hi")
    assert {name: seen.headers[name] for name in ("content-type", "user-agent", "x-custom", "x-other")} == {
        "content-type": "text/plain",
        "user-agent": "Google-Cloud-Tasks",
        "x-custom": "queue",
        "x-other": "queue",
    }
    assert claims_of(seen)[1]["aud"] == "https://example.com/audience"


def test_a_target_for_tasks_without_an_address_never_applies(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    uri = {**overrides(target, "/overridden"), "uri_override_enforce_mode": "IF_NOT_EXISTS"}
    task_of(client, queue_of(client, http_target={"uri_override": uri}), f"{target.url}/kept")
    assert [seen.path for seen in target.wait(1)] == ["/kept"]


def test_a_target_that_leaves_no_room_for_a_body(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    queue = queue_of(client, http_target={"http_method": "GET"}, retry_config=ONCE_AN_HOUR)
    with_body = task_of(client, queue, target.url, http={"body": b"hi"})
    task_of(client, queue, target.url, http={"headers": {"Content-Type": "text/plain"}})
    [seen] = target.wait(1)
    assert (seen.method, seen.headers["content-type"], "content-length" in seen.headers) == ("GET", "text/plain", False)
    emulator.wait_for(lambda ended: len(ended) == 2)
    assert attempt_of(client, with_body.name) == (1, 0, 2, "UNKNOWN(2): HTTP status code 0")
    assert len(target.seen) == 1


def test_a_target_applies_to_tasks_that_are_there_already(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    queue = queue_of(client)
    client.pause_queue(name=queue.name)
    task_of(client, queue, "https://unreachable.invalid/kept")
    token = {"service_account_email": ACCOUNT, "audience": "https://example.com/audience"}
    changed = {"name": queue.name, "http_target": {"uri_override": overrides(target, "/new"), "oidc_token": token}}
    client.update_queue(queue=changed, update_mask={"paths": ["http_target"]})
    client.resume_queue(name=queue.name)
    [seen] = target.wait(1)
    assert (seen.method, seen.path, claims_of(seen)[1]["email"]) == ("POST", "/new", ACCOUNT)


@pytest.mark.parametrize(("audience", "expected"), [("https://example.com/a", "https://example.com/a"), ("", None)])
def test_tokens(emulator: CloudTasksEmulator, target: Target, audience: Any, expected: Any) -> None:
    """Recorded: claims, the account's id twice, and an hour; a stored Authorization header is replaced."""
    client = emulator.client()
    url = f"{target.url}/work?query"
    token = {"service_account_email": ACCOUNT, "audience": audience}
    task_of(client, queue_of(client), url, http={"headers": {"Authorization": "mine"}, "oidc_token": token})
    header, claims = claims_of(target.wait(1)[0])
    assert (header["alg"], header["typ"], set(header)) == ("RS256", "JWT", {"alg", "typ", "kid"})
    assert set(claims) == {"aud", "azp", "email", "email_verified", "exp", "iat", "iss", "sub"}
    assert (claims["aud"], claims["email"], claims["email_verified"]) == (expected or url, ACCOUNT, True)
    assert (claims["exp"] - claims["iat"], claims["iss"]) == (3600, "https://accounts.google.com")
    assert claims["azp"] == claims["sub"]
    assert claims["sub"].isdigit()

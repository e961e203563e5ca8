"""Recorded: valid tasks, and their stored and shown forms."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from google.cloud import tasks_v2 as v2

from tests.emulators.cloudtasks.support import (
    LATER,
    NO_QUEUE,
    TOMORROW,
    fresh,
    over_grpc,
    queue_of,
    refusal,
    task_of,
)

NOT_FOUND = "NOT_FOUND: Requested entity was not found."


def names_of(message: Any) -> set[str]:
    return {field.name for field, _ in type(message).pb(message).ListFields()}


def test_views(client: Any, queue: Any) -> None:
    before = int(time.time())
    sent = {"http": {"body": b"hi"}, **LATER}
    basic = task_of(client, queue, name=f"{queue.name}/tasks/basic", **sent)
    full = task_of(client, queue, name=f"{queue.name}/tasks/full", view="FULL", **sent)
    stored = {"name", "http_request", "schedule_time", "create_time", "dispatch_deadline", "view"}
    assert names_of(basic) == names_of(full) == stored
    assert (basic.view.name, basic.http_request.body) == ("BASIC", b"")
    assert (full.view.name, full.http_request.body) == ("FULL", b"hi")
    assert (basic.http_request.http_method.name, dict(basic.http_request.headers)) == (
        "POST",
        {"User-Agent": "Google-Cloud-Tasks"},
    )
    assert basic.dispatch_deadline.total_seconds() == 600
    shown = v2.Task.pb(basic)
    assert (shown.schedule_time.seconds, shown.schedule_time.nanos) == (TOMORROW, 123456000)
    assert (before <= shown.create_time.seconds <= time.time(), shown.create_time.nanos) == (True, 0)
    assert client.get_task(name=basic.name) == basic
    assert client.get_task({"name": full.name, "response_view": "FULL"}) == full
    listed = {task.name: task for task in client.list_tasks({"parent": queue.name, "response_view": "FULL"})}
    assert listed[full.name] == full


def test_numbers_that_the_client_does_not_know(client: Any) -> None:
    queue = queue_of(client)
    client.pause_queue(name=queue.name)
    assert task_of(client, queue, http={"http_method": 99}).http_request.http_method.name == "POST"
    created = task_of(client, queue, http={"body": b"hi"}, view=99)
    got = client.get_task({"name": created.name, "response_view": 99})
    assert (created.view, created.http_request.body) == (got.view, got.http_request.body) == (0, b"")
    listed = client.list_tasks({"parent": queue.name, "response_view": 99})
    assert [task.view.name for task in listed] == ["BASIC", "BASIC"]


def test_a_made_up_id_is_a_number(client: Any, queue: Any) -> None:
    assert task_of(client, queue).name.rpartition("/")[2].isdigit()


def test_headers_that_are_dropped(client: Any, queue: Any) -> None:
    kept = {
        "Authorization": "Bearer token",
        "Content-Type": "text/plain",
        "Trailer": "Expires",
        "X-CloudTasks-TaskName": "spoofed",
        "X-Forwarded-Proto": "https",
        "X-Goog-Custom": "value",
    }
    dropped = dict.fromkeys(
        [
            "user-agent",
            "Host",
            "Content-Length",
            "Connection",
            "Keep-Alive",
            "Proxy-Authorization",
            "Proxy-Connection",
            "TE",
            "Transfer-Encoding",
            "Upgrade",
            "Via",
            "Accept-Encoding",
            "X-Forwarded-For",
            "From",
            "X-Google",
            "X-Google-Custom",
            "x-appengine-custom",
        ],
        "value",
    )
    created = task_of(client, queue, http={"headers": {**kept, **dropped}})
    assert dict(created.http_request.headers) == {**kept, "User-Agent": "Google-Cloud-Tasks"}


def test_headers_that_are_made_harmless(client: Any, queue: Any) -> None:
    headers = {
        "Bad Header": "value",
        "X\tTab": "value",
        "X:Colon": "value",
        "": "value",
        "X-Ü": "value",
        "X/Slash": "value",
        "X-Newline": "a\nb",
        "X-Crlf": "a\r\nb",
        "X-Tab": "a\tb",
        "X-Nul": "a\0b",
        "X-Control": "a\x01b",
        "X-Delete": "a\x7fb",
        "X-Unicode": "ü",
        "X-Empty": "",
        "X-Space": " ",
        "X-Mixed-Case": "kept",
        "X-Kept": "v" * 8182,
        "X-Gone": "v" * 8183,
    }
    assert dict(task_of(client, queue, http={"headers": headers}).http_request.headers) == {
        "X/Slash": "value",
        "X-Newline": "a_b",
        "X-Crlf": "a__b",
        "X-Tab": "a\tb",
        "X-Nul": "a",
        "X-Space": " ",
        "X-Mixed-Case": "kept",
        "X-Kept": "v" * 8182,
        "User-Agent": "Google-Cloud-Tasks",
    }


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ({}, "Task.payload_type is not set."),
        ({"http_request": {}}, "HttpRequest.url is required."),
        ({"http_request": {"url": "ftp://example.com"}}, "HttpTarget.url must start with 'http://' or 'https://'."),
        ({"http_request": {"url": "example.com"}}, "HttpTarget.url must start with 'http://' or 'https://'."),
        *(
            (
                {"http_request": {"url": "https://example.com", "http_method": method, "body": b"x"}},
                "Body can only be set if the http_method is POST, PUT, or PATCH.",
            )
            for method in ("GET", "HEAD", "DELETE", "OPTIONS")
        ),
        *(
            (
                {"http_request": {"url": "https://example.com"}, "dispatch_deadline": {"seconds": seconds}},
                "Task.dispatchDeadline must be between [15s, 30m].",
            )
            for seconds in (14, 1801)
        ),
        *(
            ({"http_request": {"url": "https://example.com"}, "retry_config": retry}, said)
            for retry, said in (
                ({"max_attempts": -2}, "RetryConfig.maxAttempts must be greater or equal to -1."),
                ({"max_doublings": -1}, "RetryConfig.maxDoublings cannot be negative."),
                ({"min_backoff": {"seconds": -1}}, "RetryConfig.minBackoff cannot be negative."),
                ({"max_backoff": {"seconds": -1}}, "RetryConfig.maxBackoff cannot be negative."),
                (
                    {"max_retry_duration": {"seconds": -1}},
                    "RetryConfig.max_retry_duration.seconds cannot be negative.",
                ),
                (
                    {"max_retry_duration": {"seconds": 30, "nanos": 900000000}},
                    "RetryConfig.max_retry_duration.nanos cannot be set.",
                ),
                (
                    {"min_backoff": {"seconds": 2}, "max_backoff": {"seconds": 1}},
                    "RetryConfig.minBackoff must be less than or equal to RetryConfig.maxBackoff.",
                ),
            )
        ),
    ],
)
def test_tasks_that_are_refused(client: Any, queue: Any, task: Any, said: Any) -> None:
    assert refusal(lambda: client.create_task(parent=queue.name, task=task)) == f"INVALID_ARGUMENT: {said}"


def test_app_engine_is_not_emulated(client: Any, queue: Any) -> None:
    task = {"app_engine_http_request": {"relative_uri": "/"}}
    said = refusal(lambda: client.create_task(parent=queue.name, task=task))
    assert said == "UNIMPLEMENTED: This emulator sends to HTTP targets only, not to App Engine."


def test_a_queue_that_is_not_there(client: Any) -> None:
    task = {"http_request": {"url": "https://example.com"}}
    assert refusal(lambda: client.create_task(parent=fresh(), task=task)) == f"NOT_FOUND: {NO_QUEUE}"


@pytest.mark.parametrize(
    ("when", "shown"),
    [
        ({"seconds": 4_102_444_800}, "2099-12-31T16:00:00-08:00"),
        ({"seconds": 4_118_083_200}, "2100-06-30T17:00:00-07:00"),
        ({"seconds": 4_102_444_800, "nanos": 500_000_000}, "2099-12-31T16:00:00.5-08:00"),
        ({"seconds": 4_102_444_800, "nanos": 1}, "2099-12-31T16:00:00.000000001-08:00"),
    ],
)
def test_times_too_far_ahead(client: Any, queue: Any, when: Any, shown: Any) -> None:
    assert refusal(lambda: task_of(client, queue, schedule_time=when)) == (
        f"INVALID_ARGUMENT: The Task.scheduleTime, {shown}, is too far in the future."
        " Schedule time must be no more than 720h in the future."
    )


def test_times_at_their_limits(client: Any, queue: Any) -> None:
    task_of(client, queue, schedule_time={"seconds": int(time.time()) + 29 * 86400})


@over_grpc
def test_a_time_after_the_last_year(client: Any, queue: Any) -> None:
    out_of_range = v2.Task.pb(v2.Task(http_request={"url": "https://example.com"}))
    out_of_range.schedule_time.seconds = 253_402_300_800
    request = v2.CreateTaskRequest.pb()(parent=queue.name, task=out_of_range)
    said = refusal(lambda: client.create_task(v2.CreateTaskRequest(request)))
    assert said == "INVALID_ARGUMENT: Request contains an invalid argument."


@pytest.mark.parametrize("seconds", [None, 0, -1, -62_135_596_800])
def test_times_that_are_past_become_now(client: Any, queue: Any, seconds: Any) -> None:
    check_past(client, queue, seconds)


@over_grpc
def test_a_time_before_the_first_year(client: Any, queue: Any) -> None:
    check_past(client, queue, -62_135_596_801)


def check_past(client: Any, queue: Any, seconds: int | None) -> None:
    task = v2.Task.pb(v2.Task(http_request={"url": "https://example.com"}))
    task.schedule_time.seconds = int(time.time()) - 3600 if seconds is None else seconds
    created = client.create_task(v2.CreateTaskRequest(v2.CreateTaskRequest.pb()(parent=queue.name, task=task)))
    assert 0 <= (created.schedule_time - created.create_time).total_seconds() <= 1
    assert abs((created.schedule_time - datetime.now(UTC)).total_seconds()) < 10


def test_deadlines_keep_milliseconds(client: Any, queue: Any) -> None:
    created = task_of(client, queue, dispatch_deadline={"seconds": 20, "nanos": 123456789})
    assert v2.Task.pb(created).dispatch_deadline.nanos == 123000000


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://example.com/" + "a" * 2063, True),
        ("https://example.com/" + "a" * 2064, False),
        ("https://example.com/" + "\u00e4" * 343, True),  # six characters each, after encoding
        ("https://example.com/" + "\u00e4" * 344, False),
        ("https://example.com/?q=%20#" + "a" * 2056, True),
        ("https://example.com/?q=%20#" + "a" * 2057, False),
    ],
    ids=["at it", "over it", "encoded at it", "encoded over it", "signs at it", "signs over it"],
)
def test_the_length_of_a_url(client: Any, queue: Any, url: str, allowed: bool) -> None:
    """The limit and its text are documented with HttpRequest."""
    too_long = "INVALID_ARGUMENT: HttpRequest.url: the maximum allowed URL length is 2083 characters after encoding."
    if allowed:
        assert task_of(client, queue, url).http_request.url == url
    else:
        assert refusal(lambda: task_of(client, queue, url)) == too_long


LARGE = {f"X-{number:02}": "v" * 8160 for number in range(10)}
"""Headers of 81,640 bytes, each of the largest size; the service's own User-Agent has 28 more."""


@pytest.mark.parametrize(("more", "allowed"), [(250, True), (251, False)])
def test_the_size_of_all_headers(client: Any, queue: Any, more: int, allowed: bool) -> None:
    """The limit of less than 80KB is documented with HttpRequest and HttpTarget."""
    headers = {**LARGE, "Y": "v" * more, "Host": "ignored" * 100}
    if allowed:
        assert len(task_of(client, queue, http={"headers": headers}).http_request.headers) == 12
    else:
        said = refusal(lambda: task_of(client, queue, http={"headers": headers}))
        assert said == "INVALID_ARGUMENT: The size of the headers must be less than 80KB."


def test_the_size_of_a_queues_headers(client: Any) -> None:
    def made(**headers: str) -> Any:
        overrides = [{"header": {"key": name, "value": value}} for name, value in headers.items()]
        return queue_of(client, http_target={"header_overrides": overrides})

    assert len(made(**LARGE, Y="v" * 278).http_target.header_overrides) == 11
    said = refusal(lambda: made(**LARGE, Y="v" * 279))
    assert said == "INVALID_ARGUMENT: The size of the headers must be less than 80KB."


def test_the_size_limit_to_the_byte(client: Any, queue: Any) -> None:
    """Recorded: the largest body and the length of a name two shorter are 1,047,453 together, with this header."""
    name = f"{queue.name}/tasks/t"
    largest = 1_047_453 - len(name)

    def create(number: int, size: int) -> Any:
        http = {"headers": {"X-Header": "h" * 1000}, "body": b"a" * size}
        return task_of(client, queue, name=f"{name}{number:02}", http=http, **LATER)

    assert create(1, largest).name
    assert refusal(lambda: create(2, largest + 1)) == "INVALID_ARGUMENT: Task size too large"


def test_retry_settings_of_a_task(client: Any, queue: Any) -> None:
    retry_settings = {
        "max_attempts": 3,
        "max_retry_duration": {"seconds": 60},
        "min_backoff": {"seconds": 2},
        "max_backoff": {"seconds": 4},
        "max_doublings": 1,
    }
    created = task_of(client, queue, retry_config=retry_settings)
    assert client.get_task(name=created.name).retry_config == created.retry_config == v2.RetryConfig(retry_settings)
    partial = v2.Task.pb(task_of(client, queue, retry_config={"max_attempts": 3})).retry_config
    assert (partial.max_attempts, partial.min_backoff.nanos, partial.max_backoff.seconds, partial.max_doublings) == (
        3,
        100000000,
        3600,
        16,
    )
    assert not partial.HasField("max_retry_duration")

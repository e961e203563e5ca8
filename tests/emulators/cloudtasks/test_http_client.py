"""HTTP client: redirects, routes and the parts of an address."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from cloudqueues.cloudtasks import CloudTasksEmulator
from tests.emulators.cloudtasks.support import ACCOUNT, Target, queue_of, task_of


@pytest.mark.parametrize(
    ("status", "method", "followed"),
    [
        (301, "POST", "GET"),
        (303, "PUT", "GET"),
        (302, "HEAD", "HEAD"),
        (307, "POST", "POST"),
        (308, "PATCH", "PATCH"),
    ],
)
def test_redirects(emulator: CloudTasksEmulator, target: Target, status: Any, method: Any, followed: Any) -> None:
    client = emulator.client()
    target.script = [status, 204]
    target.headers = {"Location": "second"}
    http = {"http_method": method, "body": b"hi" if method != "HEAD" else b""}
    task_of(client, queue_of(client), f"{target.url}/a/first", http=http)
    emulator.wait_idle()
    second = target.wait(2)[1]
    assert (second.method, second.path) == (followed, "/a/second")
    assert second.body == (b"hi" if followed == method != "HEAD" else b"")


def test_a_redirect_to_another_host_takes_no_token_along(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    target.script = [307, 307, 200]
    locations = itertools.chain([f"{target.url}/same", f"http://localhost:{target.port}/other"])
    target.script = [lambda _: location(next(locations)), lambda _: location(next(locations)), 200]
    task_of(client, queue_of(client), target.url, http={"oidc_token": {"service_account_email": ACCOUNT}})
    emulator.wait_idle()
    assert ["authorization" in seen.headers for seen in target.wait(3)] == [True, True, False]


def location(url: str) -> bytes:
    return f"HTTP/1.1 307 X\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n".encode()


def test_a_route_of_ones_own(emulator: CloudTasksEmulator, target: Target) -> None:
    """Routed targets keep their URLs, also after redirects. A target without a route is never connected to."""
    client = emulator.client()
    queue = queue_of(client, retry_config={"max_attempts": 1})
    asked: list[str] = []

    def route(url: str) -> tuple[str, int] | None:
        asked.append(url)
        return ("127.0.0.1", target.port) if url.startswith("https://orders.example.com/") else None

    assert emulator.route is None
    emulator.route = route
    target.script = [lambda _: location("https://orders.example.com/second"), 200]
    task_of(client, queue, "https://orders.example.com/first")
    emulator.wait_idle()
    first, second = target.wait(2)
    assert (first.path, second.path) == ("/first", "/second")
    assert first.headers["host"] == "orders.example.com"
    task_of(client, queue, "https://elsewhere.example.com/")
    emulator.wait_idle()
    assert [dispatch.status for dispatch in emulator.dispatches] == [200, 0]
    assert asked[-1] == "https://elsewhere.example.com/"


def test_a_target_whose_chunk_is_larger_than_any_number(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    target.script = [lambda _: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1" + b"0" * 300 + b"\r\nx"]
    task_of(client, queue_of(client, retry_config={"max_attempts": 1}), target.url)
    emulator.wait_idle()
    assert [dispatch.status for dispatch in emulator.dispatches] == [0]


@pytest.mark.parametrize("where", ["", "ftp://example.com/", "mailto:x"])
def test_redirects_to_nowhere_are_answers(emulator: CloudTasksEmulator, target: Target, where: Any) -> None:
    client = emulator.client()
    target.script = [302]
    target.headers = {"Location": where}
    task_of(client, queue_of(client, retry_config={"max_attempts": 1}), target.url)
    emulator.wait_idle()
    assert [dispatch.status for dispatch in emulator.dispatches] == [302]


def test_redirects_in_a_circle_end(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    target.script = [302]
    target.headers = {"Location": "/again"}
    task_of(client, queue_of(client, retry_config={"max_attempts": 1}), target.url)
    emulator.wait_idle()
    assert (len(target.seen), [dispatch.status for dispatch in emulator.dispatches]) == (11, [302])


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ({"port": 0}, "http://example.com/a?b=1"),
        ({"port": 99}, "http://example.com:99/a?b=1"),
        ({"scheme": "HTTPS"}, "https://example.com:8080/a?b=1"),
        ({"scheme": "HTTP"}, "http://example.com:8080/a?b=1"),
        ({"host": "[::1]"}, "http://[::1]:8080/a?b=1"),
        ({"path_override": {"path": ""}}, "http://example.com:8080?b=1"),
        ({"query_override": {"query_params": ""}}, "http://example.com:8080/a"),
    ],
)
def test_parts_of_an_address(emulator: CloudTasksEmulator, uri: Any, url: Any) -> None:
    from google.cloud import tasks_v2

    from cloudqueues.cloudtasks.targets import address

    target = tasks_v2.HttpTarget.pb(tasks_v2.HttpTarget(uri_override=uri))
    assert address("http://example.com:8080/a?b=1", target) == url


@pytest.mark.parametrize(
    "url", ["http://", "http://[::1", "http://exa mple.com/", "http://127.0.0.1:99999/", "http://x..y/"]
)
def test_addresses_that_are_none(emulator: CloudTasksEmulator, url: Any) -> None:
    """The service checks only the scheme when a task is created."""
    client = emulator.client()
    task_of(client, queue_of(client, retry_config={"max_attempts": 1}), url)
    emulator.wait_idle()
    assert [dispatch.status for dispatch in emulator.dispatches] == [0]

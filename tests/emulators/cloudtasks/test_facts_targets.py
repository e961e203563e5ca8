"""Recorded: the target of a queue."""

from __future__ import annotations

from typing import Any

import pytest
from google.cloud import tasks_v2 as v2

from tests.emulators.cloudtasks.support import (
    ACCOUNT,
    TARGET_ERROR,
    details,
    queue_of,
    refusal,
)


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ({"uri_override": {"host": ""}}, "Invalid Host."),
        ({"uri_override": {"host": "https://example.com"}}, "Invalid Host."),
        ({"uri_override": {"host": "example.com:80"}}, "Invalid Host."),
        ({"uri_override": {"host": "example.com/path"}}, "Invalid Host."),
        ({"uri_override": {"port": -1}}, "Port number should be a positive integer."),
        ({"uri_override": {}}, "Invalid uri_override."),
        ({"uri_override": {"scheme": 99}}, ""),
        ({"uri_override": {"host": "h", "uri_override_enforce_mode": 99}}, ""),
        ({"http_method": 99}, ""),
    ],
)
def test_targets_that_are_refused(client: Any, target: Any, problem: Any) -> None:
    assert refusal(lambda: queue_of(client, http_target=target)) == f"INVALID_ARGUMENT: {TARGET_ERROR}{problem}"
    [info] = details(lambda: queue_of(client, http_target=target))
    assert (info.reason, info.domain, dict(info.metadata)) == (
        "INVALID_INPUT_ON_HTTP_TARGET_OVERRIDE",
        "cloudtasks.googleapis.com",
        {"invalid_field": problem},
    )


@pytest.mark.parametrize("kind", ["oidc_token", "oauth_token"])
@pytest.mark.parametrize(
    ("email", "said"),
    [("", "service_account_email must be set."), ("malformed", "Request contains an invalid argument.")],
)
def test_tokens_that_are_refused(client: Any, kind: Any, email: Any, said: Any) -> None:
    target = {kind: {"service_account_email": email}}
    assert refusal(lambda: queue_of(client, http_target=target)) == f"INVALID_ARGUMENT: {said}"


@pytest.mark.parametrize(
    "target",
    [
        {},
        {"uri_override": {"port": 65536}},
        {"uri_override": {"path_override": {"path": "path"}}},
        {"uri_override": {"path_override": {"path": "/a b"}}},
        {"uri_override": {"query_override": {"query_params": "?a=1"}}},
        {"uri_override": {"port": 0, "path_override": {"path": ""}, "query_override": {"query_params": ""}}},
        {"uri_override": {"scheme": 0}},
        {"uri_override": {"host": "example.net", "uri_override_enforce_mode": "ALWAYS"}},
        {"oidc_token": {"service_account_email": ACCOUNT, "audience": "audience"}},
        {"oauth_token": {"service_account_email": ACCOUNT, "scope": "scope"}},
        {"oauth_token": {"service_account_email": ACCOUNT}},
        {
            "uri_override": {
                "scheme": "HTTP",
                "host": "example.net",
                "port": 8080,
                "path_override": {"path": "/path"},
                "query_override": {"query_params": "a=1&b=2"},
                "uri_override_enforce_mode": "IF_NOT_EXISTS",
            },
            "http_method": "PUT",
            "header_overrides": [
                {"header": {"key": "X-Custom", "value": ""}},
                {"header": {"key": "x-custom", "value": "a\r\nb"}},
                {"header": {"key": "Content-Type", "value": "text/plain"}},
                {"header": {"key": "Authorization", "value": "Bearer token"}},
            ],
            "oidc_token": {"service_account_email": ACCOUNT},
        },
    ],
)
def test_targets_that_are_returned_as_they_were_given(client: Any, target: Any) -> None:
    queue = queue_of(client, http_target=target)
    assert "http_target" in queue
    assert queue.http_target == v2.HttpTarget(target)


def test_an_override_without_a_header_is_left_out(client: Any) -> None:
    assert not queue_of(client, http_target={"header_overrides": [{}]}).http_target.header_overrides


@pytest.mark.parametrize(
    "names",
    [
        [""],
        ["X:Custom"],
        ["Host"],
        ["host"],
        ["User-Agent"],
        ["Content-Length"],
        ["Connection"],
        ["Transfer-Encoding"],
        ["X-Forwarded-For"],
        ["X-Google-Custom"],
        ["X-AppEngine-Custom"],
        ["X-CloudTasks-TaskName"],
        ["X-CloudTasks-Custom"],
        ["User-Agent", "Host"],
    ],
)
def test_header_overrides_that_are_refused(client: Any, names: Any) -> None:
    target = {"header_overrides": [{"header": {"key": name, "value": "v"}} for name in names]}
    assert refusal(lambda: queue_of(client, http_target=target)) == (
        "INVALID_ARGUMENT: Error in parsing HttpTarget.headers. Header name cannot be empty or start with"
        f" reserved prefixes. Invalid headers found: {', '.join(names)}"
    )

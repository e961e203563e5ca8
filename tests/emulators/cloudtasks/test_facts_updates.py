"""Recorded: changes by an update of a queue, with and without a mask."""

from __future__ import annotations

from typing import Any

import pytest
from google.cloud import tasks_v2 as v2

from tests.emulators.cloudtasks.support import (
    ACCOUNT,
    CONFIGURED,
    DEFAULT_RETRY,
    TARGET_ERROR,
    fresh,
    over_grpc,
    queue_of,
    rate_of,
    refusal,
    retry_of,
)


def test_no_mask_replaces_everything(client: Any) -> None:
    queue = queue_of(client, **CONFIGURED)
    changed = client.update_queue(queue={"name": queue.name, "rate_limits": {"max_dispatches_per_second": 100}})
    assert (rate_of(changed), retry_of(changed)) == ((100.0, 20, 1000), DEFAULT_RETRY)


def test_an_empty_mask_changes_nothing(client: Any) -> None:
    queue = queue_of(client)
    update = {"name": queue.name, "rate_limits": {"max_dispatches_per_second": 100}}
    assert client.update_queue({"queue": update, "update_mask": {"paths": []}}) == queue


def test_single_fields(client: Any) -> None:
    queue = queue_of(client, **CONFIGURED)
    update = {
        "name": queue.name,
        "rate_limits": {"max_dispatches_per_second": 100},
        "retry_config": {"max_attempts": 7},
    }
    paths = ["rate_limits.max_dispatches_per_second", "retry_config.max_attempts"]
    changed = client.update_queue(queue=update, update_mask={"paths": paths})
    assert (rate_of(changed), retry_of(changed)) == ((100.0, 20, 5), (7, 60.0, 1.0, 10.0, 3))
    assert client.get_queue(name=queue.name) == changed


def test_whole_messages(client: Any) -> None:
    queue = queue_of(client, **CONFIGURED)
    update = {"name": queue.name, "rate_limits": {"max_dispatches_per_second": 100}}
    first = client.update_queue(queue=update, update_mask={"paths": ["rate_limits"]})
    assert (rate_of(first), retry_of(first)) == ((100.0, 20, 1000), (5, 60.0, 1.0, 10.0, 3))
    second = client.update_queue(queue=update, update_mask={"paths": ["retry_config"]})
    assert (rate_of(second), retry_of(second)) == ((100.0, 20, 1000), DEFAULT_RETRY)


@pytest.mark.parametrize("path", ["name", "state", "purge_time", "rate_limits.max_burst_size"])
def test_output_only_fields_are_left(client: Any, path: Any) -> None:
    queue = queue_of(client)
    update = {
        "name": queue.name,
        "state": "PAUSED",
        "purge_time": {"seconds": 9},
        "rate_limits": {"max_burst_size": 50},
    }
    assert client.update_queue(queue=update, update_mask={"paths": [path]}) == queue


def test_a_queue_that_is_not_there_is_made(client: Any) -> None:
    name = fresh()
    assert rate_of(client.update_queue(queue={"name": name, **CONFIGURED})) == (10.0, 10, 5)
    assert retry_of(client.get_queue(name=name)) == (5, 60.0, 1.0, 10.0, 3)
    mask = {"paths": ["rate_limits.max_concurrent_dispatches"]}
    masked = client.update_queue(queue={"name": fresh(), **CONFIGURED}, update_mask=mask)
    assert (rate_of(masked), retry_of(masked)) == ((500.0, 100, 5), DEFAULT_RETRY)


def test_updating_keeps_the_state(client: Any) -> None:
    queue = queue_of(client)
    client.pause_queue(name=queue.name)
    assert client.update_queue(queue={"name": queue.name, **CONFIGURED}).state.name == "PAUSED"


@pytest.mark.parametrize(
    "path",
    [
        "bogus",
        "rate_limits.bogus",
        "http_target.bogus",
        "http_target.header_overrides.header",
        "rate_limits.max_dispatches_per_second.bogus",
        " state",
    ],
)
def test_masks_that_are_refused(client: Any, path: Any) -> None:
    check_mask(client, path)


@over_grpc
@pytest.mark.parametrize(
    "path",
    ["rateLimits.maxDispatchesPerSecond", "rate_limits.max_dispatches_per_second,retry_config.max_attempts", ""],
)
def test_masks_that_json_has_no_word_for(client: Any, path: Any) -> None:
    check_mask(client, path)


def check_mask(client: Any, path: str) -> None:
    def said(name: str) -> str:
        request = {"queue": {"name": name}, "update_mask": {"paths": [path]}}
        return refusal(lambda: client.update_queue(request))

    assert said(queue_of(client).name) == said(fresh()) == f"INVALID_ARGUMENT: Invalid mask: {path}"


@pytest.mark.parametrize(
    ("path", "update", "said"),
    [
        (
            "rate_limits.max_dispatches_per_second",
            {"rate_limits": {"max_dispatches_per_second": 501}},
            "RateLimits.maxDispatchesPerSecond must be less than or equal to 500.",
        ),
        ("rate_limits", {"http_target": {"uri_override": {"host": ""}}}, f"{TARGET_ERROR}Invalid Host."),
        (
            "http_target.uri_override.host",
            {"http_target": {"uri_override": {"port": 8080}}},
            f"{TARGET_ERROR}Invalid uri_override.",
        ),
        (
            "retry_config.min_backoff",
            {"retry_config": {"min_backoff": {"seconds": 20}}},
            "RetryConfig.minBackoff must be less than or equal to RetryConfig.maxBackoff.",
        ),
    ],
)
def test_updates_that_are_refused_change_nothing(client: Any, path: Any, update: Any, said: Any) -> None:
    queue = queue_of(client, **CONFIGURED)
    request = {"queue": {"name": queue.name, **update}, "update_mask": {"paths": [path]}}
    assert refusal(lambda: client.update_queue(request)) == f"INVALID_ARGUMENT: {said}"
    assert client.get_queue(name=queue.name) == queue


def test_a_token_without_anything_in_it_is_left_out(client: Any) -> None:
    queue = queue_of(client, **CONFIGURED)
    update = {"name": queue.name, "http_target": {"oauth_token": {"service_account_email": ACCOUNT}}}
    mask = {"paths": ["http_target.oidc_token.service_account_email"]}
    changed = client.update_queue(queue=update, update_mask=mask)
    assert "http_target" in changed
    assert changed.http_target == v2.HttpTarget()


USERINFO = "https://www.googleapis.com/auth/userinfo.email"
MADE: dict[str, Any] = {
    "uri_override": {"host": "example.net", "path_override": {"path": "/path"}},
    "http_method": "PUT",
    "header_overrides": [{"header": {"key": "X-Custom", "value": "created"}}],
    "oidc_token": {"service_account_email": ACCOUNT, "audience": "https://example.com/audience"},
}
UPDATE: dict[str, Any] = {
    "uri_override": {"scheme": "HTTPS", "port": 8080, "query_override": {"query_params": "u=1"}},
    "http_method": "GET",
    "header_overrides": [{"header": {"key": "X-Other", "value": "updated"}}],
    "oauth_token": {"service_account_email": ACCOUNT, "scope": USERINFO},
}
NO_OIDC = {"oidc_token": None}


@pytest.mark.parametrize(
    ("path", "changed"),
    [
        ("uri_override", {"uri_override": UPDATE["uri_override"]}),
        ("uri_override.scheme", {"uri_override": {**MADE["uri_override"], "scheme": "HTTPS"}}),
        ("uri_override.host", {"uri_override": {"path_override": {"path": "/path"}}}),
        ("uri_override.port", {"uri_override": {**MADE["uri_override"], "port": 8080}}),
        ("uri_override.path_override", {"uri_override": {"host": "example.net"}}),
        ("uri_override.path_override.path", {"uri_override": {"host": "example.net", "path_override": {}}}),
        (
            "uri_override.query_override.query_params",
            {"uri_override": {**MADE["uri_override"], "query_override": {"query_params": "u=1"}}},
        ),
        ("uri_override.uri_override_enforce_mode", {}),
        ("http_method", {"http_method": "GET"}),
        ("header_overrides", {"header_overrides": UPDATE["header_overrides"]}),
        ("oidc_token", NO_OIDC),
        ("oidc_token.audience", {"oidc_token": {"service_account_email": ACCOUNT}}),
        ("oauth_token", {**NO_OIDC, "oauth_token": UPDATE["oauth_token"]}),
        ("oauth_token.scope", {**NO_OIDC, "oauth_token": {"scope": USERINFO}}),
    ],
)
def test_parts_of_a_target(client: Any, path: Any, changed: Any) -> None:
    queue = queue_of(client, http_target=MADE)
    update = {"name": queue.name, "http_target": UPDATE}
    http_target = client.update_queue(queue=update, update_mask={"paths": [f"http_target.{path}"]}).http_target
    assert http_target == v2.HttpTarget(
        {name: value for name, value in {**MADE, **changed}.items() if value is not None}
    )


def test_whole_targets(client: Any) -> None:
    queue = queue_of(client, http_target=MADE, stackdriver_logging_config={"sampling_ratio": 0.5})
    mask = {"paths": ["http_target"]}
    changed = client.update_queue(queue={"name": queue.name, "http_target": UPDATE}, update_mask=mask)
    assert changed.http_target == v2.HttpTarget(UPDATE)
    removed = client.update_queue(queue={"name": queue.name}, update_mask=mask)
    assert "http_target" not in removed
    assert removed.stackdriver_logging_config.sampling_ratio == 0.5


@pytest.mark.parametrize("path", ["stackdriver_logging_config", "stackdriver_logging_config.sampling_ratio"])
def test_logging(client: Any, path: Any) -> None:
    queue = queue_of(client, stackdriver_logging_config={"sampling_ratio": 0.5})
    update = {"name": queue.name, "stackdriver_logging_config": {"sampling_ratio": 0.25}}
    changed = client.update_queue(queue=update, update_mask={"paths": [path]})
    assert changed.stackdriver_logging_config.sampling_ratio == 0.25

"""Recorded: a queue's settings: defaults, limits, targets, update masks, lists and filters."""

from __future__ import annotations

import math
from typing import Any

import pytest
from google.cloud import tasks_v2 as v2

from tests.emulators.cloudtasks.support import ACCOUNT, HERE, NO_QUEUE, details, fresh, queue_of, refusal

CONFIGURED: dict[str, Any] = {
    "rate_limits": {"max_dispatches_per_second": 10, "max_concurrent_dispatches": 5},
    "retry_config": {
        "max_attempts": 5,
        "max_retry_duration": {"seconds": 60},
        "min_backoff": {"seconds": 1},
        "max_backoff": {"seconds": 10},
        "max_doublings": 3,
    },
}


def rate_of(queue: Any) -> tuple[float, int, int]:
    rate = queue.rate_limits
    return rate.max_dispatches_per_second, rate.max_burst_size, rate.max_concurrent_dispatches


def retry_of(queue: Any) -> tuple[int, float, float, float, int]:
    retry = queue.retry_config
    spans = [retry.max_retry_duration, retry.min_backoff, retry.max_backoff]
    return retry.max_attempts, *(span.total_seconds() if span else 0.0 for span in spans), retry.max_doublings  # type: ignore[return-value] # three


DEFAULT_RATE = (500.0, 100, 1000)
DEFAULT_RETRY = (100, 0.0, 0.1, 3600.0, 16)


# creating


@pytest.mark.parametrize(
    "given", [{}, {"rate_limits": {}, "retry_config": {"max_attempts": 0, "min_backoff": {}, "max_backoff": {}}}]
)
def test_defaults(client, given):
    queue = queue_of(client, **given)
    assert (rate_of(queue), retry_of(queue)) == (DEFAULT_RATE, DEFAULT_RETRY)
    assert queue.state.name == "RUNNING"
    assert not {"http_target", "purge_time", "stackdriver_logging_config"} & {
        f.name for f, _ in v2.Queue.pb(queue).ListFields()
    }


def test_settings_are_returned(client):
    queue = queue_of(client, **CONFIGURED)
    assert (rate_of(queue), retry_of(queue)) == ((10.0, 10, 5), (5, 60.0, 1.0, 10.0, 3))
    assert client.get_queue(name=queue.name) == queue


def test_unlimited_attempts(client):
    assert retry_of(queue_of(client, retry_config={"max_attempts": -1}))[0] == -1


def test_back_offs_keep_their_nanoseconds(client):
    given = {"min_backoff": {"seconds": 1, "nanos": 234567891}, "max_backoff": {"seconds": 10, "nanos": 987654321}}
    retry = v2.Queue.pb(queue_of(client, retry_config=given)).retry_config
    assert (retry.min_backoff.nanos, retry.max_backoff.nanos) == (234567891, 987654321)


@pytest.mark.parametrize(("rate", "burst"), [(0.5, 10), (54, 10), (77, 15), (333, 66), (500, 100)])
def test_burst_follows_from_the_rate(client, rate, burst):
    assert queue_of(client, rate_limits={"max_dispatches_per_second": rate}).rate_limits.max_burst_size == burst


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"rate_limits": {"max_dispatches_per_second": 501}},
            "RateLimits.maxDispatchesPerSecond must be less than or equal to 500.",
        ),
        ({"rate_limits": {"max_dispatches_per_second": -1}}, "RateLimits.maxDispatchesPerSecond cannot be negative."),
        (
            {"rate_limits": {"max_concurrent_dispatches": 5001}},
            "RateLimits.maxConcurrentDispatches must be less than or equal to 5000.",
        ),
        ({"rate_limits": {"max_concurrent_dispatches": -1}}, "RateLimits.maxConcurrentDispatches cannot be negative."),
        ({"retry_config": {"max_attempts": -2}}, "RetryConfig.maxAttempts must be greater or equal to -1."),
        ({"retry_config": {"max_doublings": -1}}, "RetryConfig.maxDoublings cannot be negative."),
        ({"retry_config": {"min_backoff": {"seconds": -1}}}, "RetryConfig.minBackoff cannot be negative."),
        ({"retry_config": {"min_backoff": {"nanos": -5}}}, "RetryConfig.minBackoff cannot be negative."),
        ({"retry_config": {"max_backoff": {"seconds": -1}}}, "RetryConfig.maxBackoff cannot be negative."),
        (
            {"retry_config": {"max_retry_duration": {"seconds": -1}}},
            "RetryConfig.max_retry_duration.seconds cannot be negative.",
        ),
        (
            {"retry_config": {"max_retry_duration": {"seconds": 30, "nanos": 900000000}}},
            "RetryConfig.max_retry_duration.nanos cannot be set.",
        ),
        (
            {"retry_config": {"min_backoff": {"seconds": 2}, "max_backoff": {"seconds": 1}}},
            "RetryConfig.minBackoff must be less than or equal to RetryConfig.maxBackoff.",
        ),
        ({"stackdriver_logging_config": {"sampling_ratio": 1.5}}, "sampling_ratio must be between 0.0 and 1.0."),
        ({"stackdriver_logging_config": {"sampling_ratio": -0.5}}, "sampling_ratio must be between 0.0 and 1.0."),
        ({"stackdriver_logging_config": {"sampling_ratio": math.nan}}, "sampling_ratio must be between 0.0 and 1.0."),
    ],
)
def test_settings_that_are_refused(client, settings, said):
    assert refusal(lambda: queue_of(client, **settings)) == f"INVALID_ARGUMENT: {said}"


@pytest.mark.parametrize(("ratio", "kept"), [(0, None), (0.25, 0.25), (1, 1.0)])
def test_sampling_ratio(client, ratio, kept):
    queue = queue_of(client, stackdriver_logging_config={"sampling_ratio": ratio})
    assert (queue.stackdriver_logging_config.sampling_ratio if "stackdriver_logging_config" in queue else None) == kept


def test_names_that_are_taken(client):
    queue = queue_of(client)
    assert refusal(lambda: client.create_queue(parent=HERE, queue=queue)) == "ALREADY_EXISTS: Queue already exists"


def test_a_deleted_queue_blocks_its_name_for_three_days(emulator):
    client = emulator.client()
    queue = queue_of(client)
    assert client.delete_queue(name=queue.name) is None
    existed = "FAILED_PRECONDITION: The queue cannot be created because a queue with this name existed too recently."
    assert refusal(lambda: client.create_queue(parent=HERE, queue=queue)) == existed
    assert refusal(lambda: client.update_queue(queue=queue)) == existed
    assert refusal(lambda: client.get_queue(name=queue.name)) == f"NOT_FOUND: {NO_QUEUE}"
    assert refusal(lambda: client.delete_queue(name=queue.name)) == "NOT_FOUND: Requested entity was not found."
    assert list(client.list_queues(parent=HERE)) == []
    emulator.advance(3 * 86400 - 60)
    assert refusal(lambda: client.create_queue(parent=HERE, queue=queue)) == existed
    emulator.advance(61)
    assert client.create_queue(parent=HERE, queue=queue).name == queue.name


# the target of a queue

TARGET_ERROR = "Error in parsing HttpTarget. "


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
def test_targets_that_are_refused(client, target, problem):
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
def test_tokens_that_are_refused(client, kind, email, said):
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
def test_targets_that_are_returned_as_they_were_given(client, target):
    queue = queue_of(client, http_target=target)
    assert "http_target" in queue
    assert queue.http_target == v2.HttpTarget(target)


def test_an_override_without_a_header_is_left_out(client):
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
def test_header_overrides_that_are_refused(client, names):
    target = {"header_overrides": [{"header": {"key": name, "value": "v"}} for name in names]}
    assert refusal(lambda: queue_of(client, http_target=target)) == (
        "INVALID_ARGUMENT: Error in parsing HttpTarget.headers. Header name cannot be empty or start with"
        f" reserved prefixes. Invalid headers found: {', '.join(names)}"
    )


# updating


def test_no_mask_replaces_everything(client):
    queue = queue_of(client, **CONFIGURED)
    changed = client.update_queue(queue={"name": queue.name, "rate_limits": {"max_dispatches_per_second": 100}})
    assert (rate_of(changed), retry_of(changed)) == ((100.0, 20, 1000), DEFAULT_RETRY)


def test_an_empty_mask_changes_nothing(client):
    queue = queue_of(client)
    update = {"name": queue.name, "rate_limits": {"max_dispatches_per_second": 100}}
    assert client.update_queue({"queue": update, "update_mask": {"paths": []}}) == queue


def test_single_fields(client):
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


def test_whole_messages(client):
    queue = queue_of(client, **CONFIGURED)
    update = {"name": queue.name, "rate_limits": {"max_dispatches_per_second": 100}}
    first = client.update_queue(queue=update, update_mask={"paths": ["rate_limits"]})
    assert (rate_of(first), retry_of(first)) == ((100.0, 20, 1000), (5, 60.0, 1.0, 10.0, 3))
    second = client.update_queue(queue=update, update_mask={"paths": ["retry_config"]})
    assert (rate_of(second), retry_of(second)) == ((100.0, 20, 1000), DEFAULT_RETRY)


@pytest.mark.parametrize("path", ["name", "state", "purge_time", "rate_limits.max_burst_size"])
def test_output_only_fields_are_left(client, path):
    queue = queue_of(client)
    update = {
        "name": queue.name,
        "state": "PAUSED",
        "purge_time": {"seconds": 9},
        "rate_limits": {"max_burst_size": 50},
    }
    assert client.update_queue(queue=update, update_mask={"paths": [path]}) == queue


def test_a_queue_that_is_not_there_is_made(client):
    name = fresh()
    assert rate_of(client.update_queue(queue={"name": name, **CONFIGURED})) == (10.0, 10, 5)
    assert retry_of(client.get_queue(name=name)) == (5, 60.0, 1.0, 10.0, 3)
    mask = {"paths": ["rate_limits.max_concurrent_dispatches"]}
    masked = client.update_queue(queue={"name": fresh(), **CONFIGURED}, update_mask=mask)
    assert (rate_of(masked), retry_of(masked)) == ((500.0, 100, 5), DEFAULT_RETRY)


def test_updating_keeps_the_state(client):
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
        "rateLimits.maxDispatchesPerSecond",
        "rate_limits.max_dispatches_per_second,retry_config.max_attempts",
        " state",
        "",
    ],
)
def test_masks_that_are_refused(client, path):
    for name in (queue_of(client).name, fresh()):
        update = {"queue": {"name": name}, "update_mask": {"paths": [path]}}
        assert refusal(lambda update=update: client.update_queue(update)) == f"INVALID_ARGUMENT: Invalid mask: {path}"


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
def test_updates_that_are_refused_change_nothing(client, path, update, said):
    queue = queue_of(client, **CONFIGURED)
    request = {"queue": {"name": queue.name, **update}, "update_mask": {"paths": [path]}}
    assert refusal(lambda: client.update_queue(request)) == f"INVALID_ARGUMENT: {said}"
    assert client.get_queue(name=queue.name) == queue


def test_a_token_without_anything_in_it_is_left_out(client):
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
def test_parts_of_a_target(client, path, changed):
    queue = queue_of(client, http_target=MADE)
    update = {"name": queue.name, "http_target": UPDATE}
    found = client.update_queue(queue=update, update_mask={"paths": [f"http_target.{path}"]}).http_target
    assert found == v2.HttpTarget({name: value for name, value in {**MADE, **changed}.items() if value is not None})


def test_whole_targets(client):
    queue = queue_of(client, http_target=MADE, stackdriver_logging_config={"sampling_ratio": 0.5})
    mask = {"paths": ["http_target"]}
    changed = client.update_queue(queue={"name": queue.name, "http_target": UPDATE}, update_mask=mask)
    assert changed.http_target == v2.HttpTarget(UPDATE)
    removed = client.update_queue(queue={"name": queue.name}, update_mask=mask)
    assert "http_target" not in removed
    assert removed.stackdriver_logging_config.sampling_ratio == 0.5


@pytest.mark.parametrize("path", ["stackdriver_logging_config", "stackdriver_logging_config.sampling_ratio"])
def test_logging(client, path):
    queue = queue_of(client, stackdriver_logging_config={"sampling_ratio": 0.5})
    update = {"name": queue.name, "stackdriver_logging_config": {"sampling_ratio": 0.25}}
    changed = client.update_queue(queue=update, update_mask={"paths": [path]})
    assert changed.stackdriver_logging_config.sampling_ratio == 0.25


# pausing and purging


def test_pause_and_resume_may_be_repeated(client):
    name = queue_of(client).name
    states = [call(name=name).state.name for call in [client.pause_queue] * 2 + [client.resume_queue] * 2]
    assert states == ["PAUSED", "PAUSED", "RUNNING", "RUNNING"]


def test_purge_keeps_the_state_and_says_when(client):
    name = queue_of(client).name
    client.pause_queue(name=name)
    assert client.purge_queue(name=name).state.name == "PAUSED"
    assert client.get_queue(name=name).purge_time.timestamp() > 0

"""Recorded: pages of lists, and the filters of ListQueues."""

from __future__ import annotations

from typing import Any

import pytest

from cloudqueues.cloudtasks.paging import page
from tests.emulators.cloudtasks.support import ACCOUNT, CONFIGURED, HERE, fresh, queue_of, refusal, task_of


def ids(queues: Any) -> list[str]:
    return [queue.name.rpartition("/")[2] for queue in queues]


@pytest.fixture(scope="module")
def filtered(client: Any) -> Any:
    """Return a function that lists the queues of one location by a filter."""
    place = fresh("filters").replace("/queues/", "-")
    target = {
        "uri_override": {"host": "example.net", "port": 8080, "path_override": {"path": "/path"}},
        "http_method": "PUT",
        "header_overrides": [{"header": {"key": "X-Custom", "value": "queue"}}],
        "oidc_token": {"service_account_email": ACCOUNT, "audience": "https://example.com/audience"},
    }
    logging = {"sampling_ratio": 0.5}
    queues: dict[str, dict[str, Any]] = {
        "state-running": {},
        "state-paused": {},
        "field-configured": CONFIGURED,
        "field-purged": {},
        "target-full": {"http_target": target, "stackdriver_logging_config": logging},
        "target-empty": {"http_target": {}},
        "target-none": {},
    }
    for name, settings in queues.items():
        client.create_queue(parent=place, queue={"name": f"{place}/queues/{name}", **settings})
    client.pause_queue(name=f"{place}/queues/state-paused")
    client.purge_queue(name=f"{place}/queues/field-purged")

    def run(group: str, text: str) -> str:
        listed = client.list_queues({"parent": place, "filter": text})
        return " ".join(name.removeprefix(group) for name in ids(listed) if name.startswith(group))

    return run


STATES = {
    "state: PAUSED": "paused",
    "state:PAUSED": "paused",
    "state = PAUSED": "paused",
    "state != PAUSED": "running",
    "state: paused": "paused",
    "State: Paused": "paused",
    'state: "PAUSED"': "paused",
    "state: DISABLED": "",
    "NOT state: PAUSED": "running",
    "-state: PAUSED": "running",
    "state: PAUSED OR state: RUNNING": "paused running",
    "state: PAUSED AND state: RUNNING": "",
    "state: PAUSED state: RUNNING": "",
    "(state: PAUSED)": "paused",
    "state: PAUSED OR (state: RUNNING AND NOT state: RUNNING)": "paused",
    "state > RUNNING": "paused",
    " ": "paused running",
}
FIELDS = {
    "name: field-purged": "purged",
    "name: PURGED": "purged",
    "name: *": "configured purged",
    "rate_limits.max_dispatches_per_second = 500": "purged",
    "rate_limits.max_dispatches_per_second < 100": "configured",
    "rate_limits.max_dispatches_per_second: 10": "configured",
    "rateLimits.maxDispatchesPerSecond <= 10": "configured",
    "rate_limits.max_concurrent_dispatches >= 1000": "purged",
    "rate_limits.max_burst_size != 100": "configured",
    "retry_config.max_attempts = 5": "configured",
    "retry_config.min_backoff = 1s": "configured",
    "retry_config.min_backoff > 0.5s": "configured",
    "retry_config.min_backoff: 0.1s": "purged",
    "retry_config.max_retry_duration: *": "configured",
    "retry_config.max_retry_duration < 1s": "purged",
    "purge_time: *": "purged",
    'purge_time > "2020-01-01T00:00:00Z"': "purged",
    'purge_time < "2020-01-01T00:00:00Z"': "configured",
    "rate_limits: *": "configured purged",
    "http_target: *": "",
}
TARGETS = {
    "http_target: *": "empty full",
    "http_target.http_method = PUT": "full",
    "http_target.http_method: put": "full",
    "http_target.http_method = HTTP_METHOD_UNSPECIFIED": "empty none",
    "http_target.http_method > POST": "full",
    "http_target.uri_override: *": "full",
    "http_target.uri_override.host: example": "full",
    "http_target.uri_override.host: *": "full",
    "http_target.uri_override.port = 8080": "full",
    "http_target.uri_override.scheme = HTTPS": "",
    "http_target.uri_override.scheme = SCHEME_UNSPECIFIED": "empty full none",
    "http_target.uri_override.uri_override_enforce_mode = URI_OVERRIDE_ENFORCE_MODE_UNSPECIFIED": "empty full none",
    "http_target.uri_override.path_override: *": "full",
    "http_target.uri_override.path_override.path: path": "full",
    "http_target.header_overrides: *": "full",
    "http_target.header_overrides.header.key: X-Custom": "full",
    "http_target.oidc_token: *": "full",
    "http_target.oidc_token.audience: example": "full",
    "http_target.oauth_token: *": "",
    "stackdriver_logging_config: *": "full",
    "stackdriver_logging_config.sampling_ratio > 0.1": "full",
    "stackdriver_logging_config.sampling_ratio = 0": "empty none",
    "app_engine_routing_override.instance: *": "",
}


@pytest.mark.parametrize(("text", "expected"), STATES.items())
def test_by_state(filtered: Any, text: Any, expected: Any) -> None:
    assert filtered("state-", text) == expected


@pytest.mark.parametrize(("text", "expected"), FIELDS.items())
def test_by_field(filtered: Any, text: Any, expected: Any) -> None:
    assert filtered("field-", text) == expected


@pytest.mark.parametrize(("text", "expected"), TARGETS.items())
def test_by_target(filtered: Any, text: Any, expected: Any) -> None:
    assert filtered("target-", text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bogus_field: x", "Field not found: 'bogus_field'."),
        ("max_dispatches_per_second < 100", "Field not found: 'max_dispatches_per_second'."),
        ("state: BOGUS", "The value 'bogus' is of incorrect type."),
        ("state: 2", "The value '2' is of incorrect type."),
        ("retry_config.max_backoff = 3600", "The value '3600' is of incorrect type."),
        ("purge_time > yesterday", "The value 'yesterday' is of incorrect type."),
        ("rate_limits.max_dispatches_per_second = fast", "The value 'fast' is of incorrect type."),
        (
            "rate_limits: 10",
            "Cannot match a nested type 'rate_limits'. A member field of scalar or enum type must be provided.",
        ),
        *(
            (text, "Request contains an invalid argument.")
            for text in (
                "state",
                "state PAUSED",
                "state: =",
                "(state: PAUSED",
                "state: PAUSED)",
                "(",
                '"state"',
                "!",
                "= x",
            )
        ),
    ],
)
def test_filters_that_are_refused(client: Any, text: Any, said: Any) -> None:
    assert refusal(lambda: client.list_queues({"parent": HERE, "filter": text})) == f"INVALID_ARGUMENT: {said}"


def test_a_filter_that_is_too_deep(client: Any) -> None:
    said = refusal(lambda: client.list_queues({"parent": HERE, "filter": "(" * 3000}))
    assert said == "INVALID_ARGUMENT: Request contains an invalid argument."


def test_queues_by_name_and_in_pages(client: Any) -> None:
    place = fresh("pages").replace("/queues/", "-")
    for name in ("c", "a", "b"):
        client.create_queue(parent=place, queue={"name": f"{place}/queues/{name}"})
    assert ids(client.list_queues({"parent": place, "page_size": 1})) == ["a", "b", "c"]
    pages = list(client.list_queues({"parent": place, "page_size": 1}).pages)
    assert [(len(page.queues), bool(page.next_page_token)) for page in pages] == [(1, True)] * 3 + [(0, False)]


@pytest.mark.parametrize(("size", "length"), [(0, 3), (2, 2), (3, 3), (4, 3)])
def test_a_page_has_no_more_than_the_most(size: int, length: int) -> None:
    items, _ = page(lambda _: "abcde", str, request="ListTasksRequest", size=size, most=3, token="")
    assert len(items) == length


def test_there_is_a_next_page_after_any_that_is_not_empty(client: Any) -> None:
    queue = queue_of(client)
    client.pause_queue(name=queue.name)
    for name in ("b", "c", "a"):
        task_of(client, queue, name=f"{queue.name}/tasks/{name}")
    pages = list(client.list_tasks({"parent": queue.name, "page_size": 2}).pages)
    assert [(len(page.tasks), bool(page.next_page_token)) for page in pages] == [(2, True), (1, True), (0, False)]
    assert ids(client.list_tasks(parent=queue.name)) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"page_size": -1}, "{}.pageSize cannot be negative."),
        ({"page_token": "bad"}, "Invalid page_token"),
        ({"page_token": "YmFk"}, "Invalid page_token"),
    ],
)
def test_pages_that_are_refused(client: Any, asked: Any, said: Any) -> None:
    queues = refusal(lambda: client.list_queues({"parent": HERE, **asked}))
    assert queues == f"INVALID_ARGUMENT: {said.format('ListQueuesRequest')}"
    name = queue_of(client).name
    tasks = refusal(lambda: client.list_tasks({"parent": name, **asked}))
    assert tasks == f"INVALID_ARGUMENT: {said.format('ListTasksRequest')}"

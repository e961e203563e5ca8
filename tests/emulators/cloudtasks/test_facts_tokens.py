"""Recorded: tokens stored with a task, its own and its queue's."""

from __future__ import annotations

from typing import Any

import pytest

from cloudqueues.cloudtasks import CloudTasksEmulator, oidc
from cloudqueues.errors import ConfigError
from tests.emulators.cloudtasks.support import (
    ACCOUNT,
    LATER,
    queue_of,
    refusal,
    task_of,
)

GOOGLE = "https://example.googleapis.com/work"
WORK = "https://example.com/work"
NOT_GOOGLE = (
    'INVALID_ARGUMENT: Invalid url for HttpRequest.oauth_token. The hostname in the url must end with ".googleapis.com"'
)


@pytest.mark.parametrize("kind", ["oidc_token", "oauth_token"])
@pytest.mark.parametrize(
    ("email", "said"),
    [
        ("", "service_account_email must be set."),
        *((email, "Request contains an invalid argument.") for email in ("malformed", "a@", "@b", "a@b@c")),
    ],
)
def test_accounts_that_are_refused(client: Any, queue: Any, kind: Any, email: Any, said: Any) -> None:
    http = {kind: {"service_account_email": email}}
    assert refusal(lambda: task_of(client, queue, GOOGLE, http=http)) == f"INVALID_ARGUMENT: {said}"


@pytest.mark.parametrize("url", [WORK, "https://googleapis.com/work"])
def test_access_tokens_go_to_google_only(client: Any, queue: Any, url: Any) -> None:
    http = {"oauth_token": {"service_account_email": ACCOUNT}}
    assert refusal(lambda: task_of(client, queue, url, http=http)) == NOT_GOOGLE


@pytest.mark.parametrize(
    ("url", "kind", "field", "stated", "stored"),
    [
        (WORK, "oidc_token", "audience", "https://example.com/audience", "https://example.com/audience"),
        (WORK, "oidc_token", "audience", "audience", "audience"),
        (WORK, "oidc_token", "audience", "", WORK),
        (GOOGLE, "oauth_token", "scope", "scope", "scope"),
        (GOOGLE, "oauth_token", "scope", "", "https://www.googleapis.com/auth/cloud-platform"),
    ],
)
def test_tokens_as_they_are_stored(
    client: Any, queue: Any, url: Any, kind: Any, field: Any, stated: Any, stored: Any
) -> None:
    """The task's own Authorization header stays stored beside it."""
    http = {kind: {"service_account_email": ACCOUNT, field: stated}, "headers": {"Authorization": "Bearer token"}}
    http_request = task_of(client, queue, url, http=http).http_request
    assert getattr(getattr(http_request, kind), field) == stored
    assert http_request.headers["Authorization"] == "Bearer token"


QUEUE_OIDC = {"oidc_token": {"service_account_email": ACCOUNT, "audience": "https://example.com/audience"}}


@pytest.mark.parametrize(
    ("target", "url", "http", "stored"),
    [
        (QUEUE_OIDC, WORK, {"oauth_token": {"service_account_email": ACCOUNT}}, QUEUE_OIDC),
        (
            {"oidc_token": {"service_account_email": ACCOUNT}},
            f"{WORK}?query",
            {},
            {"oidc_token": {"service_account_email": ACCOUNT, "audience": f"{WORK}?query"}},
        ),
        (
            {"oidc_token": {"service_account_email": ACCOUNT}, "uri_override": {"host": "example.net"}},
            WORK,
            {},
            {"oidc_token": {"service_account_email": ACCOUNT, "audience": WORK}},
        ),
        (
            {"oauth_token": {"service_account_email": ACCOUNT}},
            GOOGLE,
            {},
            {
                "oauth_token": {
                    "service_account_email": ACCOUNT,
                    "scope": "https://www.googleapis.com/auth/cloud-platform",
                }
            },
        ),
        ({"http_method": "PUT"}, WORK, QUEUE_OIDC, QUEUE_OIDC),
    ],
)
def test_a_queues_token_comes_before_the_tasks(client: Any, target: Any, url: Any, http: Any, stored: Any) -> None:
    http_request = task_of(client, queue_of(client, http_target=target), url, http=http, **LATER).http_request
    tokens = {name: getattr(http_request, name) for name in ("oidc_token", "oauth_token") if name in http_request}
    assert tokens == {name: type(tokens[name])(value) for name, value in stored.items()}
    assert (http_request.url, http_request.http_method.name) == (url, "POST")


def test_a_queues_token_does_not_save_a_wrong_one(client: Any) -> None:
    queue = queue_of(client, http_target=QUEUE_OIDC)
    said = refusal(lambda: task_of(client, queue, http={"oidc_token": {}}))
    assert said == "INVALID_ARGUMENT: service_account_email must be set."
    google = queue_of(client, http_target={"oauth_token": {"service_account_email": ACCOUNT}})
    assert refusal(lambda: task_of(client, google)) == NOT_GOOGLE


def test_a_queues_method_leaves_the_task_as_it_is(client: Any) -> None:
    queue = queue_of(client, http_target={"http_method": "GET"})
    created = task_of(client, queue, http={"body": b"hi"}, view="FULL", **LATER)
    assert (created.http_request.http_method.name, created.http_request.body) == ("POST", b"hi")


def test_a_queue_whose_tokens_cannot_be_signed_is_refused(emulator: CloudTasksEmulator, monkeypatch: Any) -> None:
    """The refusal comes with the creation or the update, not when the first task is due."""

    def missing() -> str:
        raise ConfigError("cryptography is not installed")

    monkeypatch.setattr(oidc, "key_id", missing)
    client = emulator.client()
    target = {"oidc_token": {"service_account_email": ACCOUNT}}
    text = "FAILED_PRECONDITION: cryptography is not installed"
    assert refusal(lambda: queue_of(client, http_target=target)) == text
    queue = queue_of(client)
    assert refusal(lambda: client.update_queue(queue={"name": queue.name, "http_target": target})) == text
    assert not client.get_queue(name=queue.name).http_target

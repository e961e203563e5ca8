"""Recorded: the service's methods over REST, as JSON. The tables of facts compare them with gRPC's."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import requests
from google.api_core.exceptions import ServiceUnavailable
from google.cloud.tasks_v2.services.cloud_tasks.transports import rest_base
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudqueues.cloudtasks import CloudTasksEmulator
from cloudqueues.cloudtasks.routes import RULES
from cloudqueues.faults import Faults
from tests.emulators.cloudtasks.support import HERE, NO_QUEUE, TOMORROW, fresh

BAD = "Invalid JSON payload received."


def ask(emulator: CloudTasksEmulator, method: str, path: str, body: Any = None) -> requests.Response:
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    return requests.request(method, f"{emulator.http_url}/v2/{path}", data=data, timeout=5)


def new_queue(emulator: CloudTasksEmulator) -> str:
    """Return the name of a paused queue."""
    name = fresh()
    ask(emulator, "POST", f"{HERE}/queues", {"name": name})
    ask(emulator, "POST", f"{name}:pause")
    return name


def rules_of_the_client() -> Iterator[tuple[str, str, str, str]]:
    """Return the requests of Google's own client, from its generated code."""
    for name, kind in vars(rest_base._BaseCloudTasksRestTransport).items():
        if isinstance(kind, type):
            for rule in kind._get_http_options():  # type: ignore[attr-defined] # each has it
                yield rule["method"].upper(), rule["uri"], name.removeprefix("_Base"), rule.get("body", "")


def test_the_rules_are_those_of_the_client() -> None:
    assert sorted(RULES) == sorted(rules_of_the_client())


def test_a_queue(shared: CloudTasksEmulator) -> None:
    name = fresh()
    settings = {
        "rateLimits": {"maxDispatchesPerSecond": 10},
        "retryConfig": {"maxAttempts": -1, "min_backoff": "1.5s"},  # both spellings are taken
        "stackdriverLoggingConfig": {"samplingRatio": 0.5},
        "httpTarget": {"uriOverride": {"host": "example.com"}, "httpMethod": "PUT"},
    }
    answer = ask(shared, "POST", f"{HERE}/queues", {"name": name, **settings})
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    queue = {
        "name": name,
        "rateLimits": {"maxDispatchesPerSecond": 10.0, "maxBurstSize": 10, "maxConcurrentDispatches": 1000},
        "retryConfig": {"maxAttempts": -1, "minBackoff": "1.500s", "maxBackoff": "3600s", "maxDoublings": 16},
        "state": "RUNNING",
        "stackdriverLoggingConfig": {"samplingRatio": 0.5},
        "httpTarget": {"uriOverride": {"host": "example.com"}, "httpMethod": "PUT"},
    }
    assert answer.json() == ask(shared, "GET", name).json() == queue
    path = f"{name}?updateMask=rateLimits.maxDispatchesPerSecond"
    queue["rateLimits"]["maxDispatchesPerSecond"] = 2.0  # type: ignore[index] # a dict
    assert ask(shared, "PATCH", path, {"rateLimits": {"maxDispatchesPerSecond": 2}}).json() == queue
    assert ask(shared, "PATCH", path.replace("rateLimits.maxD", "rate_limits.max_d"), queue).json() == queue
    assert ask(shared, "POST", f"{name}:pause").json() == {**queue, "state": "PAUSED"}
    assert ask(shared, "POST", f"{name}:resume", {}).json() == queue
    assert ask(shared, "POST", f"{name}:purge").json().keys() - queue.keys() == {"purgeTime"}
    assert ask(shared, "DELETE", name).json() == {}


def test_a_task(shared: CloudTasksEmulator) -> None:
    queue = new_queue(shared)
    name = f"{queue}/tasks/t"
    request = {
        "task": {
            "name": name,
            "httpRequest": {"url": "https://example.com/work", "httpMethod": "PUT", "body": "aGk="},
            "scheduleTime": "2099-01-01T00:00:00Z",
            "dispatchDeadline": "30s",
        },
        "responseView": "FULL",
    }
    assert "is too far in the future" in ask(shared, "POST", f"{queue}/tasks", request).json()["error"]["message"]
    del request["task"]["scheduleTime"]  # type: ignore[attr-defined] # a dict
    created = ask(shared, "POST", f"{queue}/tasks", request).json()
    http = {
        "url": "https://example.com/work",
        "httpMethod": "PUT",
        "headers": {"User-Agent": "Google-Cloud-Tasks"},
        "body": "aGk=",
    }
    assert created == {
        "name": name,
        "httpRequest": http,
        "scheduleTime": created["scheduleTime"],
        "createTime": created["createTime"],
        "dispatchDeadline": "30s",
        "view": "FULL",
    }
    assert ask(shared, "GET", f"{name}?responseView=FULL").json() == created
    assert ask(shared, "GET", f"{name}?response_view=2").json() == created
    [listed] = ask(shared, "GET", f"{queue}/tasks?pageSize=1").json()["tasks"]
    assert listed == {**created, "httpRequest": {k: v for k, v in http.items() if k != "body"}, "view": "BASIC"}


def test_a_batch(shared: CloudTasksEmulator) -> None:
    queue = new_queue(shared)
    task = {"httpRequest": {"url": "https://example.com/work"}, "scheduleTime": f"@{TOMORROW}"}
    body: dict[str, Any] = {"requests": [{"parent": queue, "task": task}]}
    said = ask(shared, "POST", f"{queue}/tasks:batchCreate", body).json()["error"]["message"]
    wrong = "Invalid value at 'requests[0].task.schedule_time' (type.googleapis.com/google.protobuf.Timestamp)"
    assert said == f'{wrong}, "@{TOMORROW}"'
    del task["scheduleTime"]
    operation = ask(shared, "POST", f"{queue}/tasks:batchCreate", body).json()
    kinds = [operation[part]["@type"].rpartition(".")[2] for part in ("metadata", "response")]
    assert kinds == ["BatchCreateTasksMetadata", "BatchCreateTasksResponse"]
    assert (operation["done"], operation["metadata"]["state"]) == (True, "SUCCEEDED")
    assert operation["response"]["tasks"][0]["view"] == "BASIC"
    assert ask(shared, "GET", operation["name"]).json() == operation


def violation(field: str, text: str) -> dict[str, str]:
    return {"field": field, "description": text} if field else {"description": text}


TASKS = f"{HERE}/queues/rest/tasks"
RFC3339 = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(TOMORROW))
VIEW = "type.googleapis.com/google.cloud.tasks.v2.Task.View"
UNBOUND = "Cannot bind query parameter. Field '{0}' could not be found in request message."
NESTED = "task.http_request"
MISFITS: dict[str, tuple[str, str, Any, list[dict[str, str]]]] = {
    "field": ("POST", TASKS, {"bogus": 1}, [violation("", f'{BAD} Unknown name "bogus": Cannot find field.')]),
    "nested": (
        "POST",
        TASKS,
        {"task": {"httpRequest": {"bogus": 1, "other": 2}}},
        [
            violation(NESTED, f"{BAD} Unknown name \"{name}\" at '{NESTED}': Cannot find field.")
            for name in ("bogus", "other")
        ],
    ),
    "type": (
        "POST",
        TASKS,
        {"task": {"name": 5}},
        [violation("task.name", "Invalid value at 'task.name' (TYPE_STRING), 5")],
    ),
    "array": ("POST", TASKS, [], [violation("", f'{BAD} Unknown name "": Root element must be a message.')]),
    "not a message": (
        "POST",
        TASKS,
        {"task": 5},
        [violation("task", "Invalid value at 'task' (type.googleapis.com/google.cloud.tasks.v2.Task), 5")],
    ),
    "not a list": (
        "POST",
        f"{TASKS}:batchCreate",
        {"requests": 5},
        [
            violation(
                "requests",
                "Invalid value at 'requests' (type.googleapis.com/google.cloud.tasks.v2.CreateTaskRequest), 5",
            )
        ],
    ),
    "two of one": (
        "POST",
        TASKS,
        {"task": {"httpRequest": {"oauthToken": {}, "oidcToken": {}}}},
        [
            violation(
                NESTED,
                f"Invalid value at '{NESTED}' (oneof), oneof field 'authorization_header' is already set."
                " Cannot set 'oidcToken'",
            )
        ],
    ),
    "half a surrogate pair": (
        "POST",
        TASKS,
        {"\ud800": 1, "task": {"name": "\udfff"}},
        [
            violation("", f'{BAD} Unknown name "\\ud800": Cannot find field.'),
            violation("task.name", "Invalid value at 'task.name' (TYPE_STRING), \"\\udfff\""),
        ],
    ),
    "parameter": (
        "GET",
        f"{TASKS}?bogus=1",
        None,
        [violation("", f'{BAD} Unknown name "bogus": {UNBOUND.format("bogus")}')],
    ),
    "parameter in nothing": (
        "GET",
        f"{TASKS}?parent.name=1",
        None,
        [violation("", f'{BAD} Unknown name "parent.name": {UNBOUND.format("parent.name")}')],
    ),
    "parameter's type": (
        "GET",
        f"{TASKS}?pageSize=abc",
        None,
        [violation("page_size", "Invalid value at 'page_size' (TYPE_INT32), \"abc\"")],
    ),
    "parameter's enum": (
        "GET",
        f"{TASKS}?responseView=NOPE",
        None,
        [violation("response_view", f"Invalid value at 'response_view' ({VIEW}), \"NOPE\"")],
    ),
}


@pytest.mark.parametrize("body", ["%%%", "aGk=!", "a", "aGk==", "a=Gk", "+-aa", "aGk*", "aGk=\u2003", "=", "==", "ü"])
def test_a_body_that_is_not_base64_is_refused(shared: CloudTasksEmulator, body: str) -> None:
    """The words are those of Google's APIs for their fields of bytes."""
    task = {"httpRequest": {"url": "https://example.com/", "body": body}}
    answer = ask(shared, "POST", f"{new_queue(shared)}/tasks", {"task": task})
    text = "Invalid value at 'task.http_request.body' (TYPE_BYTES), Base64 decoding failed for"
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, f"{text} {json.dumps(body)}")


@pytest.mark.parametrize(
    ("body", "stored"),
    [("aGk=", "aGk="), ("aGk", "aGk="), ("-_8=", "+/8="), ("+/8", "+/8="), ("aG\r\nk=", "aGk="), ("YQ==", "YQ==")],
)
def test_base64_in_both_alphabets_with_and_without_padding(shared: CloudTasksEmulator, body: str, stored: str) -> None:
    task = {"httpRequest": {"url": "https://example.com/", "body": body}, "scheduleTime": RFC3339}
    created = ask(shared, "POST", f"{new_queue(shared)}/tasks", {"task": task, "responseView": "FULL"}).json()
    assert created["httpRequest"]["body"] == stored


@pytest.mark.parametrize("name", MISFITS)
def test_what_does_not_fit(shared: CloudTasksEmulator, name: str) -> None:
    method, path, body, violations = MISFITS[name]
    answer = ask(shared, method, path, body)
    assert (answer.status_code, answer.json()["error"]) == (
        400,
        {
            "code": 400,
            "message": "\n".join(violation["description"] for violation in violations),
            "status": "INVALID_ARGUMENT",
            "details": [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}],
        },
    )


NAMES = st.sampled_from(
    [
        *("task", "name", "parent", "httpRequest", "http_request", "url", "headers", "body", "oidcToken", "oauthToken"),
        *("scheduleTime", "dispatchDeadline", "retryConfig", "minBackoff", "httpMethod", "responseView", "requests"),
        *(
            "rateLimits",
            "maxDispatchesPerSecond",
            "httpTarget",
            "uriOverride",
            "port",
            "headerOverrides",
            "header",
            "policy",
        ),
        *(
            "bindings",
            "role",
            "members",
            "condition",
            "etag",
            "permissions",
            "options",
            "appEngineHttpRequest",
            "bogus",
        ),
    ]
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["https://example.com/", "1s", "-1s", "2030-01-01T00:00:00Z", "aGk=", "PUT", "\ud800", HERE]),
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.one_of(NAMES, st.text(max_size=3)), inner)),
    max_leaves=12,
)


PARAMETERS = st.sampled_from(
    ["fields", "alt", "pageSize", "updateMask", "filter", "responseView", "pageToken", "queue.state", "task.", "name"]
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(RULES)), st.dictionaries(NAMES, JSON), PARAMETERS, st.text(max_size=9))
def test_any_json_for_any_method(shared: CloudTasksEmulator, rule: Any, body: Any, parameter: str, text: str) -> None:
    """Every request is answered, and never with an internal error."""
    method, path, *_ = rule
    name = re.sub(r"\{.*=(.*)\}", r"\1", path).replace("*", "x").removeprefix("/v2/")
    answer = ask(shared, method, f"{name}?{parameter}={quote(text)}", body)
    assert answer.status_code in {200, 400, 403, 404, 409, 501}
    assert answer.json() is not None


def test_what_is_no_json(shared: CloudTasksEmulator) -> None:
    error = ask(shared, "POST", TASKS, b'{"task": ').json()["error"]
    assert error.pop("message").startswith(f"{BAD} ")
    assert error == {"code": 400, "status": "INVALID_ARGUMENT"}


@pytest.mark.parametrize("depth", [500, *range(960, 990), 100_000])
def test_what_is_too_deep(shared: CloudTasksEmulator, depth: int) -> None:
    """The depth may exceed the limit of the parser, of the transcoding, or of the refusal's text."""
    body = b'{"task": {"name": ' + b"[" * depth + b"]" * depth + b"}}"
    assert ask(shared, "POST", TASKS, body).json()["error"]["status"] == "INVALID_ARGUMENT"


def test_nothing_set_to_null(shared: CloudTasksEmulator) -> None:
    response = ask(shared, "POST", f"{HERE}/queues", {"name": fresh(), "httpTarget": None, "rateLimits": {}})
    assert "httpTarget" not in response.json()


def test_errors(shared: CloudTasksEmulator) -> None:
    error = ask(shared, "POST", f"{HERE}/queues", {"name": f"{HERE}/queues/not_valid"}).json()["error"]
    assert error["details"] == [
        {
            "@type": "type.googleapis.com/google.rpc.Help",
            "links": [
                {
                    "description": "Definition of queue ID",
                    "url": "https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues"
                    "#Queue.FIELDS.name",
                }
            ],
        }
    ]
    unknown = ask(shared, "GET", f"{HERE}/queues/unknown")
    assert unknown.status_code == 404
    assert unknown.json() == {"error": {"code": 404, "message": NO_QUEUE, "status": "NOT_FOUND"}}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{HERE}/operations"),
        ("POST", f"{HERE}/operations/o:wait"),
        ("DELETE", f"{HERE}/operations/o"),
        ("GET", "bogus"),
        ("GET", "<b>"),
        ("DELETE", f"{HERE}/queues/q:pause"),
        ("GET", f"{HERE}/queues/q/tasks:buffer"),
    ],
)
def test_what_is_not_served(shared: CloudTasksEmulator, method: str, path: str) -> None:
    answer = ask(shared, method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=UTF-8")
    assert f"<code>/v2/{path.replace('<b>', '%3Cb%3E')}</code> was not found on this server." in answer.text


def test_parameters_of_every_api(shared: CloudTasksEmulator) -> None:
    name = new_queue(shared)
    assert ask(shared, "GET", f"{name}?$alt=json;enum-encoding=int&key=k&$.xgafv=2").json()["state"] == 2
    compact = ask(shared, "GET", f"{name}?alt=json&prettyPrint=false").text
    assert compact == json.dumps(json.loads(compact), separators=(",", ":")) + "\n"
    assert '"maxDispatchesPerSecond":500,' in compact
    assert ask(shared, "GET", f"{name}?alt=proto").json()["error"]["status"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ("state", {"state": "PAUSED"}),
        ("state,retry_config/maxAttempts", {"state": "PAUSED", "retryConfig": {"maxAttempts": 100}}),
        ("rateLimits.maxBurstSize", {"rateLimits": {"maxBurstSize": 100}}),
        (
            "rateLimits(maxBurstSize, maxConcurrentDispatches),state",
            {"rateLimits": {"maxBurstSize": 100, "maxConcurrentDispatches": 1000}, "state": "PAUSED"},
        ),
        ("purgeTime", {}),
    ],
)
def test_a_part_of_an_answer(shared: CloudTasksEmulator, fields: str, part: Any) -> None:
    assert ask(shared, "GET", f"{new_queue(shared)}?fields={fields}").json() == part


def test_a_part_of_a_list(shared: CloudTasksEmulator) -> None:
    place = fresh("part").replace("/queues/", "-")
    for name in ("a", "b"):
        ask(shared, "POST", f"{place}/queues", {"name": f"{place}/queues/{name}"})
    listed = ask(shared, "GET", f"{place}/queues?$fields=queues(name)")
    assert listed.json() == {"queues": [{"name": f"{place}/queues/a"}, {"name": f"{place}/queues/b"}]}
    assert len(ask(shared, "GET", f"{place}/queues?fields=queues/*").json()["queues"][0]) == 4


@pytest.mark.parametrize("fields", ["bogus", "queues(bogus)", "queues(name", "queues)", "a b", "queues/", ",", "name!"])
def test_a_part_that_no_answer_has(shared: CloudTasksEmulator, fields: str) -> None:
    error = ask(shared, "GET", f"{HERE}/queues?fields={fields}").json()["error"]
    assert (error["code"], error["message"]) == (400, "Request contains an invalid argument.")
    assert "Error expanding 'fields' parameter." in error["details"][0]["fieldViolations"][0]["description"]


def test_faults_are_those_of_any_call(emulator: CloudTasksEmulator) -> None:
    client = emulator.client("rest")
    emulator.faults = Faults(refuse=1)
    with pytest.raises(ServiceUnavailable):
        client.create_queue(parent=HERE, queue={"name": fresh()}, retry=None)
    emulator.faults = Faults()
    assert list(client.list_queues(parent=HERE)) == []

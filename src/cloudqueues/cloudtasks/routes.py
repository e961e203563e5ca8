"""Routes of the REST methods: the `google.api.http` rules of the service's own definition.

https://github.com/googleapis/googleapis/blob/master/google/cloud/tasks/v2/cloudtasks.proto, and cloudtasks_v2.yaml
beside it for policies, locations and operations.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

_LOCATION = "projects/*/locations/*"
_QUEUE = f"{_LOCATION}/queues/*"
_TASK = f"{_QUEUE}/tasks/*"
_KEY = f"{_LOCATION}/cmekConfig"
EVERYTHING = "*"
"""Marks a body that is the whole request, but for the fields in the path."""

RULES: tuple[tuple[str, str, str, str], ...] = (
    ("GET", f"/v2/{{parent={_LOCATION}}}/queues", "ListQueues", ""),
    ("GET", f"/v2/{{name={_QUEUE}}}", "GetQueue", ""),
    ("POST", f"/v2/{{parent={_LOCATION}}}/queues", "CreateQueue", "queue"),
    ("PATCH", f"/v2/{{queue.name={_QUEUE}}}", "UpdateQueue", "queue"),
    ("DELETE", f"/v2/{{name={_QUEUE}}}", "DeleteQueue", ""),
    ("POST", f"/v2/{{name={_QUEUE}}}:purge", "PurgeQueue", EVERYTHING),
    ("POST", f"/v2/{{name={_QUEUE}}}:pause", "PauseQueue", EVERYTHING),
    ("POST", f"/v2/{{name={_QUEUE}}}:resume", "ResumeQueue", EVERYTHING),
    ("POST", f"/v2/{{resource={_QUEUE}}}:getIamPolicy", "GetIamPolicy", EVERYTHING),
    ("POST", f"/v2/{{resource={_QUEUE}}}:setIamPolicy", "SetIamPolicy", EVERYTHING),
    ("POST", f"/v2/{{resource={_QUEUE}}}:testIamPermissions", "TestIamPermissions", EVERYTHING),
    ("GET", f"/v2/{{parent={_QUEUE}}}/tasks", "ListTasks", ""),
    ("GET", f"/v2/{{name={_TASK}}}", "GetTask", ""),
    ("POST", f"/v2/{{parent={_QUEUE}}}/tasks", "CreateTask", EVERYTHING),
    ("DELETE", f"/v2/{{name={_TASK}}}", "DeleteTask", ""),
    ("POST", f"/v2/{{name={_TASK}}}:run", "RunTask", EVERYTHING),
    ("POST", f"/v2/{{parent={_QUEUE}}}/tasks:batchCreate", "BatchCreateTasks", EVERYTHING),
    ("POST", f"/v2/{{parent={_QUEUE}}}/tasks:batchDelete", "BatchDeleteTasks", EVERYTHING),
    ("GET", f"/v2/{{name={_KEY}}}", "GetCmekConfig", ""),
    ("PATCH", f"/v2/{{cmek_config.name={_KEY}}}", "UpdateCmekConfig", "cmek_config"),
    ("GET", f"/v2/{{name={_LOCATION}}}", "GetLocation", ""),
    ("GET", "/v2/{name=projects/*}/locations", "ListLocations", ""),
    ("GET", f"/v2/{{name={_LOCATION}/operations/*}}", "GetOperation", ""),
)
"""HTTP method, path, method of the service, and the field in the body: all, one, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Method that a path selects, with the name in the path."""

    method: str
    body: str
    field: str
    """Path of the request's field for the name."""
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Route:
    verb: str
    pattern: re.Pattern[str]
    method: str
    body: str
    field: str


def _route(verb: str, path: str, method: str, body: str) -> _Route:
    before, variable, after = re.fullmatch(r"(.*)\{(.*)\}(.*)", path).groups()  # type: ignore[union-attr] # each has one
    field, _, name = variable.partition("=")
    words = re.sub(r"\*$", "[^/:]+", name).replace("/*", "/[^/]+")
    return _Route(verb=verb, pattern=re.compile(f"{before}({words}){after}"), method=method, body=body, field=field)


_ROUTES = tuple(_route(*rule) for rule in RULES)


def find(verb: str, path: str) -> Match | None:
    """Find the method that a path selects; the path still has its percent escapes."""
    for route in _ROUTES:
        name = route.pattern.fullmatch(path) if route.verb == verb else None
        if name:
            return Match(method=route.method, body=route.body, field=route.field, name=unquote(name[1]))
    return None

"""HTTP side: the service's REST methods, requests that are buffered as tasks, and the public keys of tokens."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from cloudqueues.cloudtasks import oidc, partial_response, routes, targets, transcoding
from cloudqueues.cloudtasks.calls import Caller
from cloudqueues.cloudtasks.errors import HTTP_STATUS, INVALID, Refused, invalid
from cloudqueues.cloudtasks.methods import Methods
from cloudqueues.cloudtasks.sdk import as_json, new
from cloudqueues.cloudtasks.state import State
from cloudqueues.http1.server import Reply, Request

CERTS_PATH = "/oauth2/v1/certs"
KEYS_PATH = "/oauth2/v3/certs"
# Paths of the real keys at https://www.googleapis.com

_BUFFER = re.compile(r"/v2(?:beta3)?/(projects/[^/]+/locations/[^/]+/queues/[^/:]+)/tasks(?:/([^/:]+))?:buffer")
_OWN_HEADERS = frozenset(["accept", "authorization", "x-goog-api-key", "x-goog-user-project"])
"""Headers for the service, which are not part of a buffered task."""

_SYSTEM = frozenset(
    [
        *("alt", "fields", "prettyPrint"),
        *(".xgafv", "access_token", "key", "oauth_token", "quotaUser", "uploadType", "upload_protocol", "userProject"),
    ]
)
"""Parameters of every Google API, with or without a dollar sign: https://cloud.google.com/apis/docs/system-parameters.
All but the first three are ignored here."""
_FORMATS = {"": False, "json": False, "json;enum-encoding=int": True}
"""Values of `alt`, with True where enums are shown as numbers."""
_NO_PAGE = (
    "<!DOCTYPE html>\n<title>Error 404 (Not Found)!!1</title>\n"
    "<p>The requested URL <code>{}</code> was not found on this server.\n"
)


class Rest:
    """Answers the HTTP requests of one emulator."""

    def __init__(
        self, state: State, create: Callable[[Any], Any], methods: Mapping[str, Methods], caller: Caller
    ) -> None:
        self._state = state
        self._create = create
        self._methods = {name: method for served in methods.values() for name, method in served.items()}
        self._caller = caller

    async def answer(self, call: Request) -> Reply:
        """Return the reply to a request, which may be a refusal."""
        buffer = _BUFFER.fullmatch(call.path)
        match = routes.find(call.method, call.path)
        try:
            if call.method == "GET" and call.path in {CERTS_PATH, KEYS_PATH}:
                return _keys(call.path)
            if call.method == "POST" and buffer is not None:
                return self._buffer(unquote(buffer[1]), unquote(buffer[2] or ""), call)
            if match is not None:
                return await self._run(match, call)
        except Refused as refused:
            return refusal(refused)
        page = _NO_PAGE.format(html.escape(call.path)).encode()
        return Reply(status=404, body=page, headers={"Content-Type": "text/html; charset=UTF-8"})

    async def _run(self, match: routes.Match, call: Request) -> Reply:
        """Run a method of the service. Raises Refused."""
        system, query = _parameters(call.query)
        kind, answer, method = self._methods[match.method]
        integers = _FORMATS.get(system.get("alt", ""))
        if integers is None:
            raise invalid(INVALID)
        part = partial_response.part_of(system["fields"], answer.DESCRIPTOR) if system.get("fields") else {}
        request = transcoding.request_of(kind, match, query, call.body)
        shown = as_json(await self._caller.run(match.method, method, request), integers=integers)
        return _reply(partial_response.cut(shown, part), compact=system.get("prettyPrint") == "false")

    def _buffer(self, queue: str, task_id: str, call: Request) -> Reply:
        """Create a task from a request, with the queue's URL and method. Raises Refused."""
        target = self._state.queue(queue).message.http_target
        task = new("Task", name=f"{queue}/tasks/{task_id}" if task_id else "")
        task.http_request.url = _url_of(target)
        task.http_request.http_method = target.http_method
        if targets.METHODS[target.http_method or 1] in targets.WITH_BODY:
            task.http_request.body = call.body
        task.http_request.headers.update({k: v for k, v in call.headers.items() if k not in _OWN_HEADERS})
        created = self._create(new("CreateTaskRequest", parent=queue, task=task))
        return _reply({"task": as_json(created)})


def _parameters(query: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the parameters of the system, without their dollar signs, and those of the request."""
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    system = {name.removeprefix("$"): value for name, value in parameters.items() if name.removeprefix("$") in _SYSTEM}
    return system, {name: value for name, value in parameters.items() if name.removeprefix("$") not in _SYSTEM}


def _keys(path: str) -> Reply:
    """Return the public keys. Raises Refused where none can be created."""
    oidc.ready()
    keys = oidc.certificates() if path == CERTS_PATH else oidc.key_set()
    return _reply(keys, headers={"Cache-Control": "public, max-age=3600"})


def _url_of(target: Any) -> str:
    """Return the URL of buffered tasks. Raises Refused for a queue without a host."""
    if not target.uri_override.HasField("host"):
        raise invalid("The queue has no http_target with a host: a request can be buffered only where one is set.")
    uri = target.uri_override
    enforced = new("HttpTarget")
    enforced.uri_override.CopyFrom(uri)
    enforced.uri_override.ClearField("uri_override_enforce_mode")
    return targets.address("https://unset.invalid/", enforced)


def refusal(refused: Refused) -> Reply:
    """Return the reply for an error, in the form of https://google.aip.dev/193."""
    status = HTTP_STATUS.get(refused.code, 500)
    details = as_json(refused.status()).get("details")
    error = {"code": status, "message": refused.text, "status": refused.code.name}
    return _reply({"error": error | ({"details": details} if details else {})}, status=status)


def _reply(
    body: Mapping[str, Any], *, status: int = 200, compact: bool = False, headers: Mapping[str, str] | None = None
) -> Reply:
    layout: dict[str, Any] = {"separators": (",", ":")} if compact else {"indent": 2}
    text = json.dumps(body, ensure_ascii=False, **layout)
    headers = {"Content-Type": "application/json; charset=UTF-8", **(headers or {})}
    return Reply(status=status, body=f"{text}\n".encode("utf-8", "replace"), headers=headers)

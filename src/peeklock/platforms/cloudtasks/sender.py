"""Sending to Cloud Tasks."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import logging
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from peeklock.concurrency.per_process import per_process
from peeklock.errors import ConfigError, SendError, because
from peeklock.message import LINEAGE, Lineage
from peeklock.observability.observer import log_event
from peeklock.outgoing import OutgoingMessage, from_json, to_json
from peeklock.platforms.http_push.headers import is_producer_header
from peeklock.quotas.google import TASK_BYTES, TASK_DELAY
from peeklock.registry import missing
from peeklock.sending.fitting import prepare

LINEAGE_HEADER = "x-peeklock"
ATTRIBUTES = "x-peeklock-attributes"
"""Header with attributes as JSON in base64, since a header takes neither every name nor every value. It continues in
`x-peeklock-attributes-1` and so on."""

METHOD, POST = "method", "POST"
WITH_BODY = frozenset({POST, "PUT", "PATCH"})
# Methods of tasks that may have a body: https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues.tasks

MAX_TASK = TASK_BYTES - 64
"""Largest size of a task in bytes, less the two times that the service adds."""

MAX_HEADER = 7_000
# Characters of one header's value: gunicorn, under which functions-framework runs, takes lines of 8,190 bytes,
# https://docs.gunicorn.org/en/stable/settings.html#limit-request-field-size

MAX_HEADERS = 32_000
# Bytes of all headers, of which Cloud Tasks takes 80 KB, but Cloud Run and uvicorn 64 KB, with those of the service:
# https://cloud.google.com/run/quotas

MAX_FIELDS = 60
# Gunicorn takes a hundred headers; the service and its load balancers add some twenty.

CREATE_SECONDS = 10.0
"""Time limit of one creation, connecting included. It takes milliseconds; Google's default of 20 seconds is as long as many
events last. A message whose copy is not confirmed comes back."""

CONTENT_TYPE = "content-type"

FIELDS = 150
"""Bytes of a task beside body, headers and addresses: its name's hash, times, protobuf tags and lengths."""

FIELDS_OF_HEADER = 12
"""Bytes of a header's protobuf tags and lengths; more than the colon, blank and line end that a server counts."""

_WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})

_HEADER_NAME = re.compile("[a-z0-9-]{1,200}")
"""Names that arrive as they were sent. HTTP ignores case, and some servers drop names with an underscore."""


@per_process
def client(emulator: str | None) -> Any:
    """Return the process's client, of the emulator that `CLOUD_TASKS_EMULATOR_HOST` names, if any. Raises ConfigError where the
    SDK is missing."""
    try:
        from google.cloud import tasks_v2

        if not emulator:
            return tasks_v2.CloudTasksClient()
        import grpc
        from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport
    except ImportError as exc:
        raise missing(exc) from exc
    return tasks_v2.CloudTasksClient(transport=CloudTasksGrpcTransport(channel=grpc.insecure_channel(emulator)))


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudTasksSender:
    """Creates one task for each outgoing message.

    The task's name is derived from the outgoing message's id, so that Cloud Tasks itself drops a second one (for an hour at
    least). A name that is taken therefore counts as success.
    """

    queue: str
    target: str
    service_account: str | None = None
    audience: str | None = None
    deadline: timedelta | None = None
    """Time that Cloud Tasks waits for the answer to a request. By default its own, 10 minutes."""

    limit = MAX_TASK

    @property
    def place(self) -> tuple[str, str]:
        """Queue and target. The target counts, since each task names its own."""
        return self.queue, self.target

    def accepts(self, outgoing: OutgoingMessage, /) -> bool:
        """Return whether Cloud Tasks takes a message in this form, and the target's server the request."""
        headers = headers_of(outgoing)
        fits = len(headers) <= MAX_FIELDS and _size(headers) <= MAX_HEADERS
        plain = all(_is_plain(value) for value in headers.values())
        return fits and plain and self.weigh(outgoing) <= self.limit

    def weigh(self, outgoing: OutgoingMessage, /) -> int:
        token = len(self.service_account) + len(self.audience or self.target) if self.service_account else 0
        addresses = len(self.queue) + len(self.target) + token
        return len(outgoing.body) + _size(headers_of(outgoing)) + addresses + FIELDS

    def send(self, outgoing_messages: Sequence[OutgoingMessage], /) -> Sequence[SendError | None]:
        return [self._send(outgoing) for outgoing in outgoing_messages]

    def _send(self, outgoing: OutgoingMessage) -> SendError | None:
        prepared = refusal(outgoing) or prepare(outgoing, self)
        if isinstance(prepared, SendError):
            return SendError(f"{self.queue}: {prepared}")
        try:
            tasks = client(os.environ.get("CLOUD_TASKS_EMULATOR_HOST"))
            from google.api_core.exceptions import AlreadyExists

            try:
                tasks.create_task(parent=self.queue, task=self.task(prepared), timeout=CREATE_SECONDS)
            except AlreadyExists:
                self._deduplicated(outgoing)
        except ConfigError:
            raise
        except Exception as exc:  # noqa: BLE001 - any exception of the SDK: the task may or may not have been created
            return because(SendError(f"{self.queue}: {type(exc).__name__}: {exc}"), exc)
        return None

    def _deduplicated(self, outgoing: OutgoingMessage) -> None:
        """Log that a new message was not queued. For a copy or a dead letter this only means that it was published before."""
        if outgoing.is_new:
            fields = {
                "to": self.queue,
                "message_id": outgoing.lineage.id,
                "detail": "Cloud Tasks remembers a task of this id",
            }
            log_event("peeklock.deduplicated %s", fields, level=logging.INFO)

    def task(self, outgoing: OutgoingMessage) -> Any:
        """Return an outgoing message as the client's task."""
        from google.cloud import tasks_v2

        request: dict[str, Any] = {
            "http_method": getattr(tasks_v2.HttpMethod, method_of(outgoing)),
            "url": self.target,
            "headers": headers_of(outgoing),
            "body": outgoing.body,
        }
        if self.service_account:
            token = {"service_account_email": self.service_account, "audience": self.audience or self.target}
            request["oidc_token"] = token
        task: dict[str, Any] = {"http_request": request}
        if not outgoing.bare:  # a bare message is at the size limit, and the service's own name is shorter
            task["name"] = f"{self.queue}/tasks/{task_id(outgoing.id)}"
        if self.deadline is not None:
            task["dispatch_deadline"] = self.deadline
        if outgoing.delay:
            task["schedule_time"] = datetime.now(UTC) + outgoing.delay
        return tasks_v2.Task(task)


def refusal(outgoing: OutgoingMessage, *, fifo: bool = False) -> SendError | None:
    """Return the error with which Cloud Tasks would refuse a message for its group or delay; None where it would not. `fifo` is
    ignored: Cloud Tasks has no such queues."""
    del fifo
    if outgoing.delay > TASK_DELAY:
        return SendError(f"Cloud Tasks delays a task by {TASK_DELAY.days} days at most, not {outgoing.delay}")
    if outgoing.group and outgoing.is_new:
        return SendError("Cloud Tasks keeps no order within a group; send it without group=")
    return None


def task_id(outgoing_id: str) -> str:
    """Return a task's id. Hashing spreads ids evenly, since names with a common beginning slow a queue down:
    https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues.tasks/create"""
    return hashlib.sha256(outgoing_id.encode()).hexdigest()


def method_of(outgoing: OutgoingMessage) -> str:
    """Return the HTTP method that the message came with; POST for a new one, and where that method cannot have a body."""
    method = outgoing.system.get(METHOD, POST)
    return method if method in WITH_BODY or (method in _WITHOUT_BODY and not outgoing.body) else POST


def headers_of(outgoing: OutgoingMessage) -> dict[str, str]:
    """Return a task's headers. An attribute that is a valid header stays one, so that a copy is the same request, and other
    consumers of the queue can read a CloudEvent; the other attributes are packed."""
    headers = {} if outgoing.bare else {LINEAGE_HEADER: _lineage(outgoing).dump()}
    if outgoing.content_type or not outgoing.bare:
        headers[CONTENT_TYPE] = outgoing.content_type or "application/octet-stream"
    packed: dict[str, Any] = {}
    for name, value in outgoing.attributes.items():
        if isinstance(value, str) and _is_header(name, value):
            headers[name] = value
        else:
            packed[name] = to_json(value)
    if packed:
        text = base64.b64encode(json.dumps(packed).encode()).decode()
        parts = [text[start : start + MAX_HEADER] for start in range(0, len(text), MAX_HEADER)]
        headers |= {f"{ATTRIBUTES}-{n}" if n else ATTRIBUTES: part for n, part in enumerate(parts)}
    return headers


def _lineage(outgoing: OutgoingMessage) -> Lineage:
    """Return the lineage, with the time of sending for a new task: the service reports only when a task is due, which a delay
    changes, and perhaps each retry."""
    if not outgoing.is_new or outgoing.lineage.sent is not None:
        return outgoing.lineage
    return replace(outgoing.lineage, sent=int(time.time() * 1000))


def _is_header(name: str, value: str) -> bool:
    whole = _HEADER_NAME.fullmatch(name) and is_producer_header(name) and not name.startswith((LINEAGE, LINEAGE_HEADER))
    return bool(whole) and bool(value) and len(value) <= MAX_HEADER and value == value.strip() and _is_plain(value)


def _is_plain(value: str) -> bool:
    """Return whether a header can carry this value over every server: printable ASCII."""
    return value.isascii() and value.isprintable()


def _size(headers: Mapping[str, str]) -> int:
    return sum(len(name) + len(value) + FIELDS_OF_HEADER for name, value in headers.items())


def unpack(headers: Mapping[str, str]) -> Mapping[str, str | bytes]:
    """Return the attributes that `headers_of` packed; none where the header is not its own."""
    names = (f"{ATTRIBUTES}-{n}" if n else ATTRIBUTES for n in itertools.count())
    text = "".join(itertools.takewhile(bool, (headers.get(name, "") for name in names)))
    try:
        packed = json.loads(base64.b64decode(text, validate=True)) if text else {}
        return {name: from_json(value) for name, value in packed.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}

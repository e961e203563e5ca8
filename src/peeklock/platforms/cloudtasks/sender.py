"""Sending to Cloud Tasks with Google's own client."""

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
"""Header with attributes as JSON in base64: a header takes neither every name nor every value. Where one is not enough,
it goes on in `x-peeklock-attributes-1` and so forth."""

METHOD, POST = "method", "POST"
WITH_BODY = frozenset({POST, "PUT", "PATCH"})
# Methods of tasks that may have a body: https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues.tasks

MAX_TASK = TASK_BYTES - 64
"""Bytes of a task without the two times that the service adds."""

MAX_HEADER = 7_000
# Characters of one header's value: gunicorn, under which functions-framework runs, takes lines of 8,190 bytes,
# https://docs.gunicorn.org/en/stable/settings.html#limit-request-field-size

MAX_HEADERS = 32_000
# Bytes of all headers, of which Cloud Tasks takes 80 KB, but Cloud Run and uvicorn 64 KB, with those of the service:
# https://cloud.google.com/run/quotas

MAX_FIELDS = 60
# Of the hundred that gunicorn takes; the service and its load balancers add some twenty.

CREATE_SECONDS = 10.0
"""How long one creation may take, connecting included. It takes milliseconds; Google's own 20 seconds would be as long as
many an event, and what is not confirmed comes back with its message."""

CONTENT_TYPE = "content-type"

FIELDS = 150
"""Bytes of what a task has beside body, headers and addresses: its name's hash, times, tags and lengths."""

FIELDS_OF_HEADER = 12
"""Bytes of a header's tags and lengths; more than the colon, blank and line end that a server counts."""

_WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})

_HEADER_NAME = re.compile("[a-z0-9-]{1,200}")
"""Names that arrive as they were sent: HTTP has no case, and some servers drop names with an underscore."""


@per_process
def client(emulator: str | None) -> Any:
    """The process's client; at an emulator when `CLOUD_TASKS_EMULATOR_HOST` names one. Raises ConfigError."""
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
    """Creates one task for each outgoing message. Its name follows from the outgoing message's id, so that Cloud Tasks itself drops a second one
    (for an hour at least); a name that is taken is therefore success."""

    queue: str
    target: str
    service_account: str | None = None
    audience: str | None = None
    deadline: timedelta | None = None
    """How long Cloud Tasks waits for the answer to a request; its own 10 minutes where left out."""

    limit = MAX_TASK

    @property
    def place(self) -> tuple[str, str]:
        """Which queue it is, and who consumes its tasks: each task names its own target."""
        return self.queue, self.target

    def accepts(self, outgoing: OutgoingMessage, /) -> bool:
        """Whether Cloud Tasks takes a message in this form, and its target's server the request."""
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
        except Exception as exc:  # noqa: BLE001 - whatever the SDK raises: not known to be there
            return because(SendError(f"{self.queue}: {type(exc).__name__}: {exc}"), exc)
        return None

    def _deduplicated(self, outgoing: OutgoingMessage) -> None:
        """A copy or a dead letter was published before; of a new message somebody should know that nothing was queued."""
        if outgoing.is_new:
            fields = {
                "to": self.queue,
                "message_id": outgoing.lineage.id,
                "detail": "Cloud Tasks remembers a task of this id",
            }
            log_event("peeklock.deduplicated %s", fields, level=logging.INFO)

    def task(self, outgoing: OutgoingMessage) -> Any:
        """An outgoing message as the client's task."""
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
        if not outgoing.bare:  # there every byte counts, and the service's own name is short
            task["name"] = f"{self.queue}/tasks/{task_id(outgoing.id)}"
        if self.deadline is not None:
            task["dispatch_deadline"] = self.deadline
        if outgoing.delay:
            task["schedule_time"] = datetime.now(UTC) + outgoing.delay
        return tasks_v2.Task(task)


def refusal(outgoing: OutgoingMessage, *, fifo: bool = False) -> SendError | None:
    """Why Cloud Tasks would refuse a message, as far as that follows from its group and its delay. It knows no `fifo`."""
    del fifo
    if outgoing.delay > TASK_DELAY:
        return SendError(f"a task waits {TASK_DELAY.days} days at most, not {outgoing.delay}")
    if outgoing.group and outgoing.is_new:
        return SendError("Cloud Tasks keeps no order within a group; send it without group=")
    return None


def task_id(outgoing_id: str) -> str:
    """Spread evenly, as names that begin alike slow a queue: https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues.tasks/create"""
    return hashlib.sha256(outgoing_id.encode()).hexdigest()


def method_of(outgoing: OutgoingMessage) -> str:
    """The method that the message came with; POST for a new one, and where another could not carry the body."""
    method = outgoing.system.get(METHOD, POST)
    return method if method in WITH_BODY or (method in _WITHOUT_BODY and not outgoing.body) else POST


def headers_of(outgoing: OutgoingMessage) -> dict[str, str]:
    """Headers of a task. An attribute that is a header as it stands remains one, so that a copy is the same request and
    another consumer of the queue reads a CloudEvent; the others are packed."""
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
    """With the time of sending on a new task: the service tells no more than when it is due, which a delay moves, and
    perhaps each retry."""
    if not outgoing.is_new or outgoing.lineage.sent is not None:
        return outgoing.lineage
    return replace(outgoing.lineage, sent=int(time.time() * 1000))


def _is_header(name: str, value: str) -> bool:
    whole = _HEADER_NAME.fullmatch(name) and is_producer_header(name) and not name.startswith((LINEAGE, LINEAGE_HEADER))
    return bool(whole) and bool(value) and len(value) <= MAX_HEADER and value == value.strip() and _is_plain(value)


def _is_plain(value: str) -> bool:
    """Whether a header takes this value on every way, with nothing between the tokens but blanks."""
    return value.isascii() and value.isprintable()


def _size(headers: Mapping[str, str]) -> int:
    return sum(len(name) + len(value) + FIELDS_OF_HEADER for name, value in headers.items())


def unpack(headers: Mapping[str, str]) -> Mapping[str, str | bytes]:
    """The attributes that were packed; none where `headers_of` did not write them."""
    names = (f"{ATTRIBUTES}-{n}" if n else ATTRIBUTES for n in itertools.count())
    text = "".join(itertools.takewhile(bool, (headers.get(name, "") for name in names)))
    try:
        packed = json.loads(base64.b64decode(text, validate=True)) if text else {}
        return {name: from_json(value) for name, value in packed.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}

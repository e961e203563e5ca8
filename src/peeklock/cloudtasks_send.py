"""Sending to Cloud Tasks with Google's own client."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from peeklock.errors import ConfigError, SendError, because
from peeklock.once import once
from peeklock.parcel import Parcel, from_json, to_json
from peeklock.registry import missing

TRAIL_HEADER = "x-peeklock"
ATTRIBUTES = "x-peeklock-attributes"
"""Header with attributes as JSON in base64: a header takes neither every name nor every value."""

MAX_DELAY = timedelta(days=30)
# https://cloud.google.com/tasks/docs/quotas

DEADLINES = (timedelta(seconds=15), timedelta(minutes=30))
# dispatchDeadline: https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues.tasks

CREATE_SECONDS = 10.0
"""How long one creation may take, connecting included. It takes milliseconds; Google's own 20 seconds would be as long as
many an event, and what is not confirmed comes back with its message."""

_ADDRESS = "cloudtasks://projects/PROJECT/locations/LOCATION/queues/QUEUE?target=https://HOST/PATH"


@once
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
    """Creates one task a parcel. Its name follows from the parcel's id, so that Cloud Tasks itself drops a second one
    (for an hour at least); a name that is taken is therefore success."""

    queue: str
    target: str
    service_account: str | None = None
    audience: str | None = None
    deadline: timedelta | None = None
    """How long Cloud Tasks waits for the answer to a request; its own 10 minutes where left out."""

    def send(self, parcels: Sequence[Parcel], /) -> Sequence[SendError | None]:
        return [self._send(parcel) for parcel in parcels]

    def _send(self, parcel: Parcel) -> SendError | None:
        if parcel.delay > MAX_DELAY:
            return SendError(f"{self.queue}: a task waits {MAX_DELAY.days} days at most, not {parcel.delay}")
        tasks = client(os.environ.get("CLOUD_TASKS_EMULATOR_HOST"))
        from google.api_core.exceptions import AlreadyExists

        try:
            tasks.create_task(parent=self.queue, task=self.task(parcel), timeout=CREATE_SECONDS)
        except AlreadyExists:
            return None
        except Exception as exc:  # noqa: BLE001 - whatever the SDK raises: not known to be there
            return because(SendError(f"{self.queue}: {type(exc).__name__}: {exc}"), exc)
        return None

    def task(self, parcel: Parcel) -> Any:
        """A parcel as the client's task."""
        from google.cloud import tasks_v2

        request: dict[str, Any] = {
            "http_method": tasks_v2.HttpMethod.POST,
            "url": self.target,
            "headers": headers_of(parcel),
            "body": parcel.body,
        }
        if self.service_account:
            token = {"service_account_email": self.service_account, "audience": self.audience or self.target}
            request["oidc_token"] = token
        task: dict[str, Any] = {"name": f"{self.queue}/tasks/{task_id(parcel.id)}", "http_request": request}
        if self.deadline is not None:
            task["dispatch_deadline"] = self.deadline
        if parcel.delay:
            task["schedule_time"] = datetime.now(UTC) + parcel.delay
        return tasks_v2.Task(task)


def task_id(parcel_id: str) -> str:
    """Spread evenly, as names that begin alike slow a queue: https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues.tasks/create"""
    return hashlib.sha256(parcel_id.encode()).hexdigest()


def headers_of(parcel: Parcel) -> dict[str, str]:
    headers = {TRAIL_HEADER: parcel.trail.dump(), "content-type": parcel.content_type or "application/octet-stream"}
    packed: dict[str, Any] = {}
    for name, value in parcel.attributes.items():
        if isinstance(value, str) and name.startswith("ce-") and value.isascii() and value.isprintable():
            headers[name] = value  # another consumer of the queue reads a CloudEvent by its headers
        else:
            packed[name] = to_json(value)
    if packed:
        headers[ATTRIBUTES] = base64.b64encode(json.dumps(packed).encode()).decode()
    return headers


def unpack(text: str) -> Mapping[str, str | bytes]:
    """The attributes in the header; none when it was not written by `headers_of`."""
    try:
        packed = json.loads(base64.b64decode(text, validate=True)) if text else {}
        return {name: from_json(value) for name, value in packed.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def from_url(url: str) -> CloudTasksSender:
    """`cloudtasks://projects/P/locations/L/queues/Q?target=https://...&service_account=...&audience=...&deadline=SECONDS`"""
    parts = urlsplit(url)
    queue = (parts.netloc + parts.path).strip("/")
    asked = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    words = queue.split("/")
    if words[::2] != ["projects", "locations", "queues"] or "target" not in asked or not all(words):
        raise ConfigError(f"{url!r} is no Cloud Tasks address, such as {_ADDRESS}")
    return CloudTasksSender(
        queue=queue,
        target=asked["target"],
        service_account=asked.get("service_account"),
        audience=asked.get("audience"),
        deadline=_deadline(url, asked.get("deadline")),
    )


def _deadline(url: str, given: str | None) -> timedelta | None:
    if given is None:
        return None
    least, most = (int(one.total_seconds()) for one in DEADLINES)
    if not given.isdecimal() or not least <= int(given) <= most:
        raise ConfigError(f"{url!r}: deadline={given} is not the seconds that Cloud Tasks waits, {least} to {most}")
    return timedelta(seconds=int(given))

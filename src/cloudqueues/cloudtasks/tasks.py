"""Tasks as stored: checked, completed and measured; and their views."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cloudqueues.cloudtasks import config, targets
from cloudqueues.cloudtasks.errors import INVALID, Code, Refused, invalid
from cloudqueues.cloudtasks.sdk import LAST_SECOND, new, seconds_of, stamp

MAX_BYTES = 2**20 - 7
"""Bytes of a task as stored, without its view: probed on the real service."""
MAX_AHEAD = 720 * 3600.0
SHORTEST, LONGEST, DEFAULT_DEADLINE = 15.0, 1800.0, 600
# https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues.tasks (dispatchDeadline)


def complete(requested: Any, name: str, target: Any, now: float) -> Any:
    """Return the task to store for a request's task, which is not changed. Raises Refused."""
    _check_payload(requested)
    task = new("Task", name=name)
    task.http_request.CopyFrom(requested.http_request)
    _fill_request(task.http_request, target)
    _fill_deadline(task, requested)
    task.schedule_time.CopyFrom(_schedule(requested, now))
    task.create_time.seconds = int(now)
    if requested.HasField("retry_config"):
        config.check_retry(requested.retry_config)
        task.retry_config.CopyFrom(requested.retry_config)
        config.fill_retry(task.retry_config)
    if task.ByteSize() > MAX_BYTES:
        raise invalid("Task size too large")
    return task


def _check_payload(task: Any) -> None:
    if task.HasField("app_engine_http_request"):
        raise Refused(Code.UNIMPLEMENTED, "This emulator sends to HTTP targets only, not to App Engine.")
    if not task.HasField("http_request"):
        raise invalid("Task.payload_type is not set.")
    targets.check_url(task.http_request.url)


def _fill_request(request: Any, target: Any) -> None:
    number = request.http_method
    request.http_method = number if 0 < number < len(targets.METHODS) else targets.METHODS.index("POST")
    if request.body and targets.METHODS[request.http_method] not in targets.WITH_BODY:
        raise invalid("Body can only be set if the http_method is POST, PUT, or PATCH.")
    headers = targets.clean(request.headers)
    targets.check_size(headers.items())
    request.headers.clear()
    request.headers.update(headers)
    targets.settle_token(request, target)


def _fill_deadline(task: Any, requested: Any) -> None:
    if not requested.HasField("dispatch_deadline"):
        task.dispatch_deadline.seconds = DEFAULT_DEADLINE
        return
    if not SHORTEST <= seconds_of(requested.dispatch_deadline) <= LONGEST:
        raise invalid("Task.dispatchDeadline must be between [15s, 30m].")
    task.dispatch_deadline.FromMilliseconds(requested.dispatch_deadline.ToMilliseconds())


def _schedule(requested: Any, now: float) -> Any:
    """Return the time when a task is due, which is never in the past. Raises Refused."""
    wanted = requested.schedule_time
    if wanted.seconds > LAST_SECOND:
        raise invalid(INVALID)
    if not requested.HasField("schedule_time") or seconds_of(wanted) < now:
        return stamp(now)
    if seconds_of(wanted) > now + MAX_AHEAD:
        raise invalid(
            f"The Task.scheduleTime, {_pacific(wanted)}, is too far in the future."
            " Schedule time must be no more than 720h in the future."
        )
    return wanted


def _pacific(timestamp: Any) -> str:
    """Format a time as in the real service's refusals, in its own time zone."""
    when = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=timestamp.seconds)).astimezone(_zone())
    fraction = f".{timestamp.nanos:09d}".rstrip("0") if timestamp.nanos else ""
    return f"{when:%Y-%m-%dT%H:%M:%S}{fraction}{when.isoformat()[19:]}"


def _zone() -> tzinfo:
    try:
        return ZoneInfo("America/Los_Angeles")
    except ZoneInfoNotFoundError:  # a machine without a time zone database
        return UTC


def shown(task: Any, view: int) -> Any:
    """Return a copy of a task in a view: without its body, unless the view is full."""
    copy = new("Task")
    copy.CopyFrom(task)
    basic, full = copy.BASIC, copy.FULL
    if view == 0:
        view = basic
    copy.view = view if view in (basic, full) else 0
    if view != full:
        copy.http_request.body = b""
    return copy

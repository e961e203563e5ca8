"""Attempts to dispatch a task, and the meaning of their responses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cloudqueues.cloudtasks.errors import Code
from cloudqueues.cloudtasks.sdk import stamp
from cloudqueues.cloudtasks.state import StoredTask

NO_ANSWER = 0
TIMED_OUT = 504
NOT_MODIFIED = 304
"""Counts as success: the real service was seen not to try again (google/nomulus, pull request 2118)."""
BACKPRESSURE = frozenset([429, 503])
_CODES = {
    400: Code.INVALID_ARGUMENT,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.NOT_FOUND,
    409: Code.ABORTED,
    429: Code.RESOURCE_EXHAUSTED,
    499: Code.CANCELLED,
    501: Code.UNIMPLEMENTED,
    503: Code.UNAVAILABLE,
    504: Code.DEADLINE_EXCEEDED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """Attempt that ended."""

    task: str
    """Full name of the task."""
    attempt: int
    """1-based."""
    method: str
    url: str
    headers: Mapping[str, str]
    status: int
    """Status of the response; 504: none in time, 0: none at all."""
    when: float
    """Start by the emulator's time, in seconds since 1970."""
    took: float
    """Duration in seconds, by the emulator's time."""
    duplicate: bool = False
    """True for a second delivery that a fault made: its response changes nothing."""


def is_server_error(status: int) -> bool:
    """Return True for a response that does not count as an execution; a missing one does not either."""
    return status == NO_ANSWER or 500 <= status <= 599  # noqa: PLR2004 - 5xx


def is_success(status: int) -> bool:
    return 200 <= status <= 299 or status == NOT_MODIFIED  # noqa: PLR2004 - 2xx


def status_code(status: int) -> Code:
    """Return the code that an attempt shows for an HTTP status, as recorded for twenty of them."""
    if status in _CODES:
        return _CODES[status]
    if 400 <= status <= 499:  # noqa: PLR2004 - 4xx
        return Code.FAILED_PRECONDITION
    return Code.INTERNAL if 500 <= status <= 599 else Code.UNKNOWN  # noqa: PLR2004 - 5xx


def record_start(task: StoredTask, when: float) -> None:
    message = task.message
    message.last_attempt.dispatch_time.CopyFrom(stamp(when))
    if not message.HasField("first_attempt"):
        message.first_attempt.dispatch_time.CopyFrom(stamp(when))


def record_end(task: StoredTask, status: int, now: float) -> None:
    message, code = task.message, status_code(status)
    message.response_count += 0 if is_server_error(status) else 1
    message.last_attempt.response_time.CopyFrom(stamp(now))
    message.last_attempt.response_status.code = int(code)
    message.last_attempt.response_status.message = f"{code.name}({int(code)}): HTTP status code {status}"

"""HTTP endpoint of the platforms that push each message as a request: the request, and its answer."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Unpack

from peeklock.binding.bind import Binding, mark
from peeklock.binding.settling import left_of
from peeklock.engine.bound_consumer import RESERVE
from peeklock.errors import ConfigError, EventError, PeeklockError
from peeklock.message import Message
from peeklock.observability.observer import Settled, log_event, log_event_once
from peeklock.outcome import Reason
from peeklock.platforms.http_push.certificates import FETCH_SECONDS, Unavailable
from peeklock.platforms.http_push.oidc import Access, Closed, Guard, Rejected
from peeklock.timing.delays import ZERO

DONE, BAD, UNAUTHORIZED, BUSY, FAILED = 204, 400, 401, 409, 500
# Never 304, which Cloud Tasks takes for success, and never 429 or 503, which slow the whole queue down:
# https://cloud.google.com/tasks/docs/creating-http-target-tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """HTTP request, independent of the framework. The names in `headers` are in lower case."""

    headers: Mapping[str, str]
    body: bytes
    method: str = "POST"


def request_of(headers: Mapping[str, Any], body: bytes, method: str = "POST") -> Request:
    """Return a request from headers of any case."""
    lower = {str(name).lower(): str(value) for name, value in headers.items()}
    return Request(headers=lower, body=body, method=method)


def count_of(text: str) -> int:
    """Return the number in a header that counts deliveries; 0 where it is not a number."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0  # noqa: PLR2004 - digits of 2**31


Receive = Callable[[Request, str], Message]


REFUSALS: Mapping[type[PeeklockError], tuple[str, int]] = {
    Closed: ("peeklock.closed %s", UNAUTHORIZED),
    Rejected: ("peeklock.unauthorized %s", UNAUTHORIZED),
    Unavailable: ("peeklock.unverified %s", FAILED),
    EventError: ("peeklock.not_an_event %s", BAD),
}
"""Log event and status for each reason to refuse a request. The platform delivers a request again unless it is answered with
success."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """HTTP endpoint of a binding. `lock`: the platform's time limit of a request, where the environment does not set it."""

    binding: Binding
    receive: Receive
    guard: Guard
    lock: timedelta | None

    def answer(self, request: Request) -> int:
        """Handle a request and return its status."""
        arrived, limit = time.monotonic(), self.binding.lock(self.lock)
        if limit is None:
            self._log_unknown_lock()
        try:
            self.guard.check(_credentials(request), _patience(limit))
            message = self.receive(request, self.binding.queue.name)
        except tuple(REFUSALS) as exc:
            return self._refuse(exc)
        return status_of(self.binding.run([message], self._left(limit, arrived)))

    def _log_unknown_lock(self) -> None:
        queue = self.binding.queue
        detail = (
            f"{queue.variable('LOCK')} is not set: the platform is assumed to wait longer than timeout={queue.timeout.total_seconds():g} s;"
            " if it does not, it delivers a message again while the message runs"
        )
        log_event_once("peeklock.weaker %s", {"queue": queue.name, "detail": detail})

    def _left(self, limit: timedelta | None, arrived: float) -> timedelta | None:
        """Return the event's time left after the check of the token and, at a cold start, the binding."""
        self.binding.bound()
        return left_of(limit, arrived)

    def _refuse(self, exc: PeeklockError) -> int:
        event, status = REFUSALS[type(exc)]
        log_event(event, {"queue": self.binding.queue.name, "status": status, "detail": str(exc)})
        return status


def _credentials(request: Request) -> str:
    return request.headers.get("authorization", "")


def _patience(limit: timedelta | None) -> float:
    """Return the seconds that fetching certificates may take, so that the event is still answered within its limit."""
    return FETCH_SECONDS if limit is None else min(FETCH_SECONDS, max(limit - RESERVE, ZERO).total_seconds())


def status_of(settled: Sequence[Settled]) -> int:
    """Return the status that answers a message's outcome."""
    outcome = settled[0].outcome
    if outcome.finished:
        return DONE
    return BUSY if outcome.reason is Reason.BUSY else FAILED


def entry(
    binding: Binding, receive: Receive, *, lock: timedelta | None, **access: Unpack[Access]
) -> Callable[[Any], tuple[str, int]]:
    """Return a function for functions-framework, which takes a Flask request.

    An `async def` consumer runs on the process's event loop, so that it is deployed as any other. `lock`: how long the
    platform waits for an answer, where the environment does not set it.
    """
    endpoint = Endpoint(binding=binding, receive=receive, guard=Guard(binding.queue, **access), lock=lock)

    def answer(request: Any) -> tuple[str, int]:
        if not hasattr(request, "get_data"):
            raise ConfigError(
                f"{type(request).__name__} is not a Flask request: leave out --asgi and FUNCTION_USE_ASGI"
            )
        return "", endpoint.answer(request_of(request.headers, request.get_data(), request.method))

    return mark(answer, binding)


def sample(event: Any) -> Request:
    """Return the request of a sample event: `headers`, and `body` as text or `bodyBase64`. Raises EventError for another event."""
    headers = event.get("headers") if isinstance(event, dict) else None
    if not isinstance(headers, dict):
        raise EventError("not a push request: a sample has headers, and a body or bodyBase64")
    encoded, method = event.get("bodyBase64"), str(event.get("method", "POST"))
    if encoded is None:
        return request_of(headers, str(event.get("body", "")).encode("utf-8", "surrogatepass"), method)
    try:
        return request_of(headers, base64.b64decode(str(encoded), validate=True), method)
    except (binascii.Error, ValueError) as exc:
        raise EventError("not a push request: bodyBase64 is not base64") from exc

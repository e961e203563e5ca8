"""What platforms share that push each message as an HTTP request: the request itself, and how it is answered."""

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
    """A request, whatever framework received it. `headers` have lower-case names, since HTTP's have no case."""

    headers: Mapping[str, str]
    body: bytes
    method: str = "POST"


def request_of(headers: Mapping[str, Any], body: bytes, method: str = "POST") -> Request:
    lower = {str(name).lower(): str(value) for name, value in headers.items()}
    return Request(headers=lower, body=body, method=method)


def count_of(text: str) -> int:
    """The number in a header that counts deliveries; 0 for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0  # noqa: PLR2004 - digits of 2**31


Receive = Callable[[Request, str], Message]


REFUSALS: Mapping[type[PeeklockError], tuple[str, int]] = {
    Closed: ("peeklock.closed %s", UNAUTHORIZED),
    Rejected: ("peeklock.unauthorized %s", UNAUTHORIZED),
    Unavailable: ("peeklock.unverified %s", FAILED),
    EventError: ("peeklock.not_an_event %s", BAD),
}
"""The log event and the status of each reason to refuse a request. The platform delivers again whatever is not answered
with success."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a platform's requests come in."""

    binding: Binding
    receive: Receive
    guard: Guard
    lock: timedelta | None

    def answer(self, request: Request) -> int:
        """The status for a request."""
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
            f"{queue.variable('LOCK')} is not set: the platform is taken to wait for timeout={queue.timeout.total_seconds():g} s"
            " and longer, and one that does not delivers a message again while it runs"
        )
        log_event_once("peeklock.weaker %s", {"queue": queue.name, "detail": detail})

    def _left(self, limit: timedelta | None, arrived: float) -> timedelta | None:
        """What the check of the token, and at a cold start the making of the plan, have left of the event's time."""
        self.binding.bound()
        return left_of(limit, arrived)

    def _refuse(self, exc: PeeklockError) -> int:
        event, status = REFUSALS[type(exc)]
        log_event(event, {"queue": self.binding.queue.name, "status": status, "detail": str(exc)})
        return status


def _credentials(request: Request) -> str:
    return request.headers.get("authorization", "")


def _patience(limit: timedelta | None) -> float:
    """Seconds that a token's certificates may take: an event must be answered within its limit also then."""
    return FETCH_SECONDS if limit is None else min(FETCH_SECONDS, max(limit - RESERVE, ZERO).total_seconds())


def status_of(settled: Sequence[Settled]) -> int:
    outcome = settled[0].outcome
    if outcome.finished:
        return DONE
    return BUSY if outcome.reason is Reason.BUSY else FAILED


def entry(
    binding: Binding, receive: Receive, *, lock: timedelta | None, **access: Unpack[Access]
) -> Callable[[Any], tuple[str, int]]:
    """A function of a Flask request, for functions-framework. An `async def` consumer runs on the process's event loop, so
    that whoever deploys the function need not know of it. `lock`: how long the platform waits for an answer, unless the
    environment says otherwise."""
    endpoint = Endpoint(binding=binding, receive=receive, guard=Guard(binding.queue, **access), lock=lock)

    def answer(request: Any) -> tuple[str, int]:
        if not hasattr(request, "get_data"):
            raise ConfigError(f"{type(request).__name__} is not of Flask: leave out --asgi and FUNCTION_USE_ASGI")
        return "", endpoint.answer(request_of(request.headers, request.get_data(), request.method))

    return mark(answer, binding)


def sample(event: Any) -> Request:
    """A request from a sample event: `headers`, and `body` as text or `bodyBase64`. Raises EventError for another."""
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

"""Cloud Tasks pushing to an HTTP target under functions-framework: `charge_http = cloudtasks.bind(charge)`.

Cloud Tasks has no dead letters: it deletes a task that is out of attempts. So the queue's own attempts are unlimited, peeklock
limits them, and a dead letter is sent before the task is answered with success. A delay is a new task with a schedule time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Unpack

from peeklock.binding.bind import Binding, Options
from peeklock.engine.bound_consumer import Delays
from peeklock.errors import ConfigError, EventError
from peeklock.message import LINEAGE, Lineage, Message, is_text
from peeklock.platforms.cloudtasks.address import from_url
from peeklock.platforms.cloudtasks.sender import LINEAGE_HEADER, METHOD, POST, refusal, unpack
from peeklock.platforms.http_push import endpoint
from peeklock.platforms.http_push.headers import producer_headers
from peeklock.quotas import google
from peeklock.sending.fitting import FORM, unfold

_OURS = (LINEAGE, LINEAGE_HEADER)


def bind(
    function: Callable[..., Any],
    *,
    audience: str | None = None,
    service_account: str | None = None,
    certs_url: str | None = None,
    unauthenticated: bool = False,
    **options: Unpack[Options],
) -> Callable[[Any], tuple[str, int]]:
    """Return a function for functions-framework that runs a consumer over tasks. An `async def` consumer runs on the process's own
    event loop: leave out `--asgi` and `FUNCTION_USE_ASGI`.

    - `audience`, `service_account`: the audience and account that each request's OIDC token must have. By default
      `PEEKLOCK_<QUEUE>_AUDIENCE` and `PEEKLOCK_<QUEUE>_SERVICE_ACCOUNT`. Other requests are answered with 401, and so is
      every request where they are not set.
    - `certs_url`: URL of the certificates whose keys are trusted; by default Google's.
    - `unauthenticated`: True requires no token, for a function whose callers are checked by something in front of it.

    The function answers 204 when the task is finished, 409 when its key is busy, 500 when the task must come back, and 400
    for a request that is no task. Raises ConfigError for a declaration that cannot work on Cloud Tasks, and at a request where
    the environment does not fit the declaration.
    """
    binding = _bind(function, options)
    return endpoint.entry(
        binding,
        receive,
        lock=google.DISPATCH_DEADLINE,
        audience=audience,
        service_account=service_account,
        certs_url=certs_url,
        unauthenticated=unauthenticated,
    )


def _bind(function: Callable[..., Any], options: Options) -> Binding:
    binding = Binding(
        function,
        "cloudtasks",
        delays=Delays.COPY,
        longest=google.DISPATCH_DEADLINES[1],
        longest_delay=google.TASK_DELAY,
        options=options,
    )
    if binding.queue.fifo:
        raise ConfigError(
            f"queue {binding.queue.name!r} is fifo, and Cloud Tasks keeps no order: receive it from Pub/Sub with ordering"
            " keys, or leave fifo=True out"
        )
    return binding


def receive(request: endpoint.Request, queue_name: str) -> Message:
    """Return the message in a task's request. Raises EventError for a request that is no task."""
    headers = request.headers
    name = headers.get("x-cloudtasks-taskname")
    if not name or not is_text(name):
        raise EventError("not a task: the header X-CloudTasks-TaskName is missing; does Cloud Tasks send to this URL?")
    queue = headers.get("x-cloudtasks-queuename")
    lineage = Lineage.load(headers.get(LINEAGE_HEADER) or headers.get(LINEAGE, ""))
    # Not the execution count, which leaves out answers of 500 and attempts that ran out of time.
    delivery = endpoint.count_of(headers.get("x-cloudtasks-taskretrycount", "")) + 1
    packed = unpack(headers)
    attributes = {**producer_headers(headers), **packed}
    message = Message(
        id=lineage.id if lineage else f"{queue}/{name}" if queue else name,  # names are unique within a queue
        body=request.body,
        queue=queue_name,
        delivery=delivery,
        attempt=delivery + (lineage.attempts if lineage else 0),
        sent_ms=_millis(headers.get("x-cloudtasks-tasketa", "")),
        attributes={name: value for name, value in attributes.items() if not name.startswith(_OURS)},
        content_type=headers.get("content-type"),
        lineage=lineage,
        native_id=name,
        raw=request,
        system=None if request.method == POST else {METHOD: request.method},
    )
    unfold(message, packed.get(FORM) or headers.get(FORM))  # the header of a dead letter that was moved from Pub/Sub
    return message


def _millis(text: str) -> int | None:
    """Return the schedule time in milliseconds: for a task without a delay, the time of its creation."""
    try:
        return int(float(text) * 1000)
    except (ValueError, OverflowError):
        return None


SHAPE = 'the request of a task, {"headers": {"X-CloudTasks-TaskName": ..., ...}, "body": ...}'

SOURCE = "queue"


def source_of(event: Any) -> str | None:
    """Return the queue that a sample event names; None where it names none."""
    headers = event.get("headers") if isinstance(event, dict) else None
    lower = {str(name).lower(): value for name, value in headers.items()} if isinstance(headers, dict) else {}
    name = lower.get("x-cloudtasks-queuename")
    return name if isinstance(name, str) and name else None


def matches(event: object) -> bool:
    """Return whether a sample event has the shape of a task's request."""
    headers = event.get("headers") if isinstance(event, dict) else None
    return isinstance(headers, dict) and any(str(name).lower() == "x-cloudtasks-taskname" for name in headers)


def run_sample(function: Callable[..., Any], event: Any, **options: Unpack[Options]) -> object:
    """Run a sample event and return the answer to Cloud Tasks. No token is required."""
    request = endpoint.sample(event)
    binding = _bind(function, options)
    messages = [receive(request, binding.queue.name)]
    return {"status": endpoint.status_of(binding.run(messages, binding.lock(google.DISPATCH_DEADLINE)))}


__all__ = ["SHAPE", "SOURCE", "bind", "from_url", "matches", "receive", "refusal", "run_sample", "source_of"]

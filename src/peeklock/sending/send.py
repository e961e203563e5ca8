"""`send`: put a message on a queue, from a handler or from any producer."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

from peeklock.concurrency.bounded import bounded
from peeklock.concurrency.per_process import per_process
from peeklock.concurrency.thread_pool import Pool
from peeklock.errors import ConfigError, SendError
from peeklock.keywords import strict
from peeklock.message import LINEAGE, Lineage, is_text
from peeklock.outgoing import OutgoingMessage, Sender
from peeklock.queue import Queue
from peeklock.registry import from_variable, open_sender
from peeklock.strict_json import check_dumped
from peeklock.timing.delays import ZERO, Seconds, seconds

JSON, TEXT, BINARY = "application/json", "text/plain; charset=utf-8", "application/octet-stream"

SEND_SECONDS = 20.0
"""How long `send` takes at most: a little more than each sender's own tries, whose errors say more."""

MOST_SENDS = 64
"""Messages that are on their way to one queue at once; each has a thread, and all of them may hang."""

Route = Callable[[Queue], Sender]

_route: ContextVar[Route | None] = ContextVar("peeklock_route", default=None)


@strict()
def send(
    queue: Queue,
    payload: Any,
    *,
    delay: Seconds | None = None,
    group: str | None = None,
    id: str | None = None,  # noqa: A002 - the field's word, and what a reader expects
    attributes: Mapping[str, str] | None = None,
) -> str:
    """Put a message on a queue and return its id, once the queue has it.

    - `delay`: not delivered before this time is over.
    - `group`: keeps its order within the group; needed for a queue with `fifo=True`.
    - `id`: the message's logical id; give one that follows from the work, such as `f"order-{n}"`, and a message that is
      sent twice is recognised, by platforms that deduplicate and by a consumer with a store. Left out, a random one.
      An id that was sent before queues nothing as long as the platform remembers it, also when its work is done and
      somebody wants it done again: FIFO queues of SQS for five minutes, Service Bus for the queue's detection window,
      Cloud Tasks for up to 24 hours after the task has ended. Only Cloud Tasks says so, and then
      `peeklock.deduplicated` is logged; `send` returns in any case, since the queue has, or had, the message. To have
      the work done again, give another id.
    - `attributes`: texts that travel beside the body. Names that begin with `peeklock` are its own.

    The queue's address is `PEEKLOCK_<QUEUE>_URL`. Raises ConfigError where that is missing or the payload has no form.
    Raises SendError for a message that fills its queue's limit up to the last 256 bytes, which are kept for the reason
    of a dead letter; and when the queue did not confirm, after SEND_SECONDS at most: it may have the message all the
    same, so give an `id` and send again.
    """
    if not isinstance(queue, Queue):
        raise ConfigError(f"send() takes the Queue first: send(ORDERS, payload), not {type(queue).__name__}")
    check_text("id", id, 'f"order-{n}"')
    check_text("group", group, 'f"customer-{n}"')
    check_attributes({} if attributes is None else attributes)
    if queue.fifo and not group:
        raise ConfigError(f"queue {queue.name!r} is fifo: give group=, within which the order is kept")
    import uuid

    body, content_type = dump(payload)
    outgoing = OutgoingMessage(
        body=body,
        lineage=Lineage(id=id or str(uuid.uuid4())),
        attributes=dict(attributes or {}),
        group=group,
        delay=ZERO if delay is None else seconds(delay, "delay"),
        content_type=content_type,
    )
    route = _route.get()
    sender = sender_to(queue) if route is None else route(queue)
    _hand_over(outgoing, sender, queue)
    return outgoing.lineage.id


def check_text(name: str, value: object, example: str) -> None:
    """Raise ConfigError for an id or a group that is none: one of another type would be lost on its way, and with it what
    makes two messages the same."""
    if value is None or (isinstance(value, str) and value and is_text(value)):
        return
    wanted = (
        "half of a surrogate pair has no encoding; give a text" if value and isinstance(value, str) else "give a text"
    )
    raise ConfigError(f"{name}={value!r}: {wanted} that is not empty, such as {example}")


def check_attributes(attributes: object) -> None:
    """Raise ConfigError for what cannot travel beside a body, and for names that carry a message's lineage."""
    if not isinstance(attributes, Mapping):
        raise ConfigError(f"attributes= takes a dict of texts, not {type(attributes).__name__}")
    for name, value in attributes.items():
        if not all(isinstance(one, str) and is_text(one) for one in (name, value)):
            raise ConfigError(f"attributes={{{name!r}: ...}}: names and values are texts; give str(...)")
        if name.startswith(LINEAGE):
            raise ConfigError(
                f"attribute {name!r}: names that begin with {LINEAGE!r} are peeklock's own; choose another"
            )


def _hand_over(outgoing: OutgoingMessage, sender: Sender, queue: Queue) -> None:
    try:
        (refused,) = bounded(lambda: sender.send([outgoing]), SEND_SECONDS, _pool(queue.name))
    except TimeoutError as exc:
        raise SendError(f"queue {queue.name!r}: {exc}; it may have the message all the same") from exc
    if refused is not None:
        raise refused


@per_process
def _pool(_: str) -> Pool:
    """The threads of a queue's senders: one that hangs costs no other queue."""
    return Pool(MOST_SENDS, "peeklock-send")


_named: dict[str, str] = {}
"""By variable, the queue whose address it holds."""


def sender_to(queue: Queue) -> Sender:
    """The sender of the address in the environment. Raises ConfigError where there is none."""
    name = queue.variable("URL")
    first = _named.setdefault(name, queue.name)
    if first != queue.name:
        raise ConfigError(
            f"queues {first!r} and {queue.name!r} would share {name}, and so one address; rename one of them"
        )
    sender = from_variable(name, open_sender)
    if sender is None:
        raise ConfigError(f"{name} is not set: it holds the address of queue {queue.name!r}")
    return sender


@contextmanager
def routed(route: Route) -> Iterator[None]:
    """Within it, `send` asks `route` for the sender and never the environment: for tests and for replay."""
    token = _route.set(route)
    try:
        yield
    finally:
        _route.reset(token)


def dump(payload: Any) -> tuple[bytes, str]:
    """A payload's body and MIME type. Raises ConfigError for what has no JSON form."""
    if isinstance(payload, bytes):
        return payload, BINARY
    try:
        return (payload.encode(), TEXT) if isinstance(payload, str) else (_json(payload), JSON)
    except UnicodeEncodeError as exc:
        raise ConfigError(f"a payload with half of a surrogate pair has no form that can be sent ({exc})") from exc
    except Exception as exc:
        raise ConfigError(
            f"a payload of type {type(payload).__name__} has no JSON form ({exc}); send a pydantic model, a dataclass,"
            " a dict, a list, str or bytes"
        ) from exc


def _json(payload: Any) -> bytes:
    """A model by itself; a dataclass by pydantic where it is installed, which knows dates and decimals. Raises ValueError
    for a number that is not finite."""
    dump_json = getattr(payload, "model_dump_json", None)
    if dump_json is not None:
        return check_dumped(dump_json(by_alias=True, round_trip=True).encode(), payload.model_dump)
    if dataclasses.is_dataclass(payload) and not isinstance(payload, type):
        try:
            from pydantic import TypeAdapter
        except ImportError:
            payload = dataclasses.asdict(payload)
        else:
            adapter = TypeAdapter(type(payload))
            text = adapter.dump_json(payload, by_alias=True, round_trip=True)
            return check_dumped(text, partial(adapter.dump_python, payload))
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()

"""`send`: puts a message on a queue, from a handler or any other producer."""

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
"""Time limit of `send`: a little longer than each sender's own tries, whose errors say more."""

MOST_SENDS = 64
"""Concurrent sends to one queue. Each has a thread, and all of them may hang."""

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

    - `delay`: time before which the message is not delivered.
    - `group`: messages of a group keep their order; required for a queue with `fifo=True`.
    - `id`: the message's logical id; by default a random one. Derive it from the work, such as `f"order-{n}"`: then platforms
      that deduplicate, and consumers with a store, recognise a message that is sent twice. While the platform remembers an
      id, sending it again queues nothing, even after the work is done: SQS FIFO queues for five minutes, Service Bus for the
      queue's detection window, Cloud Tasks for up to 24 hours after the task has ended. Only Cloud Tasks reports it, and
      then `peeklock.deduplicated` is logged; `send` returns in any case, since the queue has, or had, the message. To have
      the work done again, give another id.
    - `attributes`: texts that travel beside the body. Names that begin with `peeklock` are reserved.

    The queue's address is `PEEKLOCK_<QUEUE>_URL`. Raises ConfigError where that is missing, or the payload cannot be
    serialized. Raises SendError for a message that leaves fewer than 256 bytes of its queue's size limit, which are reserved
    for the reason of a dead letter. Raises SendError when the queue does not confirm within SEND_SECONDS at most: it may
    have the message all the same, so give an `id` and send again.
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
    """Raise ConfigError for an id or a group that is not a text. A value of another type would not arrive as it was sent, and
    equal messages would not be recognised."""
    if value is None or (isinstance(value, str) and value and is_text(value)):
        return
    wanted = (
        "half of a surrogate pair cannot be encoded; give a text" if value and isinstance(value, str) else "give a text"
    )
    raise ConfigError(f"{name}={value!r}: {wanted} that is not empty, such as {example}")


def check_attributes(attributes: object) -> None:
    """Raise ConfigError for attributes that are not texts, and for reserved names."""
    if not isinstance(attributes, Mapping):
        raise ConfigError(f"attributes= takes a dict of texts, not {type(attributes).__name__}")
    for name, value in attributes.items():
        if not all(isinstance(text, str) and is_text(text) for text in (name, value)):
            raise ConfigError(f"attributes={{{name!r}: ...}}: names and values must be texts; use str(...)")
        if name.startswith(LINEAGE):
            raise ConfigError(f"attribute {name!r}: names that begin with {LINEAGE!r} are reserved; choose another")


def _hand_over(outgoing: OutgoingMessage, sender: Sender, queue: Queue) -> None:
    try:
        (refused,) = bounded(lambda: sender.send([outgoing]), SEND_SECONDS, _pool(queue.name))
    except TimeoutError as exc:
        raise SendError(f"queue {queue.name!r}: {exc}; it may have the message all the same") from exc
    if refused is not None:
        raise refused


@per_process
def _pool(_: str) -> Pool:
    """Return the threads of a queue's senders. Each queue has its own, so that one that hangs does not block others."""
    return Pool(MOST_SENDS, "peeklock-send")


_named: dict[str, str] = {}
"""Name of the queue whose address each variable holds."""


def sender_to(queue: Queue) -> Sender:
    """Return the sender of a queue's address in the environment. Raises ConfigError where there is none."""
    name = queue.variable("URL")
    first = _named.setdefault(name, queue.name)
    if first != queue.name:
        raise ConfigError(
            f"queues {first!r} and {queue.name!r} would share {name}, and so one address; rename one of them"
        )
    sender = from_variable(name, open_sender)
    if sender is None:
        raise ConfigError(f"{name} is not set: set it to the address of queue {queue.name!r}")
    return sender


@contextmanager
def routed(route: Route) -> Iterator[None]:
    """Make `send` take its sender from `route` within the context, not from the environment: for tests and replay."""
    token = _route.set(route)
    try:
        yield
    finally:
        _route.reset(token)


def dump(payload: Any) -> tuple[bytes, str]:
    """Return a payload's body and MIME type. Raises ConfigError for a payload that cannot be serialized."""
    if isinstance(payload, bytes):
        return payload, BINARY
    try:
        return (payload.encode(), TEXT) if isinstance(payload, str) else (_json(payload), JSON)
    except UnicodeEncodeError as exc:
        raise ConfigError(f"a payload with half of a surrogate pair cannot be encoded ({exc})") from exc
    except Exception as exc:
        raise ConfigError(
            f"a payload of type {type(payload).__name__} has no JSON form ({exc}); send a pydantic model, a dataclass,"
            " a dict, a list, str or bytes"
        ) from exc


def _json(payload: Any) -> bytes:
    """Return a payload as JSON: a model by its own method, and a dataclass by pydantic where that is installed, which knows
    dates and decimals. Raises ValueError for a number that is not finite."""
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

"""Delivery of messages to a handler, as a platform would do it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, TypedDict, Unpack

from peeklock.binding.option_checks import check_options
from peeklock.consuming.declaration import resolve
from peeklock.engine import run as engine
from peeklock.engine.bound_consumer import BoundConsumer, Delays
from peeklock.errors import ConfigError
from peeklock.idempotency.store import Store
from peeklock.keywords import strict
from peeklock.message import Lineage, Message
from peeklock.observability.observer import LogObserver, Observer
from peeklock.outcome import Outcome
from peeklock.outgoing import Sender
from peeklock.platform_registry import platform_named
from peeklock.queue import Queue
from peeklock.sending.memory import Outbox
from peeklock.sending.send import dump, routed
from peeklock.sending.strict_sender import StrictSender
from peeklock.stores.memory import MemoryStore
from peeklock.timing.clock import Clock, SystemClock
from peeklock.timing.delays import Seconds, seconds

STRICTEST = "sqs"
"""Platform whose rules hold where none is named. The others take what its queues take, except that Pub/Sub has no delays and
Cloud Tasks no groups."""


class DeliverOptions(TypedDict, total=False):
    """Options of `deliver` and `deliver_all`."""

    platform: str
    store: Store | None
    outbox: Sender | None
    dead_letters: Sender | None
    remaining: Seconds | None
    age: Seconds | None
    parallel: int
    clock: Clock | None
    observer: Observer | None


@strict(DeliverOptions)
def deliver(
    handler: Callable[..., Any],
    payload: Any,
    *,
    attempt: int = 1,
    id: str = "test-1",  # noqa: A002 - the field's word
    **options: Unpack[DeliverOptions],
) -> Outcome:
    """Deliver one message to a consumer, as a platform with native delays would, and return its outcome.

    - `payload`: the handler's argument (a model, a dataclass, a dict, ...), or `bytes` for a raw body.
    - `attempt`: 1-based; `attempt=5` is a message that failed four times before.
    - `id`: the message's id; the same id (or key) with the same `store` is a duplicate.
    - `store`: by default a new `MemoryStore`.
    - `outbox`: an `Outbox` that records the messages that the handler sends. A message that the queue would refuse fails as it
      would there, by the rules of `platform`, or else of SQS, the strictest: a delay of more than 15 minutes, any delay for a
      FIFO queue, or a group for a standard queue.
    - `dead_letters`: an `Outbox` that records the dead letter.
    - `remaining`: seconds that the platform leaves for the event.
    - `age`: seconds since the message was sent, for `max_age`.
    - `clock`, `observer`: by default those of a binding.
    """
    return deliver_all(handler, [payload], attempt=attempt, ids=[id], **options)[0]


@strict(DeliverOptions)
def deliver_all(
    handler: Callable[..., Any],
    payloads: Sequence[Any],
    *,
    attempt: int = 1,
    ids: Sequence[str] | None = None,
    groups: Sequence[str | None] | None = None,
    **options: Unpack[DeliverOptions],
) -> list[Outcome]:
    """Deliver several messages in one event, and return their outcomes in the same order.

    - `payloads`, `ids`, `groups`: one entry for each message.
    - `parallel`: number of handlers that run concurrently.

    The other options are those of `deliver`.
    """
    _check(options, attempt)
    store, remaining, outbox = options.get("store"), options.get("remaining"), options.get("outbox")
    names = ids or [f"test-{n}" for n in range(1, len(payloads) + 1)]
    group_names = groups or [None] * len(payloads)
    if not len(payloads) == len(names) == len(group_names):
        raise ConfigError(
            f"{len(payloads)} payloads, {len(names)} ids and {len(group_names)} groups: give one of each for every message"
        )
    bound = bound_for(
        handler,
        store=MemoryStore() if store is None else store,
        dead_letters=options.get("dead_letters"),
        parallel=options.get("parallel", 1),
        observer=options.get("observer"),
        clock=options.get("clock"),
    )
    age = options.get("age")
    sent = None if age is None else int((bound.clock.now() - seconds(age, "age")).timestamp() * 1000)
    messages = [
        _message(bound.queue, payload, name, group, attempt, sent)
        for payload, name, group in zip(payloads, names, group_names, strict=True)
    ]
    recorder = Outbox() if outbox is None else outbox
    left = None if remaining is None else seconds(remaining, "remaining")
    with routed(lambda queue: _queue(queue, recorder, options.get("platform"))):
        settled = engine.run(bound, messages, left)
    return [settlement.outcome for settlement in settled]


def _queue(queue: Queue, recorder: Sender, platform: str | None) -> StrictSender:
    hint = "" if platform else "; for another platform than SQS, use deliver(..., platform=...)"
    return StrictSender(queue=queue, sender=recorder, platform=platform or STRICTEST, hint=hint)


def _check(options: DeliverOptions, attempt: int) -> None:
    platform_named(options.get("platform", STRICTEST))
    if type(attempt) is not int or attempt < 1:
        raise ConfigError(f"attempt={attempt!r}: give the number of the attempt, 1 for the first")
    if isinstance(options.get("store"), str):
        raise ConfigError("store= takes no URL here: pass the store itself, such as store=MemoryStore()")
    check_options(options, DeliverOptions.__annotations__, "test")


def bound_for(
    handler: Callable[..., Any],
    *,
    store: Store | None = None,
    dead_letters: Sender | None = None,
    copies: Sender | None = None,
    delays: Delays = Delays.NATIVE,
    parallel: int = 1,
    clock: Clock | None = None,
    observer: Observer | None = None,
) -> BoundConsumer:
    """Bind a consumer to no platform, for tests of the engine itself."""
    consumer = resolve(handler)
    return BoundConsumer(
        platform="test",
        queue=consumer.queue,
        handler=consumer.handler,
        decode=consumer.decode,
        key=consumer.key,
        has_hooks=consumer.has_hooks,
        check_body=consumer.declared.check_body,
        results=consumer.results,
        fatal=consumer.declared.fatal,
        on_error=consumer.on_error,
        store=store,
        dead_letters=Outbox() if dead_letters is None else dead_letters,
        copies=copies,
        delays=delays,
        parallel=parallel,
        observer=LogObserver() if observer is None else observer,
        clock=SystemClock() if clock is None else clock,
        random=random.Random(0),  # noqa: S311 - tests need the same delay each time
    )


def _message(queue: Queue, payload: Any, name: str, group: str | None, attempt: int, sent: int | None) -> Message:
    body, content_type = dump(payload)
    return Message(
        id=name,
        body=body,
        queue=queue.name,
        delivery=attempt,
        attempt=attempt,
        group=group,
        content_type=content_type,
        lineage=Lineage(id=name, attempts=attempt - 1, sent=sent),
        native_id=name,
    )

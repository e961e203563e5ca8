"""Deliver messages to a handler, as a platform would, and return what became of each."""

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
from peeklock.queue import Queue
from peeklock.registry import platform_named
from peeklock.sending.memory import Outbox
from peeklock.sending.send import dump, routed
from peeklock.sending.strict_sender import StrictSender
from peeklock.stores.memory import MemoryStore
from peeklock.timing.clock import Clock, SystemClock
from peeklock.timing.delays import Seconds, seconds

STRICTEST = "sqs"
"""The platform whose rules hold where none is named: what its queues take, those of the others take as well, but for Pub/Sub,
which delays nothing, and Cloud Tasks, which has no groups."""


class DeliverOptions(TypedDict, total=False):
    """What `deliver` and `deliver_all` take besides the messages."""

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
    """Deliver one message to a consumer, as a platform with native delays would, and return how it ended.

    - `payload`: what the handler takes (a model, a dataclass, a dict, ...), or `bytes` for a body as it is.
    - `attempt`: 1-based; `attempt=5` is a message that failed four times before.
    - `id`: the message's id; the same id (or key) with the same `store` is a duplicate.
    - `store`: a fresh `MemoryStore` unless given. `outbox`: an `Outbox` that records what the handler sends.
      A message that the queue would refuse fails as it would there, by the rules of `platform`, or of SQS, the
      strictest, where none is named: a delay of more than 15 minutes, or any for a FIFO queue, or a group for another.
      `dead letters`: another that records its dead letter. `remaining`: seconds that the platform leaves. `age`: seconds since it
      was sent, for `max_age`. `clock`, `observer`.
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
    """Deliver several messages in one event, as `deliver` does one; their outcomes in the same order. `groups`: the
    group of each. `parallel`: how many of them run at once."""
    _check(options, attempt)
    store, remaining, outbox = options.get("store"), options.get("remaining"), options.get("outbox")
    names = ids or [f"test-{n}" for n in range(1, len(payloads) + 1)]
    places = groups or [None] * len(payloads)
    if not len(payloads) == len(names) == len(places):
        raise ConfigError(
            f"{len(payloads)} payloads, {len(names)} ids and {len(places)} groups: give one of each a message"
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
        for payload, name, group in zip(payloads, names, places, strict=True)
    ]
    recorder = Outbox() if outbox is None else outbox
    left = None if remaining is None else seconds(remaining, "remaining")
    with routed(lambda queue: _queue(queue, recorder, options.get("platform"))):
        settled = engine.run(bound, messages, left)
    return [one.outcome for one in settled]


def _queue(queue: Queue, recorder: Sender, platform: str | None) -> StrictSender:
    hint = "" if platform else "; where it is no queue of SQS, say so: deliver(..., platform=...)"
    return StrictSender(queue=queue, sender=recorder, platform=platform or STRICTEST, hint=hint)


def _check(options: DeliverOptions, attempt: int) -> None:
    platform_named(options.get("platform", STRICTEST))
    if type(attempt) is not int or attempt < 1:
        raise ConfigError(f"attempt={attempt!r}: give the number of the attempt, 1 for the first")
    if isinstance(options.get("store"), str):
        raise ConfigError("store= takes no address here: give the store itself, such as store=MemoryStore()")
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
    """A consumer bound to no platform, for tests of the engine itself."""
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
        random=random.Random(0),  # noqa: S311 - a test wants the same delay each time
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

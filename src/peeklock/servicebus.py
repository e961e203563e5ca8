"""Azure Service Bus under Azure Functions (Python v2 model): `servicebus.bind(charge, app=app)`.

The host settles: it completes what the function returned from and abandons what it raised for, a batch only as a whole.
So failures leave as scheduled copies and letters, and one of them does not bring the others back. Where the worker
offers message actions, each message is settled by itself.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Unpack

from peeklock import servicebus_events, servicebus_send
from peeklock.binding import Binding, Options, mark
from peeklock.delays import Seconds, seconds
from peeklock.errors import ConfigError, EventError, Redeliver, SendError
from peeklock.message import TRAIL, Message, Trail
from peeklock.observe import Settled, record
from peeklock.parcel import REASON, Parcel
from peeklock.plan import RESERVE, Delays
from peeklock.queue import LONGEST_TIMEOUT
from peeklock.registry import missing

from_url = servicebus_send.from_url
recognises = servicebus_events.recognises

MAX_LOCK = timedelta(minutes=5)
# A batch's locks are not renewed, and no lock is longer.
# https://learn.microsoft.com/azure/service-bus-messaging/message-transfers-locks-settlement

DEFAULT_LOCK = timedelta(minutes=1)
# As MAX_LOCK.

DEFAULT_HOLD = 20
"""Seconds for which a message that must come back is held at most, since the host would deliver it again at once."""

MAX_DESCRIPTION = 4096
# https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas


def bind(
    function: Callable[..., Any],
    *,
    app: Any,
    queue_name: str | None = None,
    topic_name: str | None = None,
    subscription_name: str | None = None,
    connection: str = servicebus_send.CONNECTION,
    batch: bool = False,
    sessions: bool = False,
    actions: type | None = None,
    hold: Seconds = DEFAULT_HOLD,
    **options: Unpack[Options],
) -> Callable[..., Any]:
    """Register a consumer on a `func.FunctionApp` as a Service Bus trigger, and return the function that was registered.

    - `queue_name`: the queue's name at Azure, or an app setting as `%NAME%`; else the declared one. For a subscription
      give `topic_name` and `subscription_name`: a delayed copy would reach all subscriptions of the topic, so name with
      `queue=` the queue to which copies go, or delays are the host's.
    - `connection`: the app setting that says how to connect.
    - `batch`: many messages an event. Needs a store or `actions`, without which one failure would run all again.
    - `sessions`: the queue has sessions; order is kept, and a delay is waited out inside the lock.
    - `actions`: the class `ServiceBusMessageActions`, where the worker offers it (Python 3.13 and newer): messages are
      settled one by one, and dead-lettered natively.
    - `hold`: how long, at most, a message is held before it is abandoned.

    Raises ConfigError for a declaration that cannot work here; at the first event, where the environment does not fit.
    """
    if topic_name is not None and subscription_name is None:
        raise ConfigError(f"topic_name={topic_name!r} needs subscription_name= as well")
    if actions is not None:
        options.setdefault("dead_letter", _Natively(None))
    binding = Binding(
        function,
        "servicebus",
        delays=_delays(sessions=sessions, copies=topic_name is None or "queue" in options),
        longest=MAX_LOCK if batch else LONGEST_TIMEOUT + RESERVE,
        options=options,
    )
    door = _Door(binding, batch=batch, sessions=sessions, hold=seconds(hold, "hold"), can_settle=actions is not None)
    entry = mark(_entry(door, actions), binding)
    settings: dict[str, Any] = {
        "arg_name": "messages",
        "connection": connection,
        "data_type": "BINARY",  # anything else lets the host interpret bodies, and their keys overwrite metadata
        "cardinality": "many" if batch else "one",
        "is_sessions_enabled": sessions,
        "auto_complete_messages": actions is None,
    }
    if topic_name is None:
        app.service_bus_queue_trigger(queue_name=queue_name or binding.queue.name, **settings)(entry)
    else:
        topic = {"topic_name": topic_name, "subscription_name": subscription_name}
        app.service_bus_topic_trigger(**topic, **settings)(entry)
    return entry


def _delays(*, sessions: bool, copies: bool) -> Delays:
    if sessions:
        return Delays.NATIVE
    return Delays.COPY if copies else Delays.NONE


def _entry(door: _Door, actions: type | None) -> Callable[..., Any]:
    """A function as the worker's indexing wants it: a plain one, whose signature is exactly its bindings."""
    try:
        import azure.functions as func
    except ImportError as exc:
        raise missing(exc) from exc
    from typing import List  # noqa: UP035 - the worker refuses `list[...]` as "not a type"

    entry: Callable[..., Any]
    if door.binding.is_async:

        async def entry_async(**given: Any) -> None:
            await door.enter_async(given["messages"], given.get("actions"))

        entry = entry_async
    else:

        def entry_sync(**given: Any) -> None:
            door.enter(given["messages"], given.get("actions"))

        entry = entry_sync
    hints: dict[str, Any] = {"messages": List[func.ServiceBusMessage] if door.batch else func.ServiceBusMessage}  # noqa: UP006 - as above
    if actions is not None:
        hints["actions"] = actions
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, kind, annotation=hint) for name, hint in hints.items()]
    vars(entry)["__signature__"] = inspect.Signature(parameters)
    entry.__annotations__ = dict(hints)
    entry.__name__ = entry.__qualname__ = door.binding.consumer.name.rpartition(".")[2]
    return entry


class _Door:
    """Where the host's events come in."""

    def __init__(self, binding: Binding, *, batch: bool, sessions: bool, hold: timedelta, can_settle: bool) -> None:
        self.binding = binding
        self.batch = batch
        self.sessions = sessions
        self.hold = hold
        self.can_settle = can_settle

    def enter(self, event: Any, actions: Any) -> None:
        messages, natively, changes = self._open(event, actions)
        settled = self.binding.run(messages, self._lock(), **changes)
        wait = self._wait(settled)
        if wait:
            time.sleep(wait)
        _settle(settled, actions, natively)

    async def enter_async(self, event: Any, actions: Any) -> None:
        import asyncio

        messages, natively, changes = self._open(event, actions)
        settled = await self.binding.run_async(messages, self._lock(), **changes)
        await asyncio.sleep(self._wait(settled))
        _settle(settled, actions, natively)

    def _open(self, event: Any, actions: Any) -> tuple[list[Message], _Natively, dict[str, Any]]:
        if self.batch and not self.can_settle and self.binding.plan().store is None:
            raise ConfigError(
                f"queue {self.binding.queue.name!r}: batch=True needs a store, since the host abandons a batch only as a"
                " whole; set PEEKLOCK_STORE or pass store=, or pass actions= where the worker has them"
            )
        natively = _Natively(actions)
        changes = {"letters": natively} if isinstance(self.binding.plan().letters, _Natively) else {}
        return receive(event, self.binding.queue.name, sessions=self.sessions), natively, changes

    def _lock(self) -> timedelta | None:
        return self.binding.lock(DEFAULT_LOCK if self.batch else None)

    def _wait(self, settled: Sequence[Settled]) -> float:
        """Seconds to hold what comes back: its delay, or where it has none, longer with each delivery."""
        waits = [
            2.0 ** min(one.message.delivery - 1, 10) if one.outcome.delay is None else one.outcome.delay.total_seconds()
            for one in settled
            if not one.outcome.finished
        ]
        return min(max(waits, default=0.0), self.hold.total_seconds())


class _Natively:
    """Dead-letters by the host's own action. The message is settled then, and must not be settled again."""

    def __init__(self, actions: Any) -> None:
        self.actions = actions
        self.settled: set[int] = set()

    def send(self, parcels: Sequence[Parcel], /) -> Sequence[SendError | None]:
        return [self._send(parcel) for parcel in parcels]

    def _send(self, parcel: Parcel) -> SendError | None:
        raw = parcel.origin.raw if parcel.origin is not None else None
        reason = str(parcel.attributes.get(REASON, ""))
        detail = str(parcel.attributes.get("peeklock-detail", ""))[:MAX_DESCRIPTION]
        try:
            self.actions.deadletter(raw, reason, detail)
        except Exception as exc:  # noqa: BLE001 - whatever the worker raises: not known to be there
            return SendError(f"deadletter: {exc}")
        self.settled.add(id(raw))
        return None


def _settle(settled: Sequence[Settled], actions: Any, natively: _Natively) -> None:
    """Tell the host. Without actions it listens to one word for all."""
    if actions is not None:
        for one in settled:
            if id(one.message.raw) not in natively.settled:
                _settle_one(one, actions)
        return
    back = [one.message.id for one in settled if not one.outcome.finished]
    if back:
        raise Redeliver(f"{len(back)} of {len(settled)} messages must come back, the first is {back[0]!r}")


def _settle_one(one: Settled, actions: Any) -> None:
    try:
        if one.outcome.finished:
            actions.complete(one.message.raw)
        else:
            actions.abandon(one.message.raw)
    except Exception as exc:  # noqa: BLE001 - its lock runs out, and it comes back; the others must be settled
        told = {"queue": one.message.queue, "message_id": one.message.id, "error": type(exc).__name__}
        record("peeklock.settle_failed %s", told, error=exc)


def receive(event: Any, queue_name: str, *, sessions: bool = False) -> list[Message]:
    """The messages of a trigger's argument. Raises EventError for anything else."""
    many = isinstance(event, list)
    raws = event if many else [event]
    if not raws:
        raise EventError("not a Service Bus event: the batch is empty")
    columns = _columns(raws[0], len(raws)) if many else None
    return [_message(raw, queue_name, columns, sessions=sessions) for raw in raws]


def _columns(raw: Any, count: int) -> frozenset[str]:
    """The text columns of a batch that can be trusted. The host drops empty entries, so that a shorter one is shifted:
    https://github.com/Azure/azure-functions-python-worker/issues/1122"""
    metadata = getattr(raw, "metadata", None) or {}
    texts = ("SessionId", "ContentType")
    arrays = {name: metadata.get(f"{name}Array") for name in texts}
    return frozenset(name for name, array in arrays.items() if isinstance(array, list) and len(array) == count)


def _message(raw: Any, queue_name: str, columns: frozenset[str] | None, *, sessions: bool) -> Message:
    if not hasattr(raw, "get_body") or not hasattr(raw, "application_properties"):
        raise EventError(f"not a Service Bus message: {type(raw).__name__}; is data_type BINARY and the trigger ours?")
    properties = raw.application_properties if isinstance(raw.application_properties, dict) else {}

    def text(column: str, value: object) -> str | None:
        trusted = columns is None or column in columns
        return value if trusted and isinstance(value, str) and value else None

    native_id = (text("MessageId", raw.message_id) if columns is None else None) or _sequence(raw)
    trail = _trail(properties, native_id)
    delivery = raw.delivery_count if type(raw.delivery_count) is int and raw.delivery_count > 0 else 1
    return Message(
        id=trail.id if trail else native_id,
        body=raw.get_body(),
        queue=queue_name,
        delivery=delivery,
        attempt=delivery + (trail.attempts if trail else 0),
        group=text("SessionId", raw.session_id) if sessions else None,
        sent_ms=_millis(raw.enqueued_time_utc),
        attributes={name: _plain(value) for name, value in properties.items() if not _ours(name)},
        content_type=text("ContentType", raw.content_type),
        trail=trail,
        native_id=native_id,
        raw=raw,
    )


def _sequence(raw: Any) -> str:
    """The queue's own number of a message, which stays the same over its deliveries. In a batch the message ids would
    not: the column can be trusted or not, depending on which messages share the batch."""
    if type(raw.sequence_number) is not int:
        raise EventError("not a Service Bus message: it has neither a message id nor a sequence number")
    return f"seq-{raw.sequence_number}"


def _trail(properties: dict[str, Any], native_id: str) -> Trail | None:
    """A message that was dead-lettered natively and put back says so; its trail could not be changed on the way."""
    text = properties.get(TRAIL)
    trail = Trail.load(text) if isinstance(text, str) else None
    if "DeadLetterReason" in properties:
        return (trail or Trail(id=native_id)).letter()
    return trail


def _ours(name: str) -> bool:
    return name.startswith((TRAIL, "DeadLetter"))


def _plain(value: object) -> str | bytes:
    return value if isinstance(value, (str, bytes)) else str(value)


def _millis(moment: datetime | None) -> int | None:
    """The host sends times without their zone, which is UTC."""
    if moment is None:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1000)


def rehearse(function: Callable[..., Any], event: Any, **options: Unpack[Options]) -> object:
    """Run a sample event, the host's invocation request as JSON, and return what the host would be told."""
    trigger = servicebus_events.load(event)
    import azure.functions as func

    entry = bind(function, app=func.FunctionApp(), batch=trigger.batch, sessions=trigger.sessions, hold=0, **options)
    try:
        returned = entry(messages=trigger.argument)
        if inspect.iscoroutine(returned):
            from peeklock import loop

            loop.run(returned)
    except Redeliver:
        return {"raises": "Redeliver"}
    return None


__all__ = ["bind", "from_url", "receive", "recognises", "rehearse"]

"""Azure Service Bus under Azure Functions (Python v2 model): `servicebus.bind(charge, app=app)`.

The host settles: it completes the messages of a function that returns, and abandons those of one that raises, a batch only as a
whole. So failed messages leave as scheduled copies and dead letters, and do not bring the others back. With message actions,
each message is settled on its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Unpack

from peeklock.binding.bind import Binding, Options, mark
from peeklock.consuming.declaration import declaration
from peeklock.engine.bound_consumer import RESERVE, Delays
from peeklock.errors import ConfigError, Redeliver
from peeklock.keywords import check_flags
from peeklock.platforms.servicebus import sample_events, settle
from peeklock.platforms.servicebus.client import CONNECTION
from peeklock.platforms.servicebus.endpoint import MAX_LOCK, Endpoint
from peeklock.platforms.servicebus.receive import receive
from peeklock.platforms.servicebus.sender import from_url
from peeklock.platforms.servicebus.settle import NativeDeadLetterSender
from peeklock.queue import LONGEST_TIMEOUT
from peeklock.registry import missing
from peeklock.timing.delays import Seconds, seconds

matches = sample_events.matches
source_of = sample_events.function_of

SHAPE = 'the host\'s InvocationRequest as JSON, {"inputData": [...], "triggerMetadata": {...}}'

SOURCE = "function"

DEFAULT_HOLD = 20
"""Longest time in seconds for which a message that must come back is held, since the host would deliver it again at once."""


def bind(
    function: Callable[..., Any],
    *,
    app: Any,
    queue_name: str | None = None,
    topic_name: str | None = None,
    subscription_name: str | None = None,
    connection: str = CONNECTION,
    batch: bool = False,
    sessions: bool = False,
    actions: bool | type = False,
    hold: Seconds = DEFAULT_HOLD,
    name: str | None = None,
    **options: Unpack[Options],
) -> Callable[..., Any]:
    """Register a consumer on a `func.FunctionApp` as a Service Bus trigger, and return the registered function.

    - `queue_name`: the queue's name on Azure, or an app setting as `%NAME%`. By default the declared name.
    - `topic_name`, `subscription_name`: the subscription to receive from. A delayed copy would reach all subscriptions of the
      topic: name with `queue=` a queue to which copies go, and bind it as well. Without it there are no delays.
    - `connection`: the app setting with the connection.
    - `batch`: receive many messages per event. Needs a store or `actions`, without which one failure would run all again.
    - `sessions`: the queue has sessions. Order is kept, and a delay is waited out inside the lock, up to `hold`.
    - `actions`: settle each message on its own, and dead-letter by the broker, by the worker's `ServiceBusMessageActions`: True
      or the class itself. Needs Python 3.13 or newer and the package azurefunctions-extensions-bindings-servicebus.
    - `hold`: longest time for which a message is held before it is abandoned. The host's functionTimeout must leave room for
      it after the queue's `timeout`.
    - `name`: the function's name in the app. By default the consumer's own.

    Raises ConfigError for a declaration that cannot work on Service Bus, and at the first event where the environment does not
    fit the declaration.
    """
    if not hasattr(app, "service_bus_queue_trigger"):
        raise ConfigError(f"app={type(app).__name__}: pass the func.FunctionApp on which to register the function")
    check_flags("servicebus.bind()", batch=batch, sessions=sessions, actions=isinstance(actions, type) or actions)
    if actions is not False:
        options.setdefault("dead_letter", NativeDeadLetterSender(None))
    copies = topic_name is None or "queue" in options
    binding = Binding(
        function,
        "servicebus",
        delays=Delays.NATIVE if sessions else Delays.COPY if copies else Delays.NONE,
        longest=MAX_LOCK if batch else LONGEST_TIMEOUT + RESERVE,
        options=options,
    )
    _check_order(binding, sessions=sessions)
    trigger = _trigger(app, binding, queue_name, topic_name, subscription_name)
    entity = topic_name or queue_name or binding.queue.name
    endpoint = Endpoint(
        binding,
        batch=batch,
        sessions=sessions,
        hold=_duration(hold),
        can_settle=actions is not False,
        entity=f"{entity}/{subscription_name}" if topic_name else entity,
        own=entity if connection == CONNECTION else "",
        subscribed=topic_name is not None,
    )
    entry = mark(_entry(endpoint, settle.actions_class(actions), name), binding)
    trigger(
        arg_name="messages",
        connection=connection,
        data_type="BINARY",  # with other types the host interprets bodies, and their keys overwrite metadata
        cardinality="many" if batch else "one",
        is_sessions_enabled=sessions,
        auto_complete_messages=actions is False,
    )(entry)
    return entry


def _duration(hold: Seconds) -> timedelta:
    try:
        return seconds(hold, "hold=")
    except (TypeError, ValueError) as exc:
        raise ConfigError(str(exc)) from exc


def _check_order(binding: Binding, *, sessions: bool) -> None:
    if binding.queue.fifo and not sessions:
        raise ConfigError(
            f"queue {binding.queue.name!r} is fifo, and on Service Bus only sessions keep an order: use bind(..., sessions=True)"
            " with a queue that requires sessions"
        )


def _trigger(
    app: Any, binding: Binding, queue_name: str | None, topic_name: str | None, subscription_name: str | None
) -> Callable[..., Any]:
    """Return the app's decorator for a queue or a subscription. Raises ConfigError for half a subscription, or for both."""
    source: dict[str, str | None] = {"topic_name": topic_name, "subscription_name": subscription_name}
    if topic_name is None and subscription_name is None:
        return lambda **rest: app.service_bus_queue_trigger(queue_name=queue_name or binding.queue.name, **rest)
    if topic_name is None or subscription_name is None:
        raise ConfigError(f"topic_name={topic_name!r} needs subscription_name= as well, and the other way round")
    if queue_name is not None:
        raise ConfigError(f"give queue_name={queue_name!r}, or topic_name= with subscription_name=, not both")
    if binding.queue.exact_delay and binding.delays is Delays.NONE:
        raise ConfigError(
            f"queue {binding.queue.name!r}: first_delay= cannot be kept for a topic, since copies would reach all of its"
            " subscriptions; name with queue= the queue to which copies go, or leave first_delay out"
        )
    return lambda **rest: app.service_bus_topic_trigger(**source, **rest)


def _entry(endpoint: Endpoint, actions: type | None, name: str | None) -> Callable[..., Any]:
    """Return an entry function for the worker's indexing: a plain function whose parameters are exactly its bindings."""
    try:
        import azure.functions as func
    except ImportError as exc:
        raise missing(exc) from exc
    from typing import List  # noqa: UP035 - the worker refuses `list[...]` as "not a type"

    entry: Callable[..., Any]
    if endpoint.binding.is_async:

        async def entry_async(**arguments: Any) -> None:
            await endpoint.enter_async(arguments["messages"], arguments.get("actions"))

        entry = entry_async
    else:

        def entry_sync(**arguments: Any) -> None:
            endpoint.enter(arguments["messages"], arguments.get("actions"))

        entry = entry_sync
    hints: dict[str, Any] = {"messages": List[func.ServiceBusMessage] if endpoint.batch else func.ServiceBusMessage}  # noqa: UP006 - as above
    if actions is not None:
        hints["actions"] = actions
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(argument, kind, annotation=hint) for argument, hint in hints.items()]
    vars(entry)["__signature__"] = inspect.Signature(parameters)
    entry.__annotations__ = dict(hints)
    entry.__name__ = entry.__qualname__ = name or endpoint.binding.consumer.name.rpartition(".")[2]
    return entry


def run_sample(function: Callable[..., Any], event: Any, **options: Unpack[Options]) -> object:
    """Run a sample event, the host's invocation request as JSON, and return the answer to the host. Never holds a message."""
    trigger = sample_events.load(event)
    import azure.functions as func

    sessions = trigger.sessions or declaration(function).queue.fifo
    entry = bind(function, app=func.FunctionApp(), batch=trigger.batch, sessions=sessions, hold=0, **options)
    try:
        returned = entry(messages=trigger.argument)
        if inspect.iscoroutine(returned):
            from peeklock.concurrency import event_loop

            event_loop.run(returned)
    except Redeliver:
        return {"raises": "Redeliver"}
    return None


__all__ = ["SHAPE", "SOURCE", "bind", "from_url", "matches", "receive", "run_sample", "source_of"]

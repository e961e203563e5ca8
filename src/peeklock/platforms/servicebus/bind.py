"""Azure Service Bus under Azure Functions (Python v2 model): `servicebus.bind(charge, app=app)`.

The host settles: it completes what the function returned from and abandons what it raised for, a batch only as a whole.
So failures leave as scheduled copies and dead letters, and one of them does not bring the others back. Where the worker
offers message actions, each message is settled by itself.
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
"""Seconds for which a message that must come back is held at most, since the host would deliver it again at once."""


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
    """Register a consumer on a `func.FunctionApp` as a Service Bus trigger, and return the function that was registered.

    - `queue_name`: the queue's name at Azure, or an app setting as `%NAME%`; else the declared one. For a subscription
      give `topic_name` and `subscription_name`: a delayed copy would reach all subscriptions of the topic, so name with
      `queue=` the queue to which copies go, and bind it as well; or else delays are the host's, which has none.
    - `connection`: the app setting that says how to connect.
    - `batch`: many messages an event. Needs a store or `actions`, without which one failure would run all again.
    - `sessions`: the queue has sessions; order is kept, and a delay is waited out inside the lock, up to `hold`.
    - `actions`: settle messages one by one, and dead-letter natively, by the worker's `ServiceBusMessageActions`: True,
      or the class itself. Python 3.13 and newer, and the package azurefunctions-extensions-bindings-servicebus.
    - `hold`: how long, at most, a message is held before it is abandoned. The host's functionTimeout has to leave room
      for it after the queue's `timeout`.
    - `name`: the function's name in the app; else the consumer's own.

    Raises ConfigError for a declaration that cannot work here; at the first event, where the environment does not fit.
    """
    if not hasattr(app, "service_bus_queue_trigger"):
        raise ConfigError(f"app={type(app).__name__}: give the func.FunctionApp on which the function is registered")
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
    own = topic_name or queue_name or binding.queue.name
    endpoint = Endpoint(
        binding,
        batch=batch,
        sessions=sessions,
        hold=_duration(hold),
        can_settle=actions is not False,
        entity=f"{own}/{subscription_name}" if topic_name else own,
        own=own if connection == CONNECTION else "",
        subscribed=topic_name is not None,
    )
    entry = mark(_entry(endpoint, settle.actions_class(actions), name), binding)
    trigger(
        arg_name="messages",
        connection=connection,
        data_type="BINARY",  # anything else lets the host interpret bodies, and their keys overwrite metadata
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
            f"queue {binding.queue.name!r} is fifo, and on Service Bus only sessions keep an order: bind it with"
            " sessions=True, to a queue that requires sessions"
        )


def _trigger(
    app: Any, binding: Binding, queue_name: str | None, topic_name: str | None, subscription_name: str | None
) -> Callable[..., Any]:
    """The app's decorator for where the messages come from. Raises ConfigError for half of it, or for two places."""
    source: dict[str, str | None] = {"topic_name": topic_name, "subscription_name": subscription_name}
    if topic_name is None and subscription_name is None:
        return lambda **rest: app.service_bus_queue_trigger(queue_name=queue_name or binding.queue.name, **rest)
    if topic_name is None or subscription_name is None:
        raise ConfigError(f"topic_name={topic_name!r} needs subscription_name= as well, and the other way round")
    if queue_name is not None:
        raise ConfigError(f"give queue_name={queue_name!r}, or topic_name= with subscription_name=, not both")
    if binding.queue.exact_delay and binding.delays is Delays.NONE:
        raise ConfigError(
            f"queue {binding.queue.name!r}: first_delay= cannot be kept for a topic, whose copies would reach all of its"
            " subscriptions; name with queue= the queue to which copies go, or leave first_delay out"
        )
    return lambda **rest: app.service_bus_topic_trigger(**source, **rest)


def _entry(endpoint: Endpoint, actions: type | None, name: str | None) -> Callable[..., Any]:
    """A function as the worker's indexing wants it: a plain one, whose signature is exactly its bindings."""
    try:
        import azure.functions as func
    except ImportError as exc:
        raise missing(exc) from exc
    from typing import List  # noqa: UP035 - the worker refuses `list[...]` as "not a type"

    entry: Callable[..., Any]
    if endpoint.binding.is_async:

        async def entry_async(**given: Any) -> None:
            await endpoint.enter_async(given["messages"], given.get("actions"))

        entry = entry_async
    else:

        def entry_sync(**given: Any) -> None:
            endpoint.enter(given["messages"], given.get("actions"))

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
    """Run a sample event, the host's invocation request as JSON, and return what the host would be told. Waits for
    nothing."""
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

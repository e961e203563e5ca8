"""Every bound entry point, and what each platform hears of an event."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from peeklock import cloudtasks, pubsub, servicebus, sqs
from peeklock.errors import EventError, Redeliver
from peeklock.platforms.cloudtasks import sender as cloudtasks_send
from peeklock.platforms.http_push import endpoint as push
from peeklock.platforms.pubsub import sender as pubsub_send
from peeklock.platforms.servicebus import sender as servicebus_send
from peeklock.platforms.sqs import sender as sqs_send
from peeklock.unwrap import cloudevents, sns
from tests.fuzz import handlers
from tests.fuzz.services import SQS, Bus, Tasks, Topic
from tests.fuzz.stage import Box, Stage

Say = Callable[[Any], Any]
"""Gives an event to an entry point, and returns what the platform hears."""

REFUSED = "refused"
"""The event is none of the platform's, and nothing was settled."""


@dataclass(frozen=True)
class Entry:
    """An entry point by its name, for reports."""

    name: str
    say: Say
    batch: bool = False
    """A batch handler answers by ids, which two messages may share."""
    actions: bool = False
    """The host is told of each message by itself."""


KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "dict": (handlers.of_dict, {}),
    "dict async": (handlers.of_dict_async, {}),
    "keyed": (handlers.keyed, {}),
    "keyed async": (handlers.keyed_async, {}),
    "bytes": (handlers.of_bytes, {}),
    "text": (handlers.of_text, {}),
    "never again": (handlers.never_again, {}),
    "batch": (handlers.of_batches, {}),
    "sns": (handlers.of_dict, {"unwrap": sns}),
    "cloudevents": (handlers.of_bytes, {"unwrap": cloudevents}),
}
NEED_A_STORE = ("keyed", "keyed async", "text")

BARE = tuple(name for name in KINDS if name not in NEED_A_STORE)
"""Kinds that also run without a store."""


def variants(stage: Stage) -> list[tuple[str, Any, dict[str, Any]]]:
    """Name, consumer and options of each kind, with a store and without one."""
    stored = [(f"{name}, stored", kind, {**stage.options(stored=True), **more}) for name, (kind, more) in KINDS.items()]
    bare = [(name, KINDS[name][0], {**stage.options(stored=False), **KINDS[name][1]}) for name in BARE]
    return [*stored, *bare]


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    """The process's loop, made when it is first needed: two forks of one process must not share its selector."""
    return asyncio.new_event_loop()


def run(coroutine: Any) -> Any:
    return _loop().run_until_complete(coroutine)


# -- SQS


def on_sqs() -> tuple[Stage, list[Entry]]:
    dead_letters, copies, client = SQS(), SQS(), SQS()
    url = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders"
    stage = Stage(
        Box(lambda: sqs_send.SQSSender(f"{url}-letters", dead_letters), dead_letters),
        Box(lambda: sqs_send.SQSSender(url, copies), copies),
    )
    return stage, [
        Entry(name, _say_sqs(sqs.bind(kind, client=client, **options), client), "batch" in name)
        for name, kind, options in variants(stage)
    ]


def _say_sqs(entry: Any, client: SQS) -> Say:
    def say(event: Any) -> Any:
        client.visibilities = []
        try:
            return {**entry(event, None), "visibilities": client.visibilities}
        except EventError:
            return REFUSED

    return say


# -- pushes


class Request:
    """A Flask request."""

    def __init__(self, request: push.Request) -> None:
        self.headers = request.headers
        self.data = request.body
        self.method = request.method

    def get_data(self) -> bytes:
        return self.data


def _say_push(entry: Any) -> Say:
    def say(event: Any) -> Any:
        try:
            request = Request(push.sample(event))
        except (EventError, AttributeError):
            return REFUSED
        status = entry(request)[1]
        return REFUSED if status == push.BAD else status

    return say


def on_cloudtasks() -> tuple[Stage, list[Entry]]:
    tasks = Tasks()
    address = "cloudtasks://projects/p/locations/l/queues/orders?target=https://orders.example/"
    dead_letters, copies = (
        Box(functools.partial(cloudtasks.from_url, address + path), tasks) for path in ("dead", "run")
    )
    stage = Stage(dead_letters, copies, {cloudtasks_send: tasks})
    return stage, _pushes(cloudtasks.bind, stage)


def on_pubsub() -> tuple[Stage, list[Entry]]:
    topic = Topic()
    address = "pubsub://projects/p/topics/"
    dead_letters, copies = (
        Box(functools.partial(pubsub_send.from_url, address + name), topic) for name in ("dead", "orders")
    )
    stage = Stage(dead_letters, copies, {pubsub_send: topic})
    return stage, _pushes(pubsub.bind, stage)


def _pushes(bind: Any, stage: Stage) -> list[Entry]:
    return [
        Entry(name, _say_push(bind(kind, unauthenticated=True, **options)), "batch" in name)
        for name, kind, options in variants(stage)
    ]


# -- Service Bus


class Actions:
    """The worker's message actions."""

    def __init__(self) -> None:
        self.settlements: list[tuple[str, int]] = []

    def complete(self, message: Any) -> None:
        self.settlements.append(("complete", id(message)))

    def abandon(self, message: Any) -> None:
        self.settlements.append(("abandon", id(message)))

    def deadletter(self, message: Any, reason: str, description: str) -> None:
        assert len(reason) <= 4096
        assert len(description) <= 4096
        (reason + description).encode()  # AMQP's strings are UTF-8
        self.settlements.append(("dead_letter", id(message)))


def on_servicebus() -> tuple[Stage, list[Entry]]:
    bus = Bus()
    stage = Stage(
        *(
            Box(functools.partial(servicebus_send.ServiceBusSender, name, lambda: bus), bus)
            for name in ("dead", "copies")
        )
    )
    return stage, [*_buses(stage, actions=False), *_buses(stage, actions=True)]


def _buses(stage: Stage, *, actions: bool) -> list[Entry]:
    return [
        Entry(
            f"{name}{', sessions' * sessions}{', actions' * actions}",
            _say_bus(kind, options, sessions=sessions, actions=actions),
            "batch" in name,
            actions,
        )
        for sessions in (False, True)
        for name, kind, options in variants(stage)
    ]


def _say_bus(kind: Any, options: dict[str, Any], *, sessions: bool, actions: bool) -> Say:
    import azure.functions as func

    from peeklock.platforms.servicebus import sample_events as servicebus_events

    more: dict[str, Any] = {"hold": 0, "sessions": sessions, **options}
    if actions:
        more = {**more, "actions": Actions}
        del more["dead_letter"]
    bound = {}
    for batch in (False, True):
        if "store" in options or actions or not batch:
            bound[batch] = servicebus.bind(kind, app=func.FunctionApp(), batch=batch, **more)

    def say(event: Any) -> Any:
        try:
            trigger = servicebus_events.load(event)
            entry = bound[trigger.batch]
        except (EventError, KeyError):
            return REFUSED
        return _answer(entry, trigger.argument, actions=actions)

    return say


def _answer(entry: Any, argument: Any, *, actions: bool) -> Any:
    host_actions = Actions()
    arguments = {"messages": argument, "actions": host_actions} if actions else {"messages": argument}
    try:
        returned = entry(**arguments)
        if returned is not None:
            returned = run(returned)
    except Redeliver:
        return "raised"
    except EventError:
        return REFUSED
    assert returned is None, "the host refuses a value"
    return host_actions.settlements if actions else "returned"


PLATFORMS: dict[str, Callable[[], tuple[Stage, list[Entry]]]] = {
    "sqs": on_sqs,
    "servicebus": on_servicebus,
    "cloudtasks": on_cloudtasks,
    "pubsub": on_pubsub,
}

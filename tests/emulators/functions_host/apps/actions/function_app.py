"""Functions that settle messages themselves, with the real extension or its stand-in."""

import os
from typing import List  # noqa: UP035 - the worker takes no other

import azure.functions as func

if os.environ["EXTENSION"] == "real":
    from azurefunctions.extensions.bindings.servicebus import ServiceBusMessageActions
else:
    from actions import ServiceBusMessageActions

app = func.FunctionApp()


def abandon_once(message: func.ServiceBusMessage, actions: ServiceBusMessageActions) -> None:
    if message.delivery_count < 2:
        actions.abandon(message)


def complete_and_fail(message: func.ServiceBusMessage, actions: ServiceBusMessageActions) -> None:
    actions.complete(message)
    raise ValueError("after it was completed")


def complete_twice(message: func.ServiceBusMessage, actions: ServiceBusMessageActions) -> None:
    actions.complete(message)
    actions.complete(message)


def keep_state(message: func.ServiceBusMessage, actions: ServiceBusMessageActions) -> None:
    actions.set_session_state(message.session_id, b"half")
    print("until", actions.renew_session_lock(message.session_id))


VERBS = {
    "complete": lambda message, actions: actions.complete(message),
    "abandon": abandon_once,
    "deadletter": lambda message, actions: actions.deadletter(message, "no money", "ü" * 200),
    "plainly": lambda message, actions: actions.deadletter(message),
    "defer": lambda message, actions: actions.defer(message),
    "renew": lambda message, actions: actions.renew_message_lock(message),
    "then fail": complete_and_fail,
    "twice": complete_twice,
    "state": keep_state,
    "release": lambda message, actions: actions.release_session(message.session_id),
}
"""Actions by message body; other messages are left to the host."""


def act(message: func.ServiceBusMessage, actions: ServiceBusMessageActions) -> None:
    verb = VERBS.get(message.get_body().decode())
    if verb is not None:
        verb(message, actions)


@app.service_bus_queue_trigger(arg_name="msg", connection="SB", queue_name="orders", data_type="BINARY")
def single(msg: func.ServiceBusMessage, actions: ServiceBusMessageActions) -> None:
    act(msg, actions)


@app.service_bus_queue_trigger(
    arg_name="msgs", connection="SB", queue_name="batches", data_type="BINARY", cardinality="many"
)
def batch(msgs: List[func.ServiceBusMessage], actions: ServiceBusMessageActions) -> None:  # noqa: UP006 - as above
    for msg in msgs:
        act(msg, actions)


@app.service_bus_queue_trigger(
    arg_name="msg", connection="SB", queue_name="sessions", data_type="BINARY", is_sessions_enabled=True
)
def session(msg: func.ServiceBusMessage, actions: ServiceBusMessageActions) -> None:
    act(msg, actions)

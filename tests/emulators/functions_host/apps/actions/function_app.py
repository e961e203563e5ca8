"""Functions that settle for themselves: by the real extension where it is installed, else by one that sends the same."""

import os
from typing import List  # noqa: UP035 - the worker takes no other

import azure.functions as func

if os.environ["EXTENSION"] == "real":
    from azurefunctions.extensions.bindings.servicebus import ServiceBusMessageActions
else:
    from actions import ServiceBusMessageActions

app = func.FunctionApp()


def act(message: func.ServiceBusMessage, actions: ServiceBusMessageActions) -> None:
    """As the body says; what it says nothing of is left to the host."""
    match message.get_body().decode().split():
        case ["complete"]:
            actions.complete(message)
        case ["abandon"]:
            if message.delivery_count < 2:
                actions.abandon(message)
        case ["deadletter"]:
            actions.deadletter(message, "no money", "ü" * 200)
        case ["plainly"]:
            actions.deadletter(message)
        case ["defer"]:
            actions.defer(message)
        case ["renew"]:
            actions.renew_message_lock(message)
        case ["then", "fail"]:
            actions.complete(message)
            raise ValueError("after it was completed")
        case ["twice"]:
            actions.complete(message)
            actions.complete(message)
        case ["state", text]:
            actions.set_session_state(message.session_id, text.encode())
            print("until", actions.renew_session_lock(message.session_id))
        case ["release"]:
            actions.release_session(message.session_id)


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

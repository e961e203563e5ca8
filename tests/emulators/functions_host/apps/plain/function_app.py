"""Functions that do what their bodies say, and write notes of what they received."""

import asyncio
import json
import logging
import os
import subprocess
import time
from collections.abc import Callable
from typing import Any, List  # noqa: UP035 - the worker takes no other

import azure.functions as func

app = func.FunctionApp()
log = logging.getLogger("shop")
only = os.environ["ONLY"].split(",")


def when(name: str, decorate: Callable[..., Any]) -> Callable[..., Any]:
    """Register a function only in the tests that need it."""
    return decorate if name in only else lambda function: function


ATTRIBUTES = [
    "application_properties",
    "content_type",
    "correlation_id",
    "dead_letter_source",
    "delivery_count",
    "enqueued_time_utc",
    "expires_at_utc",
    "label",
    "lock_token",
    "message_id",
    "partition_key",
    "reply_to",
    "reply_to_session_id",
    "sequence_number",
    "session_id",
    "subject",
    "to",
    "transaction_partition_key",
    "user_properties",
]


def note(what: str, messages: List[func.ServiceBusMessage]) -> None:  # noqa: UP006 - as above
    seen = [
        {name: getattr(message, name) for name in ATTRIBUTES} | {"body": message.get_body().hex()}
        for message in messages
    ]
    line = json.dumps({"what": what, "pid": os.getpid(), "seen": seen, "metadata": messages[0].metadata}, default=str)
    with open(os.environ["NOTES"], "a", encoding="utf-8") as notes:  # noqa: PTH123 - appends in one write
        notes.write(line + "\n")


def act(body: bytes) -> None:
    """`fail`, `print TEXT`, `sleep SECONDS`, `child`, `fork`, `exit`."""
    verb, _, rest = body.decode(errors="replace").partition(" ")
    if verb == "fail":
        raise ValueError(rest or "asked to")
    if verb == "print":
        print(rest)
        log.info("logged %s", rest)
    if verb == "sleep":
        time.sleep(float(rest))
    if verb == "child":
        child = subprocess.Popen(["sleep", "600"])
        print(f"child {child.pid}", flush=True)
        time.sleep(600)
    if verb == "fork" and os.fork() == 0:
        time.sleep(600)
    if verb in {"exit", "fork"}:
        os._exit(3)


@when(
    "single", app.service_bus_queue_trigger(arg_name="msg", connection="SB", queue_name="%QUEUE%", data_type="BINARY")
)
def single(msg: func.ServiceBusMessage) -> None:
    note("single", [msg])
    act(msg.get_body())
    note("end", [msg])


@when("texts", app.service_bus_queue_trigger(arg_name="msg", connection="SB", queue_name="texts"))
async def texts(msg: func.ServiceBusMessage) -> None:
    note("texts", [msg])
    await asyncio.sleep(0)
    log.warning("a coroutine's record")


@when(
    "batch",
    app.service_bus_queue_trigger(
        arg_name="msgs", connection="SB", queue_name="batches", data_type="BINARY", cardinality="many"
    ),
)
def batch(msgs: List[func.ServiceBusMessage]) -> None:  # noqa: UP006 - as above
    note("batch", msgs)
    for msg in msgs:
        act(msg.get_body())


@when(
    "session",
    app.service_bus_queue_trigger(
        arg_name="msg", connection="SB", queue_name="sessions", data_type="BINARY", is_sessions_enabled=True
    ),
)
def session(msg: func.ServiceBusMessage) -> None:
    note("session", [msg])
    act(msg.get_body())


@when(
    "subscription",
    app.service_bus_topic_trigger(
        arg_name="msg", connection="SB", topic_name="news", subscription_name="all", data_type="BINARY"
    ),
)
def subscription(msg: func.ServiceBusMessage) -> None:
    note("subscription", [msg])

"""Addresses: what they take, which variable an error names, and dead letters that would come back to their own queue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import azure.functions as func
import pytest

from peeklock import ConfigError, Queue, cloudtasks, consumer, pubsub, send, servicebus, sqs
from peeklock.registry import open_sender, open_store
from peeklock.stores.memory import MemoryStore
from peeklock.testing import Outbox
from tests.support import ROOT, environment

TASKS = "cloudtasks://projects/p/locations/l/queues/orders?target=https://orders.example/run"
SECRET = "hunter2hunter2"


@consumer(Queue("orders"))
def handle(order: dict) -> None:  # type: ignore[type-arg] # as users write it
    ran.append(order)


ran: list[Any] = []

SQS_RECORD = {"messageId": "m-1", "body": "{}", "eventSource": "aws:sqs"}


@pytest.mark.parametrize(
    ("address", "why"),
    [
        (f"{TASKS}&audiance=x", "audiance is unknown: did you mean 'audience'?"),
        (
            f"{TASKS}?a=1&b=2",
            "b is unknown: known are target, service_account, audience, deadline. Within a value, write &",
        ),
        (f"{TASKS}#part", "it holds '#'; take it away, or write %23"),
        (f"{TASKS}&{SECRET}", "*** is unknown"),
        (f"{TASKS}&", "*** is unknown"),
        ("sb://contoso.servicebus.windows.net/orders?sesions=1", "sesions is unknown: it takes no parameters"),
        ("pubsub://projects/p/topics/t?delay=1", "delay is unknown"),
        ("https://sqs.eu-west-1.amazonaws.com/1/orders?fifo=true", "fifo is unknown"),
        ("memory://a?b=1", "b is unknown"),
    ],
)
def test_a_parameter_that_nobody_would_read(address, why):
    """Is refused when it is bound, with the nearest name and without a value."""
    with pytest.raises(ConfigError) as caught:
        sqs.bind(handle, dead_letter=address)
    assert why in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "orders.example" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["tables://contosoorders/leases?ttl=1", "firestore://p/leases?ttl=1", "dynamodb://leases?write=transact"]
)
def test_a_parameter_of_a_store(address):
    """The same of stores, also where the environment names them, and then with the variable."""
    with pytest.raises(ConfigError, match="is unknown: "):
        sqs.bind(handle, store=address)
    with (
        environment(PEEKLOCK_STORE=address),
        pytest.raises(ConfigError, match=r"^PEEKLOCK_STORE: store .* is unknown: "),
    ):
        sqs.bind(handle, dead_letter=Outbox())(event(), None)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        (TASKS.replace("https://", "ftp://"), "target= is not the URL of a function"),
        (TASKS.replace("https://orders.example/run", "orders.example/run"), "target= is not the URL"),
        (TASKS.replace("https://orders.example/run", "https://"), "target= is not the URL"),
        (TASKS.replace("orders.example", "orders%0A.example"), "target= is not the URL"),
        (f"{TASKS}&audience=https://orders.example", "needs service_account= as well"),
    ],
)
def test_a_target_that_cannot_be_called(address, why):
    """Or an audience of no token."""
    with pytest.raises(ConfigError, match=why):
        open_sender(address)


def test_an_encoded_target_is_whole():
    """A target may be written by the infrastructure, and may contain a & of its own."""
    sender: Any = open_sender(f"{TASKS}%3Fa%3D1%26b%3D2&service_account=&audience=")
    assert (sender.target, sender.service_account, sender.audience) == (
        "https://orders.example/run?a=1&b=2",
        None,
        None,
    )


@pytest.mark.parametrize(
    "open_address", [lambda path: open_sender(f"file://{path}"), lambda path: open_store(f"sqlite://{path}")]
)
def test_the_address_of_a_file_is_its_path(open_address, tmp_path):
    """Anything after it would make another file, and so another store without a word."""
    for end, fix in (
        ("?timeout=5", "timeout is unknown: it takes no parameters"),
        ("#x", "write %23"),
        ("\n", "write %0A"),
        (" ", "%20"),
    ):
        with pytest.raises(ConfigError, match=fix):
            open_address(f"{tmp_path}/a{end}")
    assert str(open_address(f"{tmp_path}/a%3Fb%23c%20d").path) == f"{tmp_path}/a?b#c d"


@pytest.mark.parametrize("name", ["PEEKLOCK_ORDERS_DEAD_LETTER", "PEEKLOCK_ORDERS_URL", "PEEKLOCK_STORE"])
def test_an_error_names_its_variable(name):
    """The value itself may be a secret in the wrong place."""
    right = {"PEEKLOCK_ORDERS_DEAD_LETTER": "memory://d", "PEEKLOCK_ORDERS_URL": None, "PEEKLOCK_STORE": None}
    with (
        environment(**{**right, name: SECRET}),
        pytest.raises(ConfigError, match=rf"^{name}: .*'\*\*\*': it is no URL"),
    ):
        sqs.bind(handle)(event(), None)
    if name == "PEEKLOCK_ORDERS_URL":
        with environment(**{name: SECRET}), pytest.raises(ConfigError, match=f"^{name}: "):
            send(Queue("orders"), {})


def event() -> Any:
    sqs_event = json.loads((ROOT / "events/sqs/single.json").read_text())
    sqs_event["Records"][0]["eventSourceARN"] = "arn:aws:sqs:eu-west-1:123456789012:orders"
    return sqs_event


SQS = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders"


@pytest.mark.parametrize(
    ("own", "dead"),
    [
        (SQS, SQS),
        (SQS, "https://eu-west-1.queue.amazonaws.com/123456789012/orders"),
        ("sb://a.servicebus.windows.net/orders", "sb://a.servicebus.windows.net/Orders"),
        ("pubsub://projects/p/topics/t", "pubsub://projects/p/topics/t"),
        (TASKS, f"{TASKS}&deadline=60"),
    ],
)
def test_dead_letters_that_go_to_their_own_queue(own, dead):
    """Each would be delivered again at once, for ever."""
    with environment(PEEKLOCK_ORDERS_URL=own, PEEKLOCK_ORDERS_DEAD_LETTER=dead):
        with pytest.raises(ConfigError, match="name another queue in PEEKLOCK_ORDERS_DEAD_LETTER, or in dead_letter="):
            sqs.bind(handle)(event(), None)
        entry: Any = cloudtasks.bind(handle, unauthenticated=True)
        with pytest.raises(ConfigError, match="would come back to the queue itself"):
            entry(Request())


class Request:
    """A Flask request, as far as it is used."""

    method = "POST"
    headers: ClassVar = {"X-CloudTasks-TaskName": "t-1", "X-Goog-PubSub-Message-Id": "m-1"}

    def get_data(self) -> bytes:
        return b"{}"


@pytest.mark.parametrize(
    ("own", "dead"),
    [
        (SQS, f"{SQS}-dead"),
        (SQS, SQS.replace("eu-west-1", "eu-central-1")),
        (TASKS, TASKS.replace("/run", "/dead")),
        ("pubsub://projects/p/topics/t", "pubsub://projects/p/topics/d"),
        (f"file://{ROOT}/one", f"file://{ROOT}/one"),
    ],
)
def test_dead_letters_that_go_elsewhere(own, dead):
    """Another region, another target; and a file, which nobody consumes."""
    with environment(PEEKLOCK_ORDERS_URL=own, PEEKLOCK_ORDERS_DEAD_LETTER=dead):
        entry: Any = pubsub.bind(handle, unauthenticated=True)
        assert entry(Request()) == ("", 204)


@pytest.mark.parametrize(
    ("dead", "comes_back"),
    [
        (SQS, True),
        ("http://127.0.0.1:9324/123456789012/orders", True),
        (SQS.replace("eu-west-1", "eu-central-1"), False),
        (f"{SQS}-dead", False),
    ],
)
def test_the_queue_of_an_event_of_sqs(dead, comes_back):
    """Nobody has to say its address: the event does."""
    handler = sqs.bind(handle, dead_letter=dead)
    ran.clear()
    if comes_back:
        with pytest.raises(ConfigError, match="would come back to the queue itself"):
            handler(event(), None)
    assert comes_back or handler(event(), None) == {"batchItemFailures": []}
    assert bool(ran) is not comes_back


def test_an_event_without_an_arn_is_compared_with_nothing():
    """Some emulators send such events."""
    sqs_event = event()
    del sqs_event["Records"][0]["eventSourceARN"]
    assert sqs.bind(handle, dead_letter=SQS)(sqs_event, None) == {"batchItemFailures": []}


@pytest.mark.parametrize(
    ("options", "comes_back"),
    [
        ({}, True),
        ({"queue_name": "%ORDERS_NAME%"}, True),
        ({"queue_name": "others"}, False),
        ({"topic_name": "orders", "subscription_name": "all"}, True),
        ({"topic_name": "others", "subscription_name": "orders"}, False),
        ({"connection": "ANOTHER"}, False),
    ],
)
def test_the_queue_of_a_trigger(options, comes_back):
    """It is the one that the binding names. Over another connection it may be in another namespace."""
    from peeklock.platforms.servicebus.sample_events import load

    trigger = load(json.loads(Path(ROOT / "events/servicebus/single.json").read_text()))
    entry = servicebus.bind(handle, app=func.FunctionApp(), dead_letter="sb://a/orders", **options)
    with environment(ORDERS_NAME="Orders"):
        if comes_back:
            with pytest.raises(ConfigError, match="would come back to the queue itself"):
                entry(messages=trigger.argument)
        else:
            entry(messages=trigger.argument)


def test_a_store_that_is_empty_is_used():
    """Whatever it says of its length."""

    class Counted(MemoryStore):
        def __len__(self) -> int:
            return len(self.records)

    store, before = Counted(), len(ran)
    for _ in range(2):
        sqs.run_sample(handle, {"Records": [SQS_RECORD]}, store=store, dead_letter=Outbox())
    assert len(ran) == before + 1

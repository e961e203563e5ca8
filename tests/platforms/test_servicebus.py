"""Service Bus under the real worker library, with messages built by the real converter."""

from __future__ import annotations

import inspect
import json
from types import SimpleNamespace
from typing import Any, Self

import azure.functions as func
import pytest
from azure.servicebus import ServiceBusMessage
from azurefunctions.extensions.base import GrpcClientType

from handlers.orders.charge import charge
from peeklock import Batch, ConfigError, EventError, Queue, consumer, servicebus
from peeklock.message import Lineage
from peeklock.outgoing import OutgoingMessage
from peeklock.platforms.servicebus import client as servicebus_client
from peeklock.platforms.servicebus import message as servicebus_message
from peeklock.platforms.servicebus import sender as servicebus_send
from peeklock.platforms.servicebus.sample_events import load
from peeklock.stores.memory import MemoryStore
from peeklock.testing import Outbox
from tests.core.world import FlakySender, Script
from tests.platforms.azure_worker import Worker
from tests.support import ROOT, environment, on_this_machine

QUEUE = Queue("orders", max_attempts=3, timeout=20)


@consumer(QUEUE)
def handle(payload: dict) -> str:
    if payload.get("fail"):
        raise ValueError
    return "the host would refuse a value"


@consumer(QUEUE)
async def handle_async(payload: dict) -> None:
    if payload.get("fail"):
        raise ValueError


@consumer(QUEUE)
def handle_many(rows: Batch[dict]) -> None:
    return None


def single(body: bytes = b"{}", **more: tuple[Any, str]) -> tuple[tuple[Any, str], dict[str, tuple[Any, str]]]:
    metadata: dict[str, tuple[Any, str]] = {
        "MessageId": ("m-1", "string"),
        "UserProperties": ("{}", "json"),
        "ApplicationProperties": ("{}", "json"),
        "DeliveryCount": ("1", "json"),
        "SequenceNumber": ("7", "json"),
        "EnqueuedTimeUtc": ('"2026-11-25T01:54:43.209"', "json"),
    }
    return (body, "bytes"), {**metadata, **more}


def many(*bodies: bytes, **more: tuple[Any, str]) -> tuple[tuple[Any, str], dict[str, tuple[Any, str]]]:
    count = len(bodies)
    metadata: dict[str, tuple[Any, str]] = {
        "UserPropertiesArray": (json.dumps([{}] * count), "json"),
        "ApplicationPropertiesArray": (json.dumps([{}] * count), "json"),
        "DeliveryCountArray": (json.dumps([1] * count), "json"),
        "SequenceNumberArray": (SimpleNamespace(sint64=list(range(1, count + 1))), "collection_sint64"),
    }
    return (SimpleNamespace(bytes=list(bodies)), "collection_bytes"), {**metadata, **more}


def world(**more: Any) -> dict[str, Any]:
    return {"store": MemoryStore(), "dead_letter": Outbox(), "queue": Outbox(), "hold": 0, **more}


def bound(function: Any, **more: Any) -> Worker:
    app = func.FunctionApp()
    servicebus.bind(function, app=app, **more)
    return Worker(app)


class TestWorker:
    """Indexed and invoked by the worker itself."""

    def test_a_function_completes_and_returns_nothing(self):
        """The handler's value is swallowed: the worker fails a function that returns one."""
        worker = bound(handle, **world())
        assert worker.invoke("handle", *single()) == (True, "")

    @pytest.mark.parametrize("function", [handle, handle_async])
    def test_a_failure_leaves_as_a_copy(self, function):
        """So the host completes; without anywhere to copy to, it abandons."""
        resources = world()
        worker = bound(function, **resources)
        assert worker.invoke(function.__name__, *single(b'{"fail":1}')) == (True, "")
        (copy,) = resources["queue"].outgoing_messages
        assert copy.lineage == Lineage(id="m-1", copy_number=1, attempts=1, sent=copy.origin.sent_ms)
        assert copy.origin.sent_ms is not None
        broken = bound(function, **world(queue=FlakySender(Outbox(), Script({1: "before"}))))
        done, error = broken.invoke(function.__name__, *single(b'{"fail":1}'))
        assert not done
        assert "1 of 1 messages must come back" in error

    def test_one_of_a_batch_does_not_bring_back_the_others(self):
        """Failures leave as copies and dead letters; an empty body stays where it is."""
        resources = world()
        worker = bound(handle, batch=True, **resources)
        assert worker.invoke("handle", *many(b"{}", b'{"fail":1}', b"", b"\xff")) == (True, "")
        assert [outgoing.lineage.id for outgoing in resources["queue"].outgoing_messages] == ["seq-2@orders"]
        assert [outgoing.lineage.id for outgoing in resources["dead_letter"].outgoing_messages] == [
            "seq-3@orders",
            "seq-4@orders",
        ]
        assert resources["store"].records["orders#seq-1@orders"].state == "done"

    def test_what_it_indexes(self):
        """Binary bodies always, sessions and cardinality as asked, a topic with its subscription."""
        worker = bound(handle_many, batch=True, sessions=True, queue_name="%NAME%", connection="SB", **world())
        (binding,) = [json.loads(text) for text in worker.bindings["handle_many"]]
        assert binding["dataType"] in (2, "BINARY")
        assert binding["isSessionsEnabled"] is True
        assert (binding["queueName"], binding["connection"]) == ("%NAME%", "SB")
        worker = bound(handle, topic_name="t", subscription_name="s", **world())
        (binding,) = [json.loads(text) for text in worker.bindings["handle"]]
        assert (binding["topicName"], binding["subscriptionName"]) == ("t", "s")

    def test_the_example_app(self, tmp_path):
        """Found as the host finds it, by the path of function_app.py."""
        settings = on_this_machine(tmp_path)
        with environment(**settings):
            worker = Worker(path=ROOT / "handlers/azure_servicebus/function_app.py")
            body = b'{"order_id":"o-1","customer":"c","cents":5,"card":"tok_ok"}'
            assert worker.invoke("charge", *single(body)) == (True, "")
            receipts = (tmp_path / "receipts.jsonl").read_text().splitlines()
            assert worker.invoke("write_receipts", *many(json.loads(receipts[0])["body"].encode())) == (True, "")

    def test_actions_are_indexed(self):
        """The worker takes the second parameter for the settlement client, by its annotation."""

        class Actions(GrpcClientType):
            pass

        worker = bound(handle, actions=Actions, store=MemoryStore(), queue=Outbox())
        assert worker.functions["handle"].settlement_client_arg == "actions"
        (binding,) = [json.loads(delivery) for delivery in worker.bindings["handle"]]
        assert binding["autoCompleteMessages"] is False


class Actions(GrpcClientType):
    """Remembers what it is asked to settle; refuses some."""

    def __init__(self, refuse: str = "") -> None:
        self.refuse = refuse
        self.told: list[tuple[str, str]] = []

    def _tell(self, verb: str, message: Any) -> None:
        if verb == self.refuse:
            raise RuntimeError("no answer")
        self.told.append((verb, message.message_id))

    def complete(self, message: Any) -> None:
        self._tell("complete", message)

    def abandon(self, message: Any) -> None:
        self._tell("abandon", message)

    def deadletter(self, message: Any, reason: str, description: str) -> None:
        self._tell(f"deadletter {reason} {description}", message)


def with_actions(actions: Actions, bodies: list[str], **more: Any) -> Any:
    entry = servicebus.bind(handle, app=func.FunctionApp(), batch=True, actions=Actions, hold=0, **more)
    event = load(
        {"inputData": [{"data": {"collectionBytes": {"bytes": bodies}}}], "triggerMetadata": metadata(len(bodies))}
    )
    return entry(messages=event.argument, actions=actions)


def metadata(count: int) -> dict[str, Any]:
    ids = {"collectionString": {"string": [f"m-{n}" for n in range(count)]}}
    properties = {"json": json.dumps([{}] * count)}
    numbers = {"collectionSint64": {"sint64": [str(n) for n in range(count)]}}
    return {
        "MessageIdArray": ids,
        "UserPropertiesArray": properties,
        "ApplicationPropertiesArray": properties,
        "SequenceNumberArray": numbers,
    }


def test_with_actions_each_message_is_settled_by_itself():
    """Natively dead-lettered once, completed, abandoned; and needs neither a store nor a dead-letter address."""
    actions = Actions()
    with_actions(actions, ["e30=", "eyJmYWlsIjoxfQ==", "ew=="])
    assert actions.told[0][0].startswith("deadletter invalid not JSON")
    assert actions.told[1:] == [("complete", "m-0"), ("abandon", "m-1")]


def test_an_action_that_fails_stops_no_other(caplog):
    """The lock runs out and the message comes back."""
    actions = Actions(refuse="complete")
    with_actions(actions, ["e30=", "eyJmYWlsIjoxfQ=="])
    assert actions.told == [("abandon", "m-1")]
    assert "peeklock.settle_failed" in caplog.text
    stubborn = Actions()
    stubborn.deadletter = lambda *_: 1 / 0  # type: ignore[assignment,method-assign] # the double refuses by itself
    with_actions(stubborn, ["ew=="])
    assert stubborn.told == [("abandon", "m-0")]


def test_an_earlier_dead_letter_is_completed_by_action():
    """The record says that it was dead-lettered, so it is not dead-lettered a second time."""
    actions, store = Actions(), MemoryStore()
    with_actions(actions, ["ew=="], store=store, queue=Outbox())
    with_actions(actions, ["ew=="], store=store, queue=Outbox())
    assert [verb.split()[0] for verb, _ in actions.told] == ["deadletter", "complete"]


class TestReceive:
    """Reading of messages that azure-functions' own converter made."""

    def messages(self, name: str, **more: Any) -> list[Any]:
        event = json.loads((ROOT / f"events/servicebus/{name}.json").read_text())
        return servicebus.receive(load(event).argument, "orders", **more)

    def test_times_without_a_zone_are_utc(self):
        """The host sends them so."""
        (message,) = self.messages("single")
        assert str(message.sent_at) == "2026-11-25 01:54:43.209000+00:00"

    def test_shifted_text_columns_are_not_trusted(self):
        """A column that lost its empty entries says nothing; ids are sequence numbers, with time and queue (trials 1.21)."""
        ids = [message.id for message in self.messages("batch_shifted_metadata")]
        assert ids == [f"seq-{number}.1795571683209@orders" for number in (23, 24, 25)]

    def test_the_body_cannot_forge_its_metadata(self):
        """It is bytes, which the host never looks into."""
        (message,) = self.messages("poison")
        assert message.id == "order-34"
        assert message.delivery == 1

    def test_sessions_are_groups_when_asked_for(self):
        """And only then."""
        assert [message.group for message in self.messages("session", sessions=True)] == ["customer-1"] * 3
        assert [message.group for message in self.messages("session")] == [None] * 3

    def test_a_native_dead_letter_that_was_put_back_starts_a_new_generation(self):
        """The lineage is the same as before, but the message has the broker's dead-letter reason."""
        (message,) = self.messages("resubmitted_native_dead_letter")
        assert message.lineage is not None
        assert (message.lineage.id, message.lineage.copy_number, message.lineage.attempts) == ("order-43", 0, 0)
        assert message.lineage.generation > 0
        assert dict(message.attributes) == {}

    @pytest.mark.parametrize(
        "event",
        [
            [],
            None,
            "text",
            [object()],
            SimpleNamespace(get_body=bytes, application_properties=None, message_id=None, sequence_number=None),
        ],
    )
    def test_anything_else_is_refused(self, event):
        """In words."""
        with pytest.raises(EventError, match="not a Service Bus"):
            servicebus.receive(event, "orders")


@pytest.mark.parametrize(
    ("more", "fix"),
    [
        ({"topic_name": "t"}, "needs subscription_name"),
        ({"batch": True, "parallel": 0}, "parallel=0"),
    ],
)
def test_wrong_bindings(more, fix):
    """Each says what to do."""
    with pytest.raises(ConfigError, match=fix):
        servicebus.bind(handle, app=func.FunctionApp(), **more)


def test_a_batch_needs_a_store():
    """Else one failure would run all again."""
    entry = servicebus.bind(handle, app=func.FunctionApp(), batch=True, dead_letter=Outbox())
    with pytest.raises(ConfigError, match="batch=True needs a store"):
        entry(messages=[])


def test_a_batch_lock_that_is_too_short():
    """A minute unless it is said to be longer, which a slow consumer must say."""

    @consumer(Queue("slow", timeout=100))
    def slow(payload: dict) -> None:
        return None

    entry = servicebus.bind(slow, app=func.FunctionApp(), batch=True, **world())
    (message,) = TestReceive().messages("single")
    with pytest.raises(ConfigError, match="PEEKLOCK_SLOW_LOCK, to 101 s"):
        entry(messages=[message.raw])
    with environment(PEEKLOCK_SLOW_LOCK="120"):
        assert entry(messages=[message.raw]) is None


def test_a_delay_in_a_session_is_waited_out():
    """Inside the lock, and no longer than told."""
    entry = servicebus.bind(handle, app=func.FunctionApp(), sessions=True, **world(hold=0.05))
    (message,) = TestReceive().messages("session_single")
    message.raw._ServiceBusMessage__body = b'{"fail":1}'
    with pytest.raises(Exception, match="1 of 1 messages must come back"):
        entry(messages=message.raw)


def test_the_wrapper_has_no_trace_of_the_consumer():
    """Which indexing would follow."""
    entry = servicebus.bind(charge, app=func.FunctionApp())
    assert not hasattr(entry, "__wrapped__")
    assert list(inspect.signature(entry).parameters) == ["messages"]


# -- sending


class Sender:
    """Stands in for the SDK's sender; its batches hold two messages."""

    def __init__(self, fail: int = 0) -> None:
        self.fail = fail
        self.sent: list[list[ServiceBusMessage]] = []

    def get_queue_sender(self, name: str) -> Sender:
        self.name = name
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def create_message_batch(self) -> Pile:
        return Pile()

    def send_messages(self, pile: Pile) -> None:
        self.sent.append(pile.messages)
        if len(self.sent) == self.fail:
            raise RuntimeError("link detached")


class Pile:
    """A batch for two, none of them larger than a hundred bytes."""

    def __init__(self) -> None:
        self.messages: list[ServiceBusMessage] = []

    def add_message(self, message: ServiceBusMessage) -> None:
        if len(self.messages) == 2 or len(b"".join(message.body)) > 100:
            raise ValueError("ServiceBusMessageBatch has reached its size limit")
        self.messages.append(message)


def outgoing_messages(*bodies: bytes) -> list[OutgoingMessage]:
    return [OutgoingMessage(body=body, lineage=Lineage(id=f"p-{n}")) for n, body in enumerate(bodies)]


def test_messages_are_sent_in_batches_as_they_fit():
    """One that fits into none is refused, and the others are sent."""
    double = Sender()
    sender = servicebus_send.ServiceBusSender("orders", lambda: double)
    answers = sender.send(outgoing_messages(b"a", b"b", b"c" * 200, b"d"))
    assert [answer is None for answer in answers] == [True, True, False, True]
    assert [[sent_message.message_id for sent_message in batch] for batch in double.sent] == [["p-0", "p-1"], ["p-3"]]


def test_a_batch_that_fails_is_not_known_to_be_there():
    """The batches after it are sent all the same."""
    double = Sender(fail=1)
    answers = servicebus_send.ServiceBusSender("orders", lambda: double).send(outgoing_messages(b"a", b"b", b"c"))
    assert ["link detached" in str(answer) for answer in answers] == [True, True, False]


def test_what_a_message_becomes():
    """The SDK's own message, with the lineage, the session and the time in UTC."""
    from datetime import timedelta

    sdk_message = servicebus_message.message_of(
        OutgoingMessage(
            body=b"x",
            lineage=Lineage(id="a", copy_number=1),
            group="g",
            delay=timedelta(minutes=5),
            content_type="text/plain",
            attributes={"k": "v"},
        )
    )
    assert isinstance(sdk_message, ServiceBusMessage)
    assert (sdk_message.message_id, sdk_message.session_id, sdk_message.content_type) == (
        "a.0.1.peeklock",
        "g",
        "text/plain",
    )
    assert sdk_message.application_properties == {"k": "v", "peeklock": '{"id":"a","copy_number":1}'}
    assert sdk_message.scheduled_enqueue_time_utc.utcoffset() == timedelta()


def test_addresses_and_clients():
    """A connection string, or a namespace and an identity."""
    with pytest.raises(ConfigError, match="no Service Bus address"):
        servicebus.from_url("sb://contoso.servicebus.windows.net/")
    text = "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=k;SharedAccessKey=s;UseDevelopmentEmulator=true;"
    servicebus_client.client.forget()
    with environment(PEEKLOCK_SERVICEBUS=text):
        assert servicebus.from_url("sb://127.0.0.1/orders").client().fully_qualified_namespace.startswith("127.0.0.1")
    servicebus_client.client.forget()
    with environment(
        PEEKLOCK_SERVICEBUS=None, PEEKLOCK_SERVICEBUS__fullyQualifiedNamespace="contoso.servicebus.windows.net"
    ):
        client = servicebus.from_url("sb://other.servicebus.windows.net/orders").client()
        assert client.fully_qualified_namespace == "contoso.servicebus.windows.net"
    servicebus_client.client.forget()

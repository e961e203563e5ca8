"""Copies and dead letters are the same message; ids are unique; what is private stays out of both."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import subprocess
import sys
import uuid
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import azure.functions as func
import pytest
from azure.servicebus import ServiceBusMessage
from hypothesis import given, settings
from hypothesis import strategies as st

from peeklock import ConfigError, DeadLetter, Queue, Retry, consumer, pubsub, send, servicebus, sqs
from peeklock import cloudtasks as cloud_tasks
from peeklock.message import Lineage, Message
from peeklock.outgoing import OutgoingMessage, copy_of, cut, dead_letter_of, legible
from peeklock.platforms.cloudtasks.sender import CloudTasksSender, headers_of
from peeklock.platforms.http_push import endpoint as push
from peeklock.platforms.http_push.headers import CREDENTIALS
from peeklock.platforms.pubsub.sender import PubSubSender
from peeklock.platforms.servicebus.message import message_of
from peeklock.platforms.servicebus.sample_events import load
from peeklock.platforms.servicebus.sender import ServiceBusSender
from peeklock.platforms.servicebus.settle import MAX_DESCRIPTION, NativeDeadLetterSender
from peeklock.platforms.sqs.client import client as sqs_client
from peeklock.platforms.sqs.sender import SQSSender, pack
from peeklock.sending.file import FileSender, read
from peeklock.sending.fitting import FORM, MAX_UNFOLDED, compressed, contents, fit, folded, prepare, unfold, unfolded
from peeklock.sending.send import routed
from peeklock.stores.memory import MemoryStore
from peeklock.testing import Outbox
from tests.contracts.queues import (
    StrictCloudTasks,
    StrictPubSub,
    StrictServiceBus,
    StrictSQS,
    google,
    servicebus_raw,
    size_in_servicebus,
    size_in_sqs,
)
from tests.support import ROOT, environment

QUEUE = Queue("orders", max_attempts=3, timeout=20, first_delay=2)
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@consumer(QUEUE)
def fail(body: bytes) -> None:
    raise Retry(after=60)


@consumer(QUEUE)
def refuse(body: bytes) -> None:
    raise DeadLetter("no such customer")


FORKED = """
import os, threading
from peeklock.message import Lineage
from peeklock.outgoing import OutgoingMessage
from peeklock.platforms.servicebus.sender import ServiceBusSender
from tests.contracts.queues import StrictServiceBus

class Client:
    def get_queue_sender(self, entity):
        print("parent" if os.getpid() == parent else "child", flush=True)
        return StrictServiceBus()

parent = os.getpid()
sender = ServiceBusSender("orders", Client)
outgoing = OutgoingMessage(body=b"{}", lineage=Lineage(id="a"))
sender.send([outgoing])
with sender._link.lock:
    child = os.fork()
    if not child:
        done = threading.Event()
        threading.Thread(target=lambda: (sender.send([outgoing]), done.set()), daemon=True).start()
        os._exit(0 if done.wait(20) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
sender.send([outgoing])
"""


def world(**more: Any) -> dict[str, Any]:
    return {"store": MemoryStore(), "dead_letter": Outbox(), "queue": Outbox(), **more}


def dead_letter(message: Message, **more: Any) -> OutgoingMessage:
    return dead_letter_of(message, reason="fatal", detail="no", attempts=1, now=NOW, **more)


def copy(message: Message, delay: timedelta = timedelta(0)) -> OutgoingMessage:
    return copy_of(message, copy_number=1, attempts=1, delay=delay)


class TestServiceBus:
    """Fields that azure-servicebus lets a sender set."""

    SYSTEM: Mapping[str, str] = {
        "subject": "order.created",
        "correlation_id": "c-1",
        "reply_to": "answers",
        "reply_to_session_id": "s-1",
        "to": "elsewhere",
        "partition_key": "p-1",
    }

    @pytest.mark.parametrize("function", [fail, refuse])
    def test_system_properties_and_types_are_kept(self, function):
        """With the first copy, and by a dead letter (trials 1.4)."""
        queue, dead = StrictServiceBus(), StrictServiceBus()
        properties = {"n": 7, "yes": True, "nothing": None, "ratio": 0.5, "text": "ä"}
        queue.enter(
            ServiceBusMessage(
                b"{}",
                message_id="order-1",
                content_type="application/json",
                application_properties=dict(properties),
                **self.SYSTEM,
            )
        )
        options = world(queue=queue.sender(), dead_letter=dead.sender())
        assert queue.handle(function, queue.events()[0], **options)
        sent = (dead if function is refuse else queue).messages[-1]
        assert {name: getattr(sent, name) for name in self.SYSTEM} == self.SYSTEM
        assert sent.content_type == "application/json"
        carried = {name: value for name, value in (sent.application_properties or {}).items() if name in properties}
        assert carried == properties
        assert [type(value) for value in carried.values()] == [type(value) for value in properties.values()]

    def test_any_type_of_a_property(self):
        """The same types as on the SDK's own messages (trials 1.4)."""
        properties = {
            b"id": uuid.UUID(int=5),
            "at": datetime(2026, 1, 2, tzinfo=UTC),
            "raw": b"\x00\xff",
            "large": 2**40,
            "list": [1],
        }
        (message,) = servicebus.receive(servicebus_raw(application_properties=properties), "orders")
        assert message.attributes["id"] == str(uuid.UUID(int=5))
        again = message_of(copy(message)).application_properties
        for name in ("at", "raw", "large"):
            assert again[name] == properties[name]
        assert again["id"] == uuid.UUID(int=5)
        assert again["list"] == "[1]"
        odd = dataclasses.replace(message, attributes={"a": "x"}, types={"a": "int"})
        assert message_of(copy(odd)).application_properties["a"] == "x"

    def test_the_time_to_live_is_what_is_left(self):
        """A copy has the rest, but enough for one delivery; a dead letter has no time to live (trials 1.4)."""
        expiry = datetime.now(UTC) + timedelta(hours=1)
        raw = servicebus_raw(expires_at_utc=expiry.replace(tzinfo=None))
        (message,) = servicebus.receive(raw, "orders")
        left = message_of(copy(message, timedelta(minutes=10))).time_to_live
        assert timedelta(minutes=49) < left <= timedelta(minutes=50)
        assert message_of(copy(message, timedelta(hours=2))).time_to_live == timedelta(minutes=1)
        assert message_of(dead_letter(message)).time_to_live is None
        for forever in (datetime(9999, 12, 31, tzinfo=UTC), datetime.now(UTC) + timedelta(days=300)):
            (message,) = servicebus.receive(servicebus_raw(expires_at_utc=forever), "orders")
            assert message_of(copy(message)).time_to_live is None

    def test_a_partition_key_is_not_sent_into_a_session(self):
        """The service takes none but the session's own."""
        (message,) = servicebus.receive(servicebus_raw(partition_key="p", session_id="s"), "orders", sessions=True)
        assert message_of(dead_letter(message)).session_id == "s"
        assert message_of(dead_letter(message)).partition_key is None

    def test_columns_of_a_batch_that_have_shifted_are_not_copied(self):
        """A whole one is (trials 1.4)."""
        event = json.loads((ROOT / "events/servicebus/batch.json").read_text())
        messages = servicebus.receive(load(event).argument, "orders")
        assert [message_of(copy(message)).subject for message in messages] == ["order.created"] * 4
        event["triggerMetadata"]["SubjectArray"]["collectionString"]["string"].pop()
        messages = servicebus.receive(load(event).argument, "orders")
        assert [message_of(copy(message)).subject for message in messages] == [None] * 4

    def test_ids_are_unique_over_queues_and_time(self):
        """Numbers start again in each queue, and in one that is made anew (trials 1.21)."""
        raw = servicebus_raw(message_id="", enqueued_time_utc=datetime(2026, 1, 1))  # noqa: DTZ001 - as the host sends it
        later = servicebus_raw(message_id="", enqueued_time_utc=datetime(2026, 1, 2))  # noqa: DTZ001 - as above
        ids = [
            servicebus.receive([raw], "orders")[0].id,
            servicebus.receive([raw], "orders", entity="orders-eu")[0].id,
            servicebus.receive([later], "orders")[0].id,
        ]
        assert ids == ["seq-1.1767225600000@orders", "seq-1.1767225600000@orders-eu", "seq-1.1767312000000@orders"]
        assert servicebus.receive(raw, "orders")[0].id == ids[0]

    @pytest.mark.parametrize(
        ("source", "entity"),
        [
            ({}, "orders"),
            ({"queue_name": "orders-eu"}, "orders-eu"),
            ({"queue_name": "%ORDERS_NAME%"}, "orders-us"),
            ({"topic_name": "%ORDERS_NAME%", "subscription_name": "s"}, "orders-us/s"),
        ],
        ids=str,
    )
    def test_a_binding_knows_its_entity(self, source, entity):
        """Two bindings of one declaration never share an id (trials 1.21)."""
        options = world()
        entry = servicebus.bind(fail, app=func.FunctionApp(), batch=True, hold=0, **source, **options)
        with environment(ORDERS_NAME="orders-us"):
            entry(messages=[servicebus_raw(message_id="")])
        records = "orders@orders-us:s" if "topic_name" in source else "orders"
        assert list(options["store"].records) == [f"{records}#seq-1@{entity}"]

    @pytest.mark.parametrize("key", [None, "order_id"])
    def test_a_copy_of_a_subscriptions_message_has_its_record(self, key):
        """Another subscription has another, of the same id and key; and the copies of both may be in one queue."""

        @consumer(QUEUE, key=key)
        def failing(payload: dict) -> None:
            raise ValueError

        options = world()
        app = func.FunctionApp()
        for name in ("mail", "stock"):
            entry = servicebus.bind(
                failing, app=app, name=name, hold=0, topic_name="t", subscription_name=name, **options
            )
            entry(messages=servicebus_raw(get_body=lambda: b'{"order_id":"o-1"}'))
        copies = options["queue"].outgoing_messages
        assert len({copy.id for copy in copies}) == 2, "one would be dropped where the queue detects duplicates"
        entry = servicebus.bind(failing, app=app, name="copies", hold=0, **options)
        for copy in list(copies):
            carried = {"peeklock": copy.lineage.dump()}
            entry(
                messages=servicebus_raw(
                    get_body=lambda copy=copy: copy.body, message_id=copy.id, application_properties=carried
                )
            )
        name = "#m-1" if key is None else "/o-1"
        records = options["store"].records
        assert {record_key: record.attempts for record_key, record in records.items()} == {
            f"orders@t:mail{name}": 2,
            f"orders@t:stock{name}": 2,
        }

    def test_a_native_dead_letter_says_what_fits(self):
        """4,096 bytes of reason and description, each encodable (trials 1.1)."""
        settlements: list[tuple[str, str]] = []

        class Actions:
            def deadletter(self, _: object, reason: str, description: str) -> None:
                settlements.append((reason, description))

        (message,) = servicebus.receive(servicebus_raw(), "orders")
        outgoing = dataclasses.replace(
            dead_letter(message), attributes={"peeklock-reason": "f\ud800", "peeklock-detail": "ä\ud83d" * 3000}
        )
        assert NativeDeadLetterSender(Actions()).send([outgoing]) == [None]
        ((reason, description),) = settlements
        assert reason == "f\\ud800"
        assert MAX_DESCRIPTION - 8 < len(description.encode()) <= MAX_DESCRIPTION

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
    def test_a_forked_child_opens_its_own_link(self):
        """And does not wait for a lock that a thread of its parent held (trials 1.27)."""
        done = subprocess.run(
            [sys.executable, "-c", FORKED], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
        )
        assert done.stdout.split() == ["parent", "child", "0"], done.stderr


class TestSQS:
    """Fields that SendMessageBatch lets a sender set."""

    ATTRIBUTES: Mapping[str, Any] = {
        "count": {"stringValue": "7", "dataType": "Number"},
        "id": {"stringValue": "u", "dataType": "String.uuid"},
        "image": {"binaryValue": "AAH/", "dataType": "Binary.png"},
        "plain": {"stringValue": "ä", "dataType": "String"},
    }

    def record(self, **more: Any) -> dict[str, Any]:
        return {
            "messageId": "m-1",
            "body": "{}",
            "attributes": {},
            "messageAttributes": self.ATTRIBUTES,
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-west-1:1:orders",
            **more,
        }

    def test_types_are_kept(self):
        """The dead letter keeps them, folded or not, and so does the message that is redriven (trials 1.4)."""
        queue = StrictSQS()
        entry = sqs.bind(refuse, **world(dead_letter=queue.sender()))
        many = {f"n-{n}": {"stringValue": "x", "dataType": "String"} for n in range(6)}
        entry({"Records": [self.record()]}, None)
        entry({"Records": [self.record(messageId="m-2", messageAttributes={**self.ATTRIBUTES, **many})]}, None)
        sent = {name: value["DataType"] for name, value in queue.entries[0]["MessageAttributes"].items()}
        assert [sent[name] for name in self.ATTRIBUTES] == ["Number", "String.uuid", "Binary.png", "String"]
        for event in queue.events():
            message = queue.receive(event)
            assert message.types == {"count": "Number", "id": "String.uuid", "image": "Binary.png"}
            assert message.attributes["image"] == b"\x00\x01\xff"
        foreign = {"a": "uuid", "b": "Binary.x", "c": "Number"}
        _, attributes = pack(
            OutgoingMessage(
                body=b"{}", lineage=Lineage(id="x"), attributes={"a": "1", "b": "2", "c": b"3"}, types=foreign
            )
        )
        assert [attributes[name]["DataType"] for name in "abc"] == ["String", "String", "Binary"]

    def test_the_trace_goes_on(self):
        """And the group by which a standard queue is fair (trials 1.4)."""
        queue = StrictSQS()
        system = {"AWSTraceHeader": "Root=1-5759e988-bd862e3fe1be46a994272793", "MessageGroupId": "tenant-1"}
        entry = sqs.bind(refuse, **world(dead_letter=queue.sender()))
        entry({"Records": [self.record(attributes=system)]}, None)
        (sent,) = queue.entries
        assert sent["MessageSystemAttributes"] == {
            "AWSTraceHeader": {"DataType": "String", "StringValue": system["AWSTraceHeader"]}
        }
        assert sent["MessageGroupId"] == "tenant-1"
        message = queue.receive(queue.events()[0])
        assert (message.group, message.system) == (None, system)

    def test_a_dead_letter_keeps_its_group(self):
        """In a FIFO queue, and its deduplication id is its own (trials section 6)."""
        queue = StrictSQS(url="https://sqs.eu-west-1.amazonaws.com/1/orders-dead.fifo")
        entry = sqs.bind(refuse, **world(dead_letter=queue.sender()))
        fifo = self.record(attributes={"MessageGroupId": "g"}, eventSourceARN="arn:aws:sqs:eu-west-1:1:orders.fifo")
        entry({"Records": [fifo]}, None)
        (sent,) = queue.entries
        assert (sent["MessageGroupId"], sent["MessageDeduplicationId"]) == ("g", "m-1.1.0.peeklock")

    @pytest.mark.parametrize(
        ("group", "name", "expected"),
        [("g", "order-1", ("g", "order-1")), ("a b", "ä", None)],
    )
    def test_what_a_fifo_queue_is_told(self, group, name, expected):
        """Group and deduplication id, hashed where SQS takes no such text (trials section 6)."""
        queue = StrictSQS(url="https://sqs.eu-west-1.amazonaws.com/1/orders.fifo")
        assert queue.sender().send([OutgoingMessage(body=b"{}", lineage=Lineage(id=name), group=group)]) == [None]
        (sent,) = queue.entries
        ids = (sent["MessageGroupId"], sent["MessageDeduplicationId"])
        assert ids == expected or (expected is None and [len(text) for text in ids] == [64, 64])
        assert "DelaySeconds" not in sent

    @pytest.mark.parametrize(
        ("delay", "seconds"), [(0, None), (0.001, 1), (1, 1), (1.001, 2), (899.5, 900), (900, 900)]
    )
    def test_delays_are_rounded_up(self, delay, seconds):
        """A message is never early (trials section 6)."""
        queue = StrictSQS()
        outgoing = OutgoingMessage(body=b"{}", lineage=Lineage(id="x"), delay=timedelta(seconds=delay))
        assert queue.sender().send([outgoing]) == [None]
        assert queue.entries[0].get("DelaySeconds") == seconds

    def test_a_delay_beyond_the_limit_is_refused(self):
        """It is not cut: the message would be early."""
        outgoing = OutgoingMessage(body=b"{}", lineage=Lineage(id="x"), delay=timedelta(seconds=900.001))
        (refused,) = StrictSQS().sender().send([outgoing])
        assert "900 s at most" in str(refused)

    @pytest.mark.parametrize(
        ("host", "region", "endpoint"),
        [
            ("sqs.eu-west-1.amazonaws.com", "eu-west-1", None),
            ("sqs.cn-north-1.amazonaws.com.cn", "cn-north-1", None),
            ("us-west-2.queue.amazonaws.com", "us-west-2", None),
            ("queue.amazonaws.com", "us-east-1", None),
            ("sqs-fips.us-east-1.amazonaws.com", "us-east-1", "https://sqs-fips.us-east-1.amazonaws.com"),
            ("sqs.eu-west-1.api.aws", "eu-west-1", "https://sqs.eu-west-1.api.aws"),
            ("sqs-fips.us-gov-west-1.api.aws", "us-gov-west-1", "https://sqs-fips.us-gov-west-1.api.aws"),
            (
                "vpce-0f89a33420c1931d7-bluzidnv.sqs.eu-west-1.vpce.amazonaws.com",
                "eu-west-1",
                "https://vpce-0f89a33420c1931d7-bluzidnv.sqs.eu-west-1.vpce.amazonaws.com",
            ),
            (
                "vpce-0f89-us-east-1a.sqs.us-east-1.vpce.amazonaws.com",
                "us-east-1",
                "https://vpce-0f89-us-east-1a.sqs.us-east-1.vpce.amazonaws.com",
            ),
        ],
    )
    def test_each_form_of_address(self, host, region, endpoint):
        """The region, and the endpoint where it is not the region's usual one (trials 1.27)."""
        from peeklock.platforms.sqs.client import client_of

        keys = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "testing")
        sqs_client.forget()
        with environment(AWS_DEFAULT_REGION="ap-south-1", **keys):
            client = client_of(f"https://{host}/123456789012/orders")
        sqs_client.forget()
        assert client.meta.region_name == region
        assert endpoint is None or client.meta.endpoint_url == endpoint
        assert endpoint is not None or region in client.meta.endpoint_url or host.startswith("queue")

    @pytest.mark.parametrize(
        ("count", "delivery"), [(3, 3), ("3", 3), (0, 1), (-1, 1), (True, 1), (10**12, 1), (1.5, 1)]
    )
    def test_a_count_that_is_a_number(self, count, delivery):
        """Counts as it (trials 1.17)."""
        (message,) = sqs.receive({"Records": [self.record(attributes={"ApproximateReceiveCount": count})]}, "orders")
        assert message.delivery == delivery


class TestHTTP:
    """Cloud Tasks and Pub/Sub."""

    @pytest.mark.parametrize(
        ("method", "body", "copied"),
        [("PUT", b"{}", "PUT"), ("DELETE", b"", "DELETE"), ("GET", b"x", "POST"), ("BREW", b"{}", "POST")],
    )
    def test_a_copy_of_a_task_is_the_same_request(self, method, body, copied):
        """Method, headers and type (trials 1.4)."""
        queue = StrictCloudTasks()
        headers = {
            "x-cloudtasks-taskname": "t",
            "tenant": "blue",
            "content-type": "text/csv",
            "content-encoding": "gzip",
        }
        with google(queue):
            event = push.request_of(headers, body, method)
            assert queue.handle(fail, event, **world(queue=queue.sender()))
        request = queue.events()[0]
        assert request.method == copied
        assert request.body == body
        assert {name: request.headers[name] for name in list(headers)[1:]} == dict(list(headers.items())[1:])

    def test_an_ordering_key_is_kept(self):
        """The dead letter keeps it (trials 1.4)."""
        topic = StrictPubSub()
        body = {"message": {"message_id": "p-1", "data": None, "ordering_key": "k"}, "delivery_attempt": 3}
        event = push.request_of({}, json.dumps(body).encode())
        message = pubsub.receive(event, "orders")
        assert (message.body, message.group, message.delivery, message.id) == (b"", "k", 3, "p-1")
        with google(topic=topic):
            assert topic.handle(refuse, event, **world(dead_letter=topic.sender()))
        assert [published.ordering_key for published in topic.messages] == ["k"]

    def test_a_push_without_wrapper_keeps_its_lineage(self):
        """Attributes are bare headers, and only metadata have the prefix (trials 1.3)."""
        event = json.loads((ROOT / "events/pubsub/unwrapped_lineage.json").read_text())
        message = pubsub.receive(push.sample(event), "orders")
        assert (message.id, message.attempt, message.group) == ("order-9", 2, "customer-1")
        assert dict(message.attributes) == {"tenant": "shop"}
        store = MemoryStore()
        for n in range(2):
            event["headers"]["x-goog-pubsub-message-id"] = f"{n}"
            pubsub.run_sample(fail, event, **world(store=store))
        assert list(store.records) == ["orders@orders-push#order-9"]

    @pytest.mark.parametrize("attempt", ["4", "x", "", "0", "9" * 12])
    def test_the_delivery_of_an_unwrapped_push(self, attempt):
        """Counts where the service says it."""
        headers = {"x-goog-pubsub-message-id": "1", "x-goog-pubsub-delivery-attempt": attempt}
        assert pubsub.receive(push.request_of(headers, b""), "q").delivery == (4 if attempt == "4" else 1)

    @pytest.mark.parametrize("name", [*sorted(CREDENTIALS), "X-Tenant-Secret", "x-goog-something"])
    def test_credentials_stay_out(self, name):
        """They are in no attribute, copy or dead letter (trials 2.3)."""
        headers = {name: "s3cret", "Tenant": "blue"}
        with environment(PEEKLOCK_PRIVATE_HEADERS="x-other, X-Tenant-Secret"):
            task = push.request_of({**headers, "X-CloudTasks-TaskName": "t"}, b"{}")
            bare = push.request_of({**headers, "x-goog-pubsub-message-id": "1"}, b"{}")
            messages = [cloud_tasks.receive(task, "q"), pubsub.receive(bare, "q")]
        for message in messages:
            assert dict(message.attributes) == {"tenant": "blue"}
            assert "s3cret" not in str(headers_of(dead_letter(message))) + str(headers_of(copy(message)))

    def test_task_names_are_of_one_queue(self):
        """So that a declaration may be bound to two (trials 1.21)."""
        headers = {"X-CloudTasks-TaskName": "daily"}
        ids = {
            cloud_tasks.receive(push.request_of({**headers, "X-CloudTasks-QueueName": name}, b""), "q").id
            for name in ("eu", "us")
        }
        assert ids == {"eu/daily", "us/daily"}

    def test_what_no_header_takes_is_folded(self):
        """Such as a type with a line break, or an attribute that looks like ours."""
        sender = CloudTasksSender(queue=StrictCloudTasks.NAMES, target="https://t")
        odd = OutgoingMessage(
            body=b"{}", lineage=Lineage(id="x"), attributes={"a": "ä"}, content_type="text/x\r\nx-evil: 1"
        )
        form = fit(odd, sender)
        assert form is not None
        headers = headers_of(form)
        assert all(value.isprintable() for value in headers.values())
        message = cloud_tasks.receive(push.request_of({**headers, "x-cloudtasks-taskname": "t"}, form.body), "q")
        assert (message.body, message.attributes, message.content_type) == (b"{}", {"a": "ä"}, odd.content_type)

    @pytest.mark.parametrize("name", ["goog-x", "topic", "ordering_key", "n" * 257, "", "half \ud83d"])
    def test_names_that_pubsub_refuses(self, name):
        """Travel in the body, and come back; so does an id that is longer than an attribute (trials 1.1)."""
        topic = StrictPubSub()
        lineage = Lineage(id="i" * 2000, attempts=2)
        with google(topic=topic):
            assert topic.sender().send([OutgoingMessage(body=b"\x00", lineage=lineage, attributes={name: "v"})]) == [
                None
            ]
        message = topic.receive(topic.events()[0])
        assert (message.body, message.attributes, message.lineage) == (b"\x00", {name: "v"}, lineage)
        assert (message.id, message.attempt) == (lineage.id, 3)


class TestForms:
    """Folding, compression, and their undoing."""

    MESSAGE = Message("m-1", b"body", "orders", attributes={"a": "half \ud83d", "b": b"\xff"}, content_type="text/x")

    def test_the_order_of_forms(self):
        """A shorter detail, folded, compressed, without the reason, as it came."""

        class Narrow:
            limit = 0

            def __init__(self) -> None:
                self.asked: list[OutgoingMessage] = []

            def accepts(self, outgoing: OutgoingMessage) -> bool:
                self.asked.append(outgoing)
                return False

        narrow = Narrow()
        message = dataclasses.replace(self.MESSAGE, attributes={"a": "b"})
        long = dead_letter_of(message, reason="fatal", detail="ä" * 2000, attempts=1, now=NOW)
        last = fit(long, narrow)  # type: ignore[arg-type] # it never sends
        details = [len(str(attempted.attributes.get("peeklock-detail", "")).encode()) for attempted in narrow.asked]
        assert details[:4] == [1024, 1024, 256, 0]
        forms = [str(attempted.attributes.get(FORM, "")) for attempted in narrow.asked]
        assert forms[4:] == [*["envelope"] * 3, *["envelope+zlib"] * 3, *["", "envelope", "envelope+zlib"] * 2]
        assert [attempted.unexplained for attempted in narrow.asked] == [False] * 10 + [True] * 6
        assert [attempted.bare for attempted in narrow.asked] == [False] * 13 + [True] * 3
        assert last is not None
        assert (last.bare, last.body, last.attributes) == (True, message.body, message.attributes)
        assert fit(copy(message), narrow) is None  # type: ignore[arg-type] # as above
        for fitted in (last, folded(long), dataclasses.replace(long, origin=None)):
            assert fit(fitted, narrow) == fitted  # type: ignore[arg-type] # as above
        assert fit(folded(copy(message)), narrow) is None  # type: ignore[arg-type] # as above

    def test_a_sender_leaves_no_lineage_out_by_itself(self):
        """Whoever does has to record it, or the redriven dead letter would not run."""
        sender = SQSSender("https://sqs.eu-west-1.amazonaws.com/1/orders")
        sender.limit = 100
        long = dead_letter(dataclasses.replace(self.MESSAGE, body=random.Random(1).randbytes(200)))
        assert fit(long, sender) == dataclasses.replace(
            long, attributes=self.MESSAGE.attributes, unexplained=True, bare=True
        )
        assert prepare(long, sender) == long
        bare = fit(long, sender)
        assert bare is not None
        assert prepare(bare, sender) == bare

    def test_a_bomb_is_refused(self):
        """And so is all that we did not write: the body stays as it is (trials 1.1)."""
        bomb = zlib.compress(b'{"attributes":{}}\n' + bytes(MAX_UNFOLDED))
        cases: list[tuple[bytes, str]] = [
            (bomb, "envelope+zlib"),
            (zlib.compress(b"{}")[:-1], "envelope+zlib"),
            (b"x", "base64"),
            (b"eA==", "base64+base64"),
            (b"{}", "envelope"),
            (b"[]\n", "envelope"),
            (b'{"attributes":[],"types":{},"content_type":null,"lineage":""}\nx', "envelope"),
            (b"[" * 100_000 + b"\n", "envelope"),
            (b"x", "rot13"),
        ]
        for body, form in cases:
            message = Message("m", body, "q")
            unfold(message, form)
            assert (message.body, message.attributes) == (body, {})
            with pytest.raises(ValueError, match="not"):
                contents(body, form)
        unfold(message, 7)
        assert message.body == b"x"
        assert compressed(OutgoingMessage(body=bytes(MAX_UNFOLDED + 1), lineage=Lineage(id="x"))) is None

    def test_a_file_gives_back_what_was_folded(self, tmp_path):
        """With its reason; what is no form of ours stays (trials 1.1)."""
        sender = FileSender(str(tmp_path / "dead-letters.jsonl"))
        message = dataclasses.replace(self.MESSAGE, types={"a": "String.x"}, system={"subject": "s"})
        whole = dead_letter(message)
        envelope = folded(whole)
        small = compressed(envelope)
        assert small is not None
        odd = dataclasses.replace(whole, attributes={FORM: "rot13"})
        plain = dataclasses.replace(whole, body=b"Ym9keQ==", attributes={FORM: "base64"})
        assert list(sender.send([whole, envelope, small, odd, plain])) == [None] * 5
        first, second, third, fourth, fifth = read(str(sender.path))
        assert first == second == third == whole
        assert fourth == odd
        assert (fifth.body, fifth.attributes) == (b"body", {})
        assert unfolded(whole) is whole

    @settings(max_examples=60, deadline=None)
    @given(
        body=st.binary(max_size=400),
        attributes=st.dictionaries(
            st.text(max_size=40).filter(lambda name: not name.startswith("peeklock")),
            st.text(max_size=300) | st.binary(max_size=300),
            max_size=20,
        ),
        content_type=st.none() | st.text(min_size=1, max_size=20),
        small=st.booleans(),
    )
    def test_any_message_is_folded_and_unfolded(self, body, attributes, content_type, small):
        """Whatever it holds."""
        outgoing = OutgoingMessage(body=body, lineage=Lineage(id="x"), attributes=attributes, content_type=content_type)
        form = compressed(folded(outgoing)) if small else folded(outgoing)
        assert form is not None
        message = Message("m", form.body, "q")
        unfold(message, form.attributes[FORM])
        assert (message.body, message.attributes, message.content_type) == (body, attributes, content_type)
        assert message.lineage == outgoing.lineage


@settings(max_examples=80, deadline=None)
@given(
    size=st.integers(0, 3000),
    attributes=st.dictionaries(st.text("abc-ä", min_size=1, max_size=30), st.text(max_size=400), max_size=12),
    delay=st.integers(0, 100),
    bare=st.booleans(),
)
def test_weights_are_the_services_own(size, attributes, delay, bare):
    """Never less, or a message would be refused; and hardly more (trials 1.1)."""
    outgoing = OutgoingMessage(
        body=b"x" * size,
        lineage=Lineage(id="order-1", copy_number=1),
        attributes=attributes,
        delay=timedelta(seconds=delay),
        content_type="text/plain",
        bare=bare,
    )
    body, packed = pack(outgoing)
    assert SQSSender("https://sqs/1/q").weigh(outgoing) == size_in_sqs(
        {"MessageBody": body, "MessageAttributes": packed}
    )
    sender = ServiceBusSender("orders", lambda: None)
    real = size_in_servicebus(message_of(outgoing))
    assert real <= sender.weigh(outgoing) <= real + 120
    tasks = CloudTasksSender(queue=StrictCloudTasks.NAMES, target="https://t", service_account="a@b", audience="c")
    from google.cloud import pubsub_v1, tasks_v2

    real = len(tasks_v2.Task.serialize(tasks.task(outgoing)))
    assert real <= tasks.weigh(outgoing) <= real + 260 + 10 * len(headers_of(outgoing))
    if all(name.isidentifier() for name in attributes):
        from peeklock.platforms.pubsub.sender import pack as texts

        message = pubsub_v1.types.PubsubMessage(data=outgoing.body, attributes=texts(outgoing))
        real = len(pubsub_v1.types.PubsubMessage.serialize(message))
        assert real <= PubSubSender("projects/p/topics/t").weigh(outgoing) <= real + 700


@pytest.fixture
def outbox() -> Iterator[Outbox]:
    box = Outbox()
    with routed(lambda _: box):
        yield box


def test_names_of_our_own_are_refused(outbox):
    """Else a producer could say what was done to a body."""
    with pytest.raises(ConfigError, match="'peeklock-form': names that begin with 'peeklock' are reserved"):
        send(QUEUE, {}, attributes={"a": "b", "peeklock-form": "envelope"})
    assert outbox.outgoing_messages == []


@pytest.mark.parametrize("name", ["order-1.0.1", "order-1.1.0", "order-1.1.0.dead-letter"])
def test_a_copy_never_has_the_id_of_another_message(name):
    """Producers like to number theirs."""
    message = Message("order-1", b"", "orders")
    assert name not in {copy(message).id, dead_letter(message).id}
    assert copy(message).id != dead_letter(message).id
    assert OutgoingMessage(body=b"", lineage=Lineage(id=name)).id == name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\n", "plain\n"),
        ("\ud83d", "\\ud83d"),
        ("a\x00\x1f", "a\\x00\\x1f"),
        ("\uffff\x85", "\\uffff\\x85"),
        ("ä😀", "ä😀"),
    ],
)
def test_legible(text, shown):
    """Escapes for what queues refuse, and nothing else (trials 1.1)."""
    assert legible(text) == shown


@pytest.mark.parametrize(("text", "size", "kept"), [("äöü", 6, "äöü"), ("äöü", 5, "äö"), ("äöü", 1, ""), ("", 0, "")])
def test_a_text_is_cut_by_bytes(text, size, kept):
    """Between characters (trials 1.1)."""
    assert cut(text, size) == kept

"""Whole lives of messages: a host as Azure documents it, around the real worker library and the real converter."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, ClassVar

import azure.functions as func
import pytest
from azure_functions_runtime import handle_event
from azurefunctions.extensions.base import GrpcClientType, InConverter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudqueues.functions_host import typed_data
from cloudqueues.functions_host.cloudqueues_worker.typed_data import PROTOS, Status, TypedData
from peeklock import Batch, ConfigError, Message, Queue, consumer, servicebus
from peeklock.errors import EventError, Redeliver, SendError
from peeklock.message import Lineage
from peeklock.outcome import Disposition, Outcome, Reason
from peeklock.outgoing import REASON, OutgoingMessage
from peeklock.platforms.servicebus.settle import HostSettlement, NativeDeadLetterSender, wanted_hold
from peeklock.stores.memory import MemoryStore
from peeklock.testing import FakeClock, Outbox
from tests.core.world import FlakySender, Script
from tests.platforms.azure_worker import Worker
from tests.support import environment

QUEUE = Queue("orders", max_attempts=3, timeout=20)
START = datetime(2026, 11, 25, tzinfo=UTC)


@dataclass
class Stored:
    """A message in the queue."""

    body: bytes
    number: int = 0
    message_id: str = ""
    content_type: str = ""
    session: str = ""
    delivery: int = 1
    enqueued: datetime = START
    properties: dict[str, Any] = field(default_factory=dict)

    @property
    def token(self) -> str:
        return f"token-{self.number}"


class Host:
    """A queue and the host before it: what it hands to the worker, in which form, and how it settles.

    Sources: facts on AddBindingData, ToRpc and RunBatchReceiveLoopAsync in azure-sdk-for-net and azure-functions-host.
    A delay is no time here: a scheduled copy is there at once.
    """

    def __init__(self) -> None:
        self.messages: list[Stored] = []
        self.dead: list[Stored] = []
        self.settled: set[str] = set()
        self.sent = 0
        self.clock = FakeClock(START)

    def send(self, outgoing_messages: Sequence[OutgoingMessage], /) -> Sequence[SendError | None]:
        for outgoing in outgoing_messages:
            properties = {**outgoing.attributes, "peeklock": outgoing.lineage.dump()}
            self.put(Stored(outgoing.body, message_id=outgoing.id, session=outgoing.group or "", properties=properties))
        return [None] * len(outgoing_messages)

    def put(self, *messages: Stored) -> None:
        for message in messages:
            self.sent += 1
            self.messages.append(replace(message, number=self.sent, enqueued=START + timedelta(seconds=self.sent)))

    def resubmit(self) -> None:
        """Send the dead letter again with its properties, as tools do."""
        for dead_letter in self.dead:
            self.put(replace(dead_letter, delivery=1))
        self.dead.clear()

    def take(self, most: int, *, sessions: bool) -> list[Stored]:
        first = self.messages[0].session
        return [message for message in self.messages if not sessions or message.session == first][:most]

    def deliver(self, worker: Worker, *, batch: int = 0, sessions: bool = False, complete: bool = True) -> bool:
        """One invocation, and what follows from it; whether the function returned."""
        lent = self.take(batch or 1, sessions=sessions)
        self.settled.clear()
        (name,) = worker.functions
        event = _many(lent) if batch else _one(lent[0])
        ok = _invoke(worker.functions[name].function_id, *event)
        self.clock.advance(120)  # until every lease is over
        for stored in lent:
            if stored.token in self.settled:
                continue
            if ok and complete:
                self.messages.remove(stored)
            else:  # abandoned, or its lock runs out
                stored.delivery += 1
        return ok

    def drain(self, worker: Worker, most: int = 60, **how: Any) -> int:
        """Until the queue is empty; the number of invocations."""
        for n in range(most):
            if not self.messages:
                return n
            self.deliver(worker, **how)
        raise AssertionError(f"still there: {self.messages}")

    def find(self, message: Any) -> Stored:
        self.settled.add(message.lock_token)
        return next(stored for stored in self.messages if stored.token == message.lock_token)


def _when(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds")


def _one(stored: Stored) -> tuple[TypedData, dict[str, TypedData]]:
    texts = {"MessageId": stored.message_id, "ContentType": stored.content_type, "SessionId": stored.session}
    metadata = {name: TypedData(typed_data.text(text)) for name, text in texts.items() if text}
    return TypedData(typed_data.data(stored.body)), {
        **metadata,
        "LockToken": TypedData(typed_data.text(stored.token)),
        "DeliveryCount": TypedData(typed_data.as_json(stored.delivery)),
        "SequenceNumber": TypedData(typed_data.as_json(stored.number)),
        "EnqueuedTimeUtc": TypedData(typed_data.as_json(_when(stored.enqueued))),
        "UserProperties": TypedData(typed_data.as_json(stored.properties)),
        "ApplicationProperties": TypedData(typed_data.as_json(stored.properties)),
    }


def _many(messages: Sequence[Stored]) -> tuple[TypedData, dict[str, TypedData]]:
    properties = TypedData(typed_data.as_json([message.properties for message in messages]))
    return TypedData(typed_data.datas(message.body for message in messages)), {
        "MessageIdArray": TypedData(typed_data.texts([message.message_id for message in messages])),
        "ContentTypeArray": TypedData(typed_data.texts([message.content_type for message in messages])),
        "SessionIdArray": TypedData(typed_data.texts([message.session for message in messages])),
        "LockTokenArray": TypedData(typed_data.texts([message.token for message in messages])),
        "DeliveryCountArray": TypedData(typed_data.as_json([message.delivery for message in messages])),
        "SequenceNumberArray": TypedData(typed_data.longs(message.number for message in messages)),
        "EnqueuedTimeUtcArray": TypedData(typed_data.as_json([_when(message.enqueued) for message in messages])),
        "UserPropertiesArray": properties,
        "ApplicationPropertiesArray": properties,
    }


def _invoke(function_id: str, data: TypedData, metadata: dict[str, TypedData]) -> bool:
    """Invoke a function by the worker's own entry, which alone passes message actions."""
    handle_event.protos = PROTOS
    invocation = SimpleNamespace(
        invocation_id="i-1",
        function_id=function_id,
        input_data=[SimpleNamespace(name="messages", data=data, WhichOneof=lambda _: "data")],
        trigger_metadata=metadata,
        trace_context=SimpleNamespace(trace_parent="", trace_state="", attributes={}),
        retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
    )
    request = SimpleNamespace(request=SimpleNamespace(invocation_request=invocation))
    answer = asyncio.run(handle_event.invocation_request(request))
    return bool(answer.result.status == Status.Success)


class Actions(GrpcClientType):
    """The settlement client, which knows messages by their lock tokens."""

    host: ClassVar[Host]

    def complete(self, message: Any) -> None:
        self.host.messages.remove(self.host.find(message))

    def abandon(self, message: Any) -> None:
        self.host.find(message).delivery += 1

    def deadletter(self, message: Any, reason: str, description: str) -> None:
        dead_letter = self.host.find(message)
        self.host.messages.remove(dead_letter)
        why = {"DeadLetterReason": reason, "DeadLetterErrorDescription": description}
        self.host.dead.append(replace(dead_letter, properties={**dead_letter.properties, **why}))


class SettlementClient(InConverter, binding="serviceBusClient"):
    """Where the worker finds the actions: the extension registers one under this name."""

    @classmethod
    def get_client(cls) -> Actions:
        return Actions()


class Shop:
    """A consumer that does what the bodies say, and remembers."""

    def __init__(self) -> None:
        self.runs: list[str] = []
        self.seen: list[Message] = []
        self.done: list[str] = []

    def serve(self, payload: dict[str, Any], message: Message) -> None:
        """Fail the first `fails` times."""
        name = payload["name"]
        self.runs.append(name)
        self.seen.append(message)
        if self.runs.count(name) <= payload.get("fails", 0):
            raise ValueError(name)
        self.done.append(name)

    def sync(self) -> Callable[..., object]:
        @consumer(QUEUE)
        def handler(payload: dict, message: Message) -> str:  # type: ignore[type-arg] # as users write it
            self.serve(payload, message)
            return "a value, which the worker would refuse"

        return handler

    def coroutine(self) -> Callable[..., object]:
        @consumer(QUEUE)
        async def handler(payload: dict, message: Message) -> None:  # type: ignore[type-arg] # as users write it
            self.serve(payload, message)

        return handler


def order(name: str, fails: int = 0, **more: Any) -> Stored:
    return Stored(json.dumps({"name": name, "fails": fails}).encode(), message_id=f"id-{name}", **more)


def bound(function: Any, host: Host, **more: Any) -> Worker:
    app = func.FunctionApp()
    world = {"hold": 0, "store": MemoryStore(), "dead_letter": Outbox(), "queue": host, "clock": host.clock}
    servicebus.bind(function, app=app, **{**world, **more})
    return Worker(app)


FORMS = pytest.mark.parametrize("form", ["sync", "coroutine"])


@FORMS
@pytest.mark.parametrize("batch", [0, 4])
def test_failures_leave_and_the_others_run_once(form, batch):
    """Copies until the attempts are used up, dead letters at once for what can never succeed: alone and in batches."""
    shop, host, dead_letters = Shop(), Host(), Outbox()
    worker = bound(getattr(shop, form)(), host, batch=bool(batch), dead_letter=dead_letters)
    host.put(order("a"), order("never", fails=9), Stored(b""), order("twice", fails=2), Stored(b"\xff\x00"), order("b"))
    host.drain(worker, batch=batch)
    assert {name: shop.runs.count(name) for name in shop.runs} == {"a": 1, "never": 3, "twice": 3, "b": 1}
    assert sorted(outgoing.attributes[REASON] for outgoing in dead_letters.outgoing_messages) == [
        "exhausted",
        "invalid",
        "invalid",
    ]


@pytest.mark.parametrize("batch", [0, 5])
def test_a_dead_letter_that_cannot_be_sent_brings_its_message_back(batch):
    """And in a batch the others with it, which come back as duplicates and do not run again."""
    shop, host, dead_letters = Shop(), Host(), Outbox()
    flaky = FlakySender(dead_letters, Script({1: "before", 2: "before"}))
    worker = bound(shop.sync(), host, batch=bool(batch), dead_letter=flaky)
    host.put(order("a"), Stored(b"{"), order("b"))
    assert [host.deliver(worker, batch=batch) for _ in range(2)] == ([False, False] if batch else [True, False])
    host.drain(worker, batch=batch)
    assert sorted(shop.runs) == ["a", "b"]
    assert len(dead_letters.outgoing_messages) == 1


@FORMS
@pytest.mark.parametrize("batch", [0, 5])
def test_a_session_keeps_its_order(form, batch):
    """Behind a failing head nothing runs; without a copy, which would be overtaken."""
    shop, host, dead_letters = Shop(), Host(), Outbox()
    worker = bound(getattr(shop, form)(), host, batch=bool(batch), sessions=True, dead_letter=dead_letters)
    host.put(*(order(name, fails=fails, session="s") for name, fails in [("a", 2), ("b", 0), ("c", 9), ("d", 0)]))
    host.drain(worker, batch=batch, sessions=True)
    assert shop.runs == ["a", "a", "a", "b", "c", "c", "c", "d"]
    assert host.sent == 4
    assert [outgoing.attributes[REASON] for outgoing in dead_letters.outgoing_messages] == ["exhausted"]


def test_a_session_without_a_name_is_one_all_the_same():
    """The host drops its name from the column, and the order must hold."""
    shop, host = Shop(), Host()
    worker = bound(shop.sync(), host, batch=True, sessions=True)
    host.put(order("a", fails=1), order("b"))
    host.drain(worker, batch=5, sessions=True)
    assert shop.runs == ["a", "a", "b"]


class TestActions:
    """Where the worker offers to settle."""

    def bind(self, host: Host, shop: Shop, form: str = "sync", **more: Any) -> Worker:
        Actions.host = host
        app = func.FunctionApp()
        world = {"hold": 0, "store": MemoryStore(), "queue": host, "clock": host.clock}
        servicebus.bind(getattr(shop, form)(), app=app, actions=Actions, **{**world, **more})
        return Worker(app)

    @FORMS
    @pytest.mark.parametrize("batch", [0, 5])
    def test_each_is_settled_by_itself(self, form, batch):
        """Nothing is left to the host, and dead letters are the queue's own."""
        shop, host = Shop(), Host()
        worker = self.bind(host, shop, form, batch=bool(batch))
        host.put(order("a"), order("never", fails=9), Stored(b"{"), order("b"))
        host.drain(worker, batch=batch, complete=False)
        assert {name: shop.runs.count(name) for name in shop.runs} == {"a": 1, "never": 3, "b": 1}
        assert sorted(stored.properties["DeadLetterReason"] for stored in host.dead) == ["exhausted", "invalid"]
        described = {stored.properties["DeadLetterErrorDescription"] for stored in host.dead}
        assert "ValueError: never" in described

    def test_without_a_store_the_queue_counts(self):
        """A batch needs none, since one failure brings nothing else back."""
        shop, host = Shop(), Host()
        worker = self.bind(host, shop, batch=True, store=None)
        host.put(order("a"), order("never", fails=9), order("b"))
        host.drain(worker, batch=5, complete=False)
        assert shop.runs == ["a", "never", "b", "never", "never"]
        assert [stored.properties["DeadLetterReason"] for stored in host.dead] == ["exhausted"]

    @pytest.mark.parametrize("sessions", [False, True])
    @pytest.mark.parametrize("batch", [0, 5])
    def test_a_native_dead_letter_runs_again_each_time_it_is_put_back(self, batch, sessions):
        """Not only the first time, although without copies, as in a session, the lineage on it never changes."""
        shop, host = Shop(), Host()
        worker = self.bind(host, shop, batch=bool(batch), sessions=sessions)
        how: dict[str, Any] = {"batch": batch, "sessions": sessions, "complete": False}
        host.put(order("x", fails=7, session="s"))
        host.send([OutgoingMessage(body=b'{"name":"y","fails":7}', lineage=Lineage(id="order-y"), group="s")])
        for lives in (1, 2):
            host.drain(worker, **how)
            assert (shop.runs.count("x"), shop.runs.count("y"), len(host.dead)) == (3 * lives, 3 * lives, 2)
            host.resubmit()
        host.drain(worker, **how)
        assert (sorted(shop.done), host.dead) == (["x", "y"], [])

    def test_dead_letters_may_go_elsewhere(self):
        """With dead_letter= they are sent, and the message is completed."""
        shop, host, dead_letters = Shop(), Host(), Outbox()
        worker = self.bind(host, shop, dead_letter=dead_letters)
        host.put(Stored(b"{"))
        host.drain(worker, complete=False)
        assert (len(dead_letters.outgoing_messages), host.dead) == (1, [])

    def test_a_worker_without_them_is_told_so(self):
        """Before anything runs: nothing would ever be completed."""
        shop = Shop()
        entry = servicebus.bind(shop.sync(), app=func.FunctionApp(), actions=Actions)
        with pytest.raises(ConfigError, match="no message actions"):
            entry(messages=_decoded(order("a")))
        assert shop.runs == []

    def test_the_class_is_found_by_itself(self):
        """`actions=True` finds the class of Microsoft's extension. In a process of its own, since two classes cannot have one binding."""
        code = (
            "import azure.functions as func\n"
            "from peeklock import Queue, consumer, servicebus\n"
            "from peeklock.platforms.servicebus.settle import actions_class\n"
            "@consumer(Queue('orders'))\n"
            "def handle(body: bytes) -> None: ...\n"
            "entry = servicebus.bind(handle, app=func.FunctionApp(), actions=True)\n"
            "print(actions_class(True).__name__, entry.__annotations__['actions'] is actions_class(True))\n"
        )
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert ran.stdout.split() == ["ServiceBusMessageActions", "True"]

    def test_an_extension_that_is_not_installed(self, monkeypatch):
        """Is named, with how to install it."""
        monkeypatch.setitem(sys.modules, "azurefunctions.extensions.bindings.servicebus", None)
        with pytest.raises(ConfigError, match="pip install azurefunctions-extensions-bindings-servicebus"):
            servicebus.bind(Shop().sync(), app=func.FunctionApp(), actions=True)

    def test_what_is_finished_does_not_wait_for_what_comes_back(self):
        """The lock of a finished message could end meanwhile."""
        at: list[tuple[str, float]] = []
        start = time.monotonic()

        class Timed(Actions):
            def complete(self, message: Any) -> None:
                at.append(("complete", time.monotonic() - start))

            def abandon(self, message: Any) -> None:
                at.append(("abandon", time.monotonic() - start))

        entry = servicebus.bind(Shop().sync(), app=func.FunctionApp(), batch=True, actions=Timed, hold=0.3)
        entry(messages=[_decoded(order("bad", fails=1)), _decoded(replace(order("a"), number=2))], actions=Timed())
        assert [verb for verb, _ in at] == ["complete", "abandon"]
        assert at[0][1] < 0.25 <= at[1][1]


def _decoded(stored: Stored) -> Any:
    """A message alone, by the real converter."""
    from azure.functions.meta import Datum
    from azure.functions.servicebus import ServiceBusMessageInConverter

    data, metadata = _one(stored)
    typed = {
        name: Datum(getattr(value, value.WhichOneof("data")), value.WhichOneof("data"))
        for name, value in metadata.items()
    }
    return ServiceBusMessageInConverter.decode(Datum(data.bytes, "bytes"), trigger_metadata=typed)


class TestWhatIsBelieved:
    """Metadata of a batch whose columns have lost their empty entries."""

    def test_shifted_columns(self):
        """Only the last has an id and a type, which the converter gives to the first."""
        shop, host = Shop(), Host()
        worker = bound(shop.sync(), host, batch=True)
        host.put(
            replace(order("a"), message_id="", delivery=4),
            replace(order("b"), message_id="", properties={"n": 1, "k": "v", "DeadLetterless": "x"}),
            replace(order("c"), content_type="application/json"),
        )
        host.drain(worker, batch=5)
        assert [re.split("[.@]", message.id)[0] for message in shop.seen] == ["seq-1", "seq-2", "seq-3"]
        assert [message.content_type for message in shop.seen] == [None, None, None]
        assert [message.delivery for message in shop.seen] == [4, 1, 1]
        assert [dict(message.attributes) for message in shop.seen] == [
            {},
            {"n": "1", "k": "v", "DeadLetterless": "x"},
            {},
        ]
        assert [message.sent_at for message in shop.seen] == [START + timedelta(seconds=n) for n in (1, 2, 3)]

    def test_whole_columns(self):
        """Are believed."""
        shop, host = Shop(), Host()
        worker = bound(shop.sync(), host, batch=True)
        host.put(*(replace(order(name), content_type=f"text/{name}") for name in "ab"))
        host.drain(worker, batch=5)
        assert [message.content_type for message in shop.seen] == ["text/a", "text/b"]

    def test_a_message_keeps_its_id_whoever_shares_its_batch(self):
        """So a redelivery beside a message without an id is still a duplicate."""
        shop, host = Shop(), Host()
        dead_letters = FlakySender(Outbox(), Script({1: "before"}))
        worker = bound(shop.sync(), host, batch=True, dead_letter=dead_letters)
        host.put(order("a"), replace(order("b"), body=b"{"))
        assert not host.deliver(worker, batch=2)
        host.messages.insert(0, replace(order("c"), message_id="", number=9))
        host.drain(worker, batch=5)
        assert shop.runs == ["a", "c"]

    def test_a_body_that_names_metadata(self):
        """Is a body, and no metadata."""
        shop, host = Shop(), Host()
        worker = bound(shop.sync(), host)
        host.put(Stored(b'{"name":"a","messageId":"forged","deliveryCount":"9"}', message_id="true"))
        host.drain(worker)
        assert [(message.id, message.delivery) for message in shop.seen] == [("true", 1)]

    def test_times_are_utc_wherever_the_function_runs(self):
        """The host leaves the zone out, and the machine's own must not be taken for it."""
        with environment(TZ="Asia/Tokyo"):
            time.tzset()
            (message,) = servicebus.receive(_decoded(order("a")), "orders")
        time.tzset()
        assert message.sent_at == START

    @pytest.mark.parametrize("sent", [None, datetime.max.replace(tzinfo=UTC)])
    def test_a_time_that_makes_no_sense(self, sent):
        """Starts the next life all the same, and its lineage can travel on."""
        (message,) = servicebus.receive(_decoded(order("a", properties={"DeadLetterReason": "x"})), "orders")
        raw = SimpleNamespace(
            get_body=lambda: b"",
            application_properties={"DeadLetterReason": "x", "peeklock": Lineage(id="t", generation=4).dump()},
            message_id="m",
            sequence_number=1,
            delivery_count=True,
            enqueued_time_utc=sent,
            content_type=7,
        )
        (odd,) = servicebus.receive(raw, "orders")
        assert message.lineage is not None
        assert odd.lineage is not None
        assert odd.lineage.generation > 4
        assert Lineage.load(odd.lineage.dead_letter().dump()) == odd.lineage.dead_letter()
        assert (odd.content_type, odd.delivery, message.attempt) == (None, 1, 1)

    def test_a_body_that_is_text(self):
        """Was interpreted on the way: the trigger is not ours."""
        raw = SimpleNamespace(get_body=lambda: "text", application_properties={})
        with pytest.raises(EventError, match="data_type BINARY"):
            servicebus.receive(raw, "orders")


class TestBinding:
    """Refused declarations, and registered functions."""

    @pytest.mark.parametrize(
        ("queue", "more", "fix"),
        [
            (QUEUE, {"topic_name": "t"}, "needs subscription_name="),
            (QUEUE, {"subscription_name": "s"}, "needs subscription_name= as well, and the other way round"),
            (QUEUE, {"topic_name": "t", "subscription_name": "s", "queue_name": "q"}, "not both"),
            (Queue("q", first_delay=1), {"topic_name": "t", "subscription_name": "s"}, "name with queue="),
            (Queue("q", fifo=True), {}, "sessions=True"),
            (Queue("q", timeout=300), {"batch": True}, "at most timeout=299"),
            (QUEUE, {"hold": -1}, "hold= cannot be negative"),
            (QUEUE, {"hold": "20"}, "hold= takes seconds"),
        ],
    )
    def test_what_cannot_work(self, queue, more, fix):
        """Each says what to do."""

        @consumer(queue)
        def handler(payload: dict) -> None: ...  # type: ignore[type-arg] # as users write it

        with pytest.raises(ConfigError, match=fix):
            servicebus.bind(handler, app=func.FunctionApp(), **more)

    def test_two_functions_of_one_consumer(self):
        """Each has its own name: for the queue, and for a subscription whose copies go to it."""
        shop, host, dead_letters = Shop(), Host(), Outbox()
        handler, store = shop.sync(), MemoryStore()
        app = func.FunctionApp()
        common: dict[str, Any] = {"app": app, "store": store, "queue": host, "dead_letter": dead_letters, "hold": 0}
        servicebus.bind(handler, **common)
        servicebus.bind(handler, name="from_topic", topic_name="t", subscription_name="s", **common)
        worker = Worker(app)
        assert set(worker.functions) == {"handler", "from_topic"}
        topic = Host()
        topic.put(order("a", fails=1))
        assert _invoke(worker.functions["from_topic"].function_id, *_one(topic.messages[0]))
        assert _invoke(worker.functions["handler"].function_id, *_one(host.messages[0]))
        assert shop.done == ["a"]

    def test_a_topic_without_a_queue_for_copies(self):
        """Comes back by the host, without a delay of its own."""
        shop, host = Shop(), Host()
        app = func.FunctionApp()
        world: dict[str, Any] = {"store": MemoryStore(), "dead_letter": Outbox(), "hold": 0}
        servicebus.bind(shop.sync(), app=app, topic_name="t", subscription_name="s", **world)
        worker = Worker(app)
        host.put(order("a", fails=1))
        assert [host.deliver(worker), host.deliver(worker)] == [False, True]
        assert shop.runs == ["a", "a"]

    def test_a_batch_handler_alone_and_in_batches(self):
        """Gets a Batch either way."""
        sizes: list[int] = []

        @consumer(QUEUE)
        def handler(rows: Batch[dict]) -> None:  # type: ignore[type-arg] # as users write it
            sizes.append(len(rows))

        for batch in (0, 3):
            host = Host()
            worker = bound(handler, host, batch=bool(batch))
            host.put(*(order(name) for name in "abc"))
            host.drain(worker, batch=batch)
        assert sizes == [1, 1, 1, 3]


def ended(disposition: Disposition, delay: float | None = None, delivery: int = 1) -> Any:
    outcome = Outcome(
        disposition=disposition, reason=Reason.RETRY, delay=None if delay is None else timedelta(seconds=delay)
    )
    message = Message(id="m", body=b"", queue="q", delivery=delivery)
    return SimpleNamespace(message=message, outcome=outcome, key="m", duration=0.0)


ABANDON, COMPLETE = Disposition.ABANDON, Disposition.COMPLETE


@pytest.mark.parametrize(
    ("settled", "seconds"),
    [
        ([], 0),
        ([ended(COMPLETE, 9)], 0),
        ([ended(ABANDON, 0)], 0),
        ([ended(ABANDON, 7), ended(ABANDON, 0)], 7),
        ([ended(ABANDON), ended(COMPLETE)], 1),
        ([ended(ABANDON, delivery=4)], 8),
        ([ended(ABANDON, delivery=5000)], 1024),
    ],
)
def test_how_long_what_comes_back_is_held(settled, seconds):
    """For its delay; where it has none, longer with each delivery."""
    assert wanted_hold(settled) == seconds


@pytest.mark.parametrize(("passed", "delay", "held"), [(0, 7, 7), (0, 90, 20), (50, 90, 9), (59.5, 90, 0), (90, 90, 0)])
def test_it_is_held_within_the_lock(passed, delay, held):
    """A minute here, less the reserve; and never longer than was said."""
    clock = FakeClock()
    minute = timedelta(minutes=1)
    settlement = HostSettlement(
        clock, lock=minute, longest=minute, hold=timedelta(seconds=20), native_sender=NativeDeadLetterSender(None)
    )
    clock.advance(passed)
    assert settlement.wait([ended(ABANDON, delay)]) == pytest.approx(held)


class Longest:
    """No jitter: the whole delay."""

    def uniform(self, a: float, b: float, /) -> float:
        return max(a, b)


@FORMS
def test_it_is_held_before_it_comes_back(form):
    """And the host hears of it afterwards."""
    world: dict[str, Any] = {"store": MemoryStore(), "dead_letter": Outbox(), "random": Longest()}
    entry = servicebus.bind(getattr(Shop(), form)(), app=func.FunctionApp(), sessions=True, hold=0.2, **world)
    start = time.monotonic()
    with pytest.raises(Redeliver, match="1 of 1"):
        _call(entry, order("a", fails=9, session="s"))
    assert 0.2 <= time.monotonic() - start < 2


def _call(entry: Callable[..., Any], stored: Stored) -> None:
    awaitable = entry(messages=_decoded(stored))
    if awaitable is not None:
        asyncio.run(awaitable)


class TestRehearsal:
    """Events as JSON."""

    @pytest.mark.parametrize(
        ("event", "what"),
        [
            ({"inputData": [], "triggerMetadata": {}}, "inputData"),
            ({"inputData": [{"data": {"bytes": "e30="}}], "triggerMetadata": []}, "inputData"),
            ({"inputData": [{"data": {"bytes": "!"}}], "triggerMetadata": {}}, "Error"),
            ({"inputData": [{"data": {"modelBindingData": {}}}], "triggerMetadata": {}}, "modelBindingData"),
            (
                {
                    "inputData": [{"data": {"bytes": ""}}],
                    "triggerMetadata": {"UserProperties": {"json": "{}"}, "sys": {"json": "{"}},
                },
                "JSONDecodeError",
            ),
            (
                {
                    "inputData": [{"data": {"collectionBytes": {"bytes": ["", ""]}}}],
                    "triggerMetadata": {"UserPropertiesArray": {"json": "[{}]"}},
                },
                "2 bodies, and properties of 1 messages",
            ),
        ],
    )
    def test_what_no_host_would_send(self, event, what):
        """Is refused in words."""
        with pytest.raises(EventError, match=what):
            servicebus.run_sample(Shop().sync(), event, store=MemoryStore(), dead_letter=Outbox(), queue=Outbox())

    @FORMS
    @pytest.mark.parametrize("input_data", [[{}], [{"data": {}}], [{"data": {"int": "7"}}], [{"data": {"double": 7}}]])
    def test_a_message_without_a_body(self, form, input_data):
        """Has none, and numbers are no body."""
        metadata = {
            "MessageId": {"string": "m"},
            "UserProperties": {"json": "{}"},
            "DeliveryCount": {"int": 2},
            "SessionId": {"string": "s"},
        }
        dead_letters = Outbox()
        event = {"inputData": input_data, "triggerMetadata": metadata}
        world: dict[str, Any] = {"store": MemoryStore(), "dead_letter": dead_letters, "queue": Outbox()}
        if input_data[0].get("data"):
            with pytest.raises(EventError):
                servicebus.run_sample(getattr(Shop(), form)(), event, **world)
        else:
            assert servicebus.run_sample(getattr(Shop(), form)(), event, **world) is None
            assert [outgoing.body for outgoing in dead_letters.outgoing_messages] == [b""]

    @FORMS
    def test_what_comes_back(self, form):
        """Is what the host would be told, without any waiting."""
        metadata = {"MessageId": {"string": "m"}, "UserProperties": {"json": "{}"}, "SessionId": {"string": "s"}}
        event = {"inputData": [{"data": {"bytes": "eyJuYW1lIjoiYSIsImZhaWxzIjo5fQ=="}}], "triggerMetadata": metadata}
        start = time.monotonic()
        result = servicebus.run_sample(getattr(Shop(), form)(), event, store=MemoryStore(), dead_letter=Outbox())
        assert result == {"raises": "Redeliver"}
        assert time.monotonic() - start < 1


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from(["{}", "[{}]", "e30="]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["bytes", "string", "json", "int", "collectionBytes", "collectionString", "sint64", "data"])
            | st.text(max_size=5),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
COLUMNS = ["UserProperties", "ApplicationProperties", "DeliveryCount", "SequenceNumber", "EnqueuedTimeUtc", "SessionId"]
near = st.fixed_dictionaries(
    {
        "inputData": st.lists(st.fixed_dictionaries({"data": anything}), max_size=2) | anything,
        "triggerMetadata": st.dictionaries(
            st.sampled_from([*COLUMNS, *(f"{name}Array" for name in COLUMNS), "MessageId", "MessageIdArray", "sys"]),
            st.dictionaries(
                st.sampled_from(["json", "string"]), st.sampled_from(["{}", "[{}]", "[]", "1", "x"]), max_size=1
            )
            | anything,
            max_size=6,
        ),
    }
)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(event=anything | near)
def test_any_json_is_an_event_or_an_event_error(event):
    """Never another exception."""
    assert servicebus.matches(event) in (True, False)
    try:
        result = servicebus.run_sample(Shop().sync(), event, store=MemoryStore(), dead_letter=Outbox(), queue=Outbox())
    except EventError:
        return
    assert result in (None, {"raises": "Redeliver"})


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    fates=st.lists(st.integers(0, 4) | st.just(-1), min_size=1, max_size=6),
    batch=st.sampled_from([0, 2, 5]),
    sessions=st.booleans(),
    native=st.booleans(),
    faults=st.dictionaries(st.integers(1, 6), st.sampled_from(["before", "after", "short"]), max_size=3),
)
def test_nothing_is_lost_and_nothing_runs_after_a_success(fates, batch, sessions, native, faults):
    """Whatever fails how often, and whichever copies and dead letters the queues do not take or do not confirm."""
    shop, host, dead_letters = Shop(), Host(), Outbox()
    script = Script(faults)
    Actions.host = host
    more: dict[str, Any] = {"queue": _Unsure(host, script), "dead_letter": FlakySender(dead_letters, script)}
    if native:
        more = {**more, "actions": Actions, "dead_letter": NativeDeadLetterSender(None)}
    worker = bound(shop.sync(), host, batch=bool(batch), sessions=sessions, **more)
    for n, fails in enumerate(fates):
        host.put(Stored(b"{", message_id=f"{n}", session="s") if fails < 0 else order(f"{n}", fails=fails, session="s"))
    host.drain(worker, most=200, batch=batch, sessions=sessions, complete=not native)
    for n, fails in enumerate(fates):
        runs, done = shop.runs.count(f"{n}"), shop.done.count(f"{n}")
        assert done == (0 <= fails < 3), "each that can succeed does, once"
        assert runs == (0 if fails < 0 else min(fails + 1, 3)), "and runs only as often as it has to"
    ids = {outgoing.lineage.id for outgoing in dead_letters.outgoing_messages} or {
        str(stored.number) for stored in host.dead
    }
    assert len(ids) == sum(fails < 0 or fails >= 3 for fails in fates), "the others are dead letters"


class _Unsure:
    """The queue itself, with faults as those of `FlakySender`."""

    def __init__(self, host: Host, script: Script) -> None:
        self.host = host
        self.script = script

    def send(self, outgoing_messages: Sequence[OutgoingMessage], /) -> Sequence[SendError | None]:
        fault = self.script.next()
        if fault == "before":
            raise SendError("down")
        self.host.send(outgoing_messages)
        if fault == "after":
            raise SendError("the response was lost")
        return [None] * (len(outgoing_messages) - (fault == "short"))

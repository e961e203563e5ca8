"""Events that run in a process of their own, and tell how they ended and how long they took.

The SDKs are imported with this module, before any clock is read: a function that is warm has them, too. The clients are
made within the event, as by its first one.
"""

from __future__ import annotations

import asyncio
import base64
import importlib
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import azure.functions as func
import boto3
import botocore.session

from peeklock import DeadLetter, Queue, cloudtasks, consumer, pubsub, servicebus, sqs
from peeklock.errors import SendError, StoreError
from peeklock.idempotency.record import Record, State
from peeklock.idempotency.store import Answer, Change, Store
from peeklock.message import Lineage
from peeklock.observability.observer import Settled
from peeklock.outgoing import OutgoingMessage
from peeklock.platforms.servicebus import sample_events as servicebus_events
from peeklock.registry import open_sender, open_store
from peeklock.stores.memory import MemoryStore
from tests.blackholes.running import LIMIT
from tests.support import ROOT

SDKS = (
    "azure.data.tables",
    "azure.identity",
    "azure.servicebus",
    "google.cloud.firestore_v1.services.firestore",
    "google.cloud.pubsub_v1",
    "google.cloud.tasks_v2",
    "redis.cluster",
    "requests",
)
for _name in SDKS:
    importlib.import_module(_name)


def _read_models() -> None:
    """Read the data that boto3 loads before its first call of a service: megabytes of JSON."""
    session = botocore.session.get_session()
    loader = session.get_component("data_loader")
    for service in ("sqs", "dynamodb"):
        loader.load_service_model(service, "service-2")
        loader.load_service_model(service, "endpoint-rule-set-1")
    for data in ("endpoints", "partitions"):
        loader.load_data(data)
    boto3.setup_default_session(botocore_session=session)


_read_models()

NAMES = ".unresolved.test"
"""Host names whose look-up never ends."""

TOKEN = ".".join(
    base64.urlsafe_b64encode(part.encode()).decode().rstrip("=")
    for part in ('{"alg":"RS256","kid":"k1","typ":"JWT"}', '{"iss":"https://accounts.google.com"}', "signature")
)
"""Well-formed: what is wrong with it is found only by the certificates."""

SLOW_SECONDS = 3.0

QUEUE = Queue("orders", max_attempts=3, timeout=1, first_delay=2)


class Watch:
    """Remembers reasons by message id, and the names of what was logged."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}
        self.logged: list[str] = []

    def running(self, _: object, /) -> None:
        return None

    def settled(self, _: str, settled: Sequence[Settled], /) -> None:
        self.reasons.update({delivery.message.native_id: delivery.outcome.reason.value for delivery in settled})


class Noting(logging.Handler):
    """Keeps the event's name of each record."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch

    def emit(self, record: logging.LogRecord) -> None:
        self.watch.logged.append(str(record.msg).partition(" ")[0])


class Scene:
    """One event: a handler that does what its message says, its answer, and its time."""

    def __init__(self, form: str = "sync") -> None:
        self.watch = Watch()
        self.ran: list[str] = []
        logging.getLogger().addHandler(logging.NullHandler())  # else the SDKs' own warnings go to the test's output
        logging.getLogger("peeklock").addHandler(Noting(self.watch))

        @consumer(QUEUE)
        def handle(payload: dict) -> None:  # type: ignore[type-arg] # the bare annotation is the documented one
            self.run(payload["what"])

        @consumer(QUEUE)
        async def handle_async(payload: dict) -> None:  # type: ignore[type-arg] # as above
            self.run(payload["what"])

        self.handle: Any = handle if form == "sync" else handle_async

    def run(self, what: str) -> None:
        self.ran.append(what)
        if what == "fatal":
            raise DeadLetter("on purpose")
        if what == "fails":
            raise ValueError("on purpose")

    def time(self, act: Callable[[], object]) -> dict[str, Any]:
        """Return what `act` answers or raises, and all that was noticed meanwhile."""
        began = time.monotonic()
        try:
            answer = act()
        except Exception as exc:  # noqa: BLE001 - an answer as well: the host listens to it
            answer = type(exc).__name__
        seconds = time.monotonic() - began
        return {
            "seconds": seconds,
            "answer": answer,
            "ran": self.ran,
            "reasons": self.watch.reasons,
            "logged": self.watch.logged,
        }


class DeafStore:
    """A store in memory that answers the claims, and nothing after them."""

    def __init__(self) -> None:
        self.memory = MemoryStore()

    def swap(self, changes: Sequence[Change], /) -> Sequence[Answer]:
        if any(change.record is None or change.record.state is not State.RUNNING for change in changes):
            threading.Event().wait()
        return self.memory.swap(changes)


class SlowStore:
    """A store that needs some time to fail."""

    def swap(self, changes: Sequence[Change], /) -> Sequence[Answer]:
        time.sleep(SLOW_SECONDS)
        raise StoreError("no answer")


STORES: Mapping[str, Callable[[], Store]] = {"memory": MemoryStore, "deaf": DeafStore, "slow": SlowStore}


class Noticed:
    """Calls that end and calls that hang, in their order."""

    def __init__(self) -> None:
        self.calls: list[str] = []


class SilentSQS(Noticed):
    """An SQS client whose first call for visibilities is never answered."""

    def get_queue_url(self, **asked: str) -> dict[str, str]:
        return {"QueueUrl": f"https://sqs.invalid/{asked['QueueName']}"}

    def change_message_visibility_batch(self, **asked: Any) -> dict[str, Any]:
        first = not self.calls
        self.calls.append(asked["Entries"][0]["ReceiptHandle"])
        if first:
            threading.Event().wait()
        return {}


class SilentActions(Noticed):
    """Message actions of Service Bus of which the first of `verb` is never answered."""

    def __init__(self, verb: str) -> None:
        super().__init__()
        self.verb = verb

    def _act(self, verb: str) -> None:
        first = verb not in self.calls
        self.calls.append(verb)
        if first and verb == self.verb:
            threading.Event().wait()

    def complete(self, message: Any) -> None:
        self._act("complete")

    def abandon(self, message: Any) -> None:
        self._act("abandon")

    def deadletter(self, message: Any, *_: str) -> None:
        self._act("deadletter")


class Context:
    """Lambda's, as far as time goes."""

    def __init__(self, seconds: float = LIMIT) -> None:
        self.end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return int((self.end - time.monotonic()) * 1000)


def never_resolve() -> None:
    """Let the look-up of some names hang, as with a name server that is gone. The system's own resolver asks a name server
    only where the system says which, so it is the function above it that hangs."""
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *rest: Any, **more: Any) -> Any:
        text = host.decode() if isinstance(host, bytes) else str(host)
        if text.endswith(NAMES):
            threading.Event().wait()
        return resolve(host, *rest, **more)

    socket.getaddrinfo = getaddrinfo


def sqs_event(whats: Sequence[str]) -> dict[str, Any]:
    records = [
        {
            "messageId": f"{what}-{n}",
            "receiptHandle": f"handle-{n}",
            "body": json.dumps({"what": what}),
            "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1764500000000"},
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:orders",
            "awsRegion": "eu-west-1",
        }
        for n, what in enumerate(whats)
    ]
    return {"Records": records}


def on_sqs(
    whats: Sequence[str], *, store: str = "memory", silent: bool = False, limit: float = LIMIT
) -> dict[str, Any]:
    """An SQS event with `limit` seconds left. `store`: one of STORES, or "" for the environment's. `silent`: with a client
    that does not answer, else the process's own."""
    never_resolve()
    scene, client = Scene(), SilentSQS()
    more: dict[str, Any] = {"store": STORES[store]()} if store else {}
    if silent:
        more["client"] = client
    handler = sqs.bind(scene.handle, observer=scene.watch, **more)
    event = sqs_event(whats)
    report = scene.time(lambda: handler(event, Context(limit)))
    if isinstance(report["answer"], dict):
        report["answer"] = [
            batch_item_failure["itemIdentifier"] for batch_item_failure in report["answer"]["batchItemFailures"]
        ]
    return {**report, "calls": client.calls}


def on_push(what: str, platform: str, form: str, access: Mapping[str, Any]) -> dict[str, Any]:
    """A request of Cloud Tasks or Pub/Sub that has to be answered within LIMIT seconds."""
    never_resolve()
    scene = Scene(form)
    bind = {"cloudtasks": cloudtasks.bind, "pubsub": pubsub.bind}[platform]
    entry: Any = bind(scene.handle, observer=scene.watch, lock=LIMIT, store=MemoryStore(), **access)
    headers = {"Authorization": f"Bearer {TOKEN}", "X-CloudTasks-TaskName": "t-1", "X-Goog-PubSub-Message-Id": "m-1"}
    request = Asked(headers, json.dumps({"what": what}).encode())
    return scene.time(lambda: entry(request)[1])


class Asked:
    """A request, as Flask hands it over."""

    method = "POST"

    def __init__(self, headers: Mapping[str, str], body: bytes) -> None:
        self.headers = headers
        self._body = body

    def get_data(self) -> bytes:
        return self._body


def on_servicebus(whats: Sequence[str], form: str, verb: str = "") -> dict[str, Any]:
    """A batch from Service Bus whose lock lasts LIMIT seconds. `verb`: with message actions, of which the first such one is
    never answered; else without."""
    never_resolve()
    scene, actions = Scene(form), SilentActions(verb)
    more: dict[str, Any] = {"actions": SilentActions} if verb else {}
    entry = servicebus.bind(
        scene.handle, app=func.FunctionApp(), batch=True, observer=scene.watch, lock=LIMIT, store=MemoryStore(), **more
    )
    arguments = {"messages": bus_messages(whats), **({"actions": actions} if verb else {})}
    report = scene.time(lambda: asyncio.run(entry(**arguments)) if form == "async" else entry(**arguments))
    return {**report, "calls": actions.calls}


def bus_messages(whats: Sequence[str]) -> Any:
    """A sample event's messages with these bodies."""
    event = json.loads((ROOT / "events/servicebus/batch.json").read_text())
    bodies = [base64.b64encode(json.dumps({"what": what}).encode()).decode() for what in whats]
    data = event["inputData"][0]["data"]["collectionBytes"]
    assert len(bodies) == len(data["bytes"]), "the sample's metadata are of so many messages"
    data["bytes"] = bodies
    return servicebus_events.load(event).argument


def ask_store(url: str) -> dict[str, Any]:
    """A claim, by the store alone."""
    never_resolve()
    now = datetime.now(UTC)
    record = Record(state=State.RUNNING, version=1, owner="o", message="m", expires_at=now, lease_until=now)
    return by_itself(lambda: open_store(url).swap([Change(key="k", expected=None, record=record)])[0].error)


def ask_queue(url: str) -> dict[str, Any]:
    """A message, by the sender alone."""
    never_resolve()
    return by_itself(lambda: open_sender(url).send([OutgoingMessage(body=b"x", lineage=Lineage(id="x"))])[0])


def by_itself(act: Callable[[], object]) -> dict[str, Any]:
    began = time.monotonic()
    try:
        failed = act() is not None
    except (SendError, StoreError):
        failed = True
    return {"seconds": time.monotonic() - began, "answer": "failed" if failed else "done"}

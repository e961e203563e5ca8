"""Cloud Tasks and Pub/Sub under functions-framework: requests, answers, tokens, and the real clients."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import functions_framework
import grpc
import pytest
import starlette.requests
from google.cloud import pubsub_v1, tasks_v2

from peeklock import ConfigError, Queue, cloudtasks, consumer, pubsub
from peeklock.message import LINEAGE, Lineage, Message
from peeklock.outgoing import OutgoingMessage
from peeklock.platforms.cloudtasks import sender as cloudtasks_send
from peeklock.platforms.http_push import endpoint as push
from peeklock.platforms.pubsub import sender as pubsub_send
from peeklock.sending.fitting import fit
from peeklock.sending.send import routed
from peeklock.stores.memory import MemoryStore
from peeklock.testing import Outbox
from peeklock.unwrap import cloudevents
from tests import pubsub_limits
from tests.core.world import FlakySender, Script
from tests.platforms.google import AUDIENCE, CALLER, Endpoint, token
from tests.support import ROOT, environment, on_this_machine

QUEUE = Queue("orders", max_attempts=3, timeout=20, first_delay=2)


@consumer(QUEUE)
def handle(payload: dict) -> None:
    if payload.get("fail"):
        raise ValueError


@consumer(QUEUE)
async def handle_async(payload: dict) -> None:
    if payload.get("fail"):
        raise ValueError


def world(**more: Any) -> dict[str, Any]:
    """For requests that carry no token."""
    return {"store": MemoryStore(), "dead_letter": Outbox(), "queue": Outbox(), "unauthenticated": True, **more}


def task(body: bytes = b"{}", **headers: str) -> push.Request:
    basic = {"X-CloudTasks-TaskName": "t-1", "X-CloudTasks-TaskRetryCount": "0"}
    return push.request_of({**basic, **{name.replace("_", "-"): value for name, value in headers.items()}}, body)


class Flask:
    """Flask's request, as far as it is used."""

    def __init__(self, request: push.Request) -> None:
        self.headers = request.headers
        self.method = request.method
        self._body = request.body

    def get_data(self) -> bytes:
        return self._body


def answer(entry: Any, request: push.Request) -> int:
    body, status = entry(Flask(request))
    assert body == ""
    return int(status)


class TestAnswers:
    """Answers to Cloud Tasks."""

    def test_finished_is_204(self):
        """Done, duplicate, and a dead letter that is safe."""
        resources = world()
        entry = cloudtasks.bind(handle, **resources)
        assert [answer(entry, task()), answer(entry, task())] == [204, 204]
        assert answer(entry, task(b"{", X_CloudTasks_TaskName="t-2")) == 204
        assert resources["dead_letter"].outgoing_messages[0].attributes["peeklock-reason"] == "invalid"

    def test_a_dead_letter_that_fails_is_500(self):
        """The task would be deleted otherwise."""
        entry = cloudtasks.bind(handle, **world(dead_letter=FlakySender(Outbox(), Script({1: "before"}))))
        assert answer(entry, task(b"{")) == 500

    def test_a_busy_key_is_409(self):
        """A second dispatch of a running task must not complete it."""
        resources = world()
        statuses: list[int] = []

        @consumer(QUEUE)
        def slow(payload: dict) -> None:
            statuses.append(answer(entry, task()))

        entry = cloudtasks.bind(slow, **resources)
        assert answer(entry, task()) == 204
        assert statuses == [409]

    def test_a_retry_is_a_new_task_with_its_delay(self):
        """And 204 for the one that failed; without a store the queue's own backoff applies."""
        resources = world()
        assert answer(cloudtasks.bind(handle, **resources), task(b'{"fail":1}')) == 204
        (copy,) = resources["queue"].outgoing_messages
        assert (copy.lineage, copy.delay > timedelta()) == (Lineage(id="t-1", copy_number=1, attempts=1), True)

        @consumer(Queue("orders", max_attempts=3))
        def plain(payload: dict) -> None:
            raise ValueError

        dead_letters = Outbox()
        entry = cloudtasks.bind(plain, dead_letter=dead_letters, unauthenticated=True)
        assert [answer(entry, task(X_CloudTasks_TaskRetryCount=str(n))) for n in range(3)] == [500, 500, 204]
        assert dead_letters.outgoing_messages[0].attributes["peeklock-reason"] == "exhausted"

    def test_over_the_limit_it_is_a_dead_letter_before_the_handler(self):
        """Attempts that never reached it may have spent them."""
        dead_letters = Outbox()

        @consumer(Queue("orders", max_attempts=3))
        def never(payload: dict) -> None:
            raise AssertionError

        assert (
            answer(
                cloudtasks.bind(never, dead_letter=dead_letters, unauthenticated=True),
                task(X_CloudTasks_TaskRetryCount="7"),
            )
            == 204
        )
        assert dead_letters.outgoing_messages[0].attributes["peeklock-reason"] == "exhausted"

    @pytest.mark.parametrize("bind", [cloudtasks.bind, pubsub.bind], ids=["cloudtasks", "pubsub"])
    def test_what_is_no_message_is_400(self, bind, caplog):
        """Never success, so nothing is lost."""
        quiet = Queue("orders")

        @consumer(quiet)
        def plain(payload: dict) -> None:
            raise AssertionError

        assert answer(bind(plain, dead_letter=Outbox(), unauthenticated=True), push.request_of({}, b"[1]")) == 400
        assert "peeklock.not_an_event" in caplog.text

    @pytest.mark.parametrize(("lock", "times"), [(None, 1), ("60", 0)])
    def test_an_unknown_deadline_is_said(self, lock, times, caplog):
        """Once: a subscription waits ten seconds unless it was told otherwise."""

        @consumer(Queue("unsaid"))
        def anything(payload: dict) -> None: ...

        entry = pubsub.bind(anything, unauthenticated=True, dead_letter=Outbox(), store=MemoryStore())
        with environment(PEEKLOCK_UNSAID_LOCK=lock):
            for _ in range(2):
                pushed = push.request_of({}, b'{"message": {"messageId": "p-1", "data": "e30="}}')
                assert answer(entry, pushed) == 204
        warning = "PEEKLOCK_UNSAID_LOCK is not set: the platform is assumed to wait longer than timeout=30 s"
        assert caplog.text.count(warning) == times

    def test_an_exact_delay_needs_a_store(self):
        """Said at the first request, with the fix."""
        with pytest.raises(ConfigError, match="first_delay=2 s needs a store on cloudtasks"):
            answer(cloudtasks.bind(handle, dead_letter=Outbox(), unauthenticated=True), task())


class TestReceive:
    """Reading of requests."""

    def test_headers_have_no_case(self):
        """And the count is that of retries, which includes those of 5xx answers and time-outs."""
        request = task(
            X_CLOUDTASKS_TASKRETRYCOUNT="2",
            x_cloudtasks_taskexecutioncount="0",
            x_cloudtasks_tasketa="1795572530.996162",
        )
        message = cloudtasks.receive(request, "orders")
        assert (message.delivery, message.attempt) == (3, 3)
        assert str(message.sent_at) == "2026-11-25 02:08:50.996000+00:00"

    @pytest.mark.parametrize(("count", "delivery"), [("", 1), ("x", 1), ("-1", 1), ("9" * 30, 1), ("4", 5)])
    def test_odd_counts(self, count, delivery):
        """A count that makes no sense is the first."""
        assert (
            cloudtasks.receive(task(X_CloudTasks_TaskRetryCount=count, X_CloudTasks_TaskETA="soon"), "q").delivery
            == delivery
        )

    def test_only_the_producers_headers_are_attributes(self):
        """Not the platform's, not the proxy's, not the token."""
        request = task(
            Authorization="Bearer x", User_Agent="Google-Cloud-Tasks", Tenant="blue", X_Forwarded_For="203.0.113.7"
        )
        assert dict(cloudtasks.receive(request, "q").attributes) == {"tenant": "blue"}

    def test_any_attribute_travels(self):
        """Names and values that no header takes."""
        carried = {"ключ": "значение", "bytes": b"\x00\xff", "line": "a\r\nb", "ce-id": "1", "peeklock-reason": "fatal"}
        headers = cloudtasks_send.headers_of(
            OutgoingMessage(body=b"", lineage=Lineage(id="é", copy_number=1, sent=7), attributes=carried)
        )
        assert all(value.isascii() and "\n" not in value for value in headers.values())
        message = cloudtasks.receive(push.request_of({**headers, "X-CloudTasks-TaskName": "t"}, b""), "q")
        assert dict(message.attributes) == {name: value for name, value in carried.items() if name != "peeklock-reason"}
        assert message.lineage == Lineage(id="é", copy_number=1, sent=7)
        assert cloudtasks_send.unpack({"x-peeklock-attributes": "%"}) == {}
        assert cloudtasks_send.unpack({"x-peeklock-attributes": "WzFd"}) == {}

    def test_the_age_of_a_task_counts_from_its_sending(self):
        """And not from when it was due, nor from a retry, which may be due anew."""
        before = time.time()
        headers = cloudtasks_send.headers_of(
            OutgoingMessage(body=b"", lineage=Lineage(id="t"), delay=timedelta(days=9))
        )
        due = {"X-CloudTasks-TaskName": "t", "X-CloudTasks-TaskETA": "4102444800", "X-CloudTasks-TaskRetryCount": "3"}
        sent_at = cloudtasks.receive(push.request_of({**headers, **due}, b""), "q").sent_at
        assert sent_at is not None
        assert int(before) <= sent_at.timestamp() <= time.time()

    @pytest.mark.parametrize("body", [b'{"fail":1}', b"no JSON"], ids=["copy", "dead letter"])
    def test_what_is_published_twice_has_one_id(self, body):
        """Also of a task that another client made, whose only time, the one when it is due, may be another at each delivery.
        The answer of the first publication is lost here."""
        resources = world()
        outbox = Outbox()
        lost = FlakySender(outbox, Script({1: "after"}))
        entry = cloudtasks.bind(handle, **{**resources, "queue": lost, "dead_letter": lost})
        for eta in ("1795572530.5", "1795572590.25"):
            answer(entry, push.request_of({"X-CloudTasks-TaskName": "t-1", "X-CloudTasks-TaskETA": eta}, body))
        first, second = outbox.outgoing_messages
        assert first.id == second.id
        assert first.lineage.sent == second.lineage.sent == 1795572530500

    def test_a_copy_of_a_cloudevent_is_still_one(self):
        """The copy has all headers of the event."""
        resources = world(unwrap=cloudevents)
        headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t"}
        entry = cloudtasks.bind(handle, **resources)
        assert answer(entry, push.request_of({**headers, "X-CloudTasks-TaskName": "t-1"}, b'{"fail":1}')) == 204
        (copy,) = resources["queue"].outgoing_messages
        again = push.request_of({**cloudtasks_send.headers_of(copy), "X-CloudTasks-TaskName": "t-2"}, b"{}")
        assert answer(entry, again) == 204
        assert resources["store"].records["orders#t-1"].state == "done"

    def test_pushes(self):
        """Wrapped and unwrapped, with their ordering key, attempt and time."""
        body = {
            "message": {
                "messageId": "p-1",
                "data": "e30=",
                "orderingKey": "k",
                "publishTime": "2026-11-25T01:57:58.526Z",
                "attributes": {"a": "b"},
            },
            "subscription": "s",
            "deliveryAttempt": 4,
        }
        wrapped = pubsub.receive(push.request_of({}, json.dumps(body).encode()), "q")
        assert (wrapped.id, wrapped.body, wrapped.group, wrapped.delivery) == ("p-1", b"{}", "k", 4)
        assert (dict(wrapped.attributes), str(wrapped.sent_at)) == ({"a": "b"}, "2026-11-25 01:57:58.526000+00:00")
        headers = {"x-goog-pubsub-message-id": "p-2", "A": "b", "x-goog-pubsub-publish-time": "?"}
        assert wrapped.subscription == "s"
        bare = pubsub.receive(push.request_of(headers, b"\xff"), "q")
        assert (bare.id, bare.body, dict(bare.attributes), bare.sent_at) == ("p-2", b"\xff", {"a": "b"}, None)

    @pytest.mark.parametrize(("said", "delivery"), [(4, 4), (0, 1), (-1, 1), (True, 1), ("4", 1), (None, 1)])
    def test_odd_attempts_of_a_push(self, said, delivery):
        """An attempt that makes no sense is the first. Attempts before a copy come on top."""
        lineage = Lineage(id="x", copy_number=1, attempts=2)
        body = {"message": {"messageId": "p-1", "attributes": {LINEAGE: lineage.dump()}}, "deliveryAttempt": said}
        message = pubsub.receive(push.request_of({}, json.dumps(body).encode()), "q")
        assert (message.delivery, message.attempt) == (delivery, delivery + 2)

    def test_the_content_type_of_a_push_is_that_of_its_wrapper(self):
        """Only an unwrapped push has the message's own."""
        json_type = {"Content-Type": "application/json"}
        wrapped = pubsub.receive(push.request_of(json_type, b'{"message": {"messageId": "p-1", "data": "eA=="}}'), "q")
        bare = pubsub.receive(push.request_of({**json_type, "x-goog-pubsub-message-id": "p-1"}, b"{}"), "q")
        assert (wrapped.content_type, bare.content_type) == (None, "application/json")

    @pytest.mark.parametrize(
        ("said", "name"), [("projects/p/subscriptions/mail", "mail"), (None, ""), ("\ud800", ""), (5, "")]
    )
    def test_a_push_says_its_subscription(self, said, name):
        """The last part of its name, with and without the wrapper; one without an encoding could not be a key."""
        body = {"message": {"messageId": "p-1"}, "subscription": said}
        assert pubsub.receive(push.request_of({}, json.dumps(body).encode()), "q").subscription == name
        headers = {
            "x-goog-pubsub-message-id": "p-1",
            "x-goog-pubsub-subscription-name": "projects/p/subscriptions/mail",
        }
        assert pubsub.receive(push.request_of(headers, b""), "q").subscription == "mail"

    @pytest.mark.parametrize("key", [None, "order_id"])
    def test_two_subscriptions_of_a_topic_each_run_its_messages(self, key):
        """Pub/Sub gives the message the same id in both; each subscription has its own records in their store."""
        ran: list[str] = []
        store = MemoryStore()

        def subscriber(name: str) -> Any:
            @consumer(QUEUE, key=key)
            def handler(payload: dict) -> None:
                ran.append(name)

            entry = pubsub.bind(handler, unauthenticated=True, store=store, dead_letter=Outbox())
            envelope = {
                "message": {"messageId": "p-1", "data": base64.b64encode(b'{"order_id":"o-1"}').decode()},
                "subscription": f"projects/p/subscriptions/{name}",
            }
            return lambda: answer(entry, push.request_of({}, json.dumps(envelope).encode()))

        mail, stock = subscriber("mail"), subscriber("stock")
        assert [mail(), stock(), mail(), stock()] == [204] * 4
        assert ran == ["mail", "stock"]
        name = "#p-1" if key is None else "/o-1"
        assert list(store.records) == [f"orders@mail{name}", f"orders@stock{name}"]

    @pytest.mark.parametrize(
        "body", [b"", b"[]", b"{}", b'{"message":{}}', b'{"message":{"messageId":"1","data":"%"}}', b"[" * 100_000]
    )
    def test_what_is_no_push(self, body):
        """In words."""
        from peeklock import EventError

        with pytest.raises(EventError, match="not a push"):
            pubsub.receive(push.request_of({}, body), "q")

    def test_attributes_of_pubsub_are_text(self):
        """So bytes are wrapped, and unwrapped."""
        packed = pubsub_send.pack(
            OutgoingMessage(
                body=b"", lineage=Lineage(id="x"), attributes={"a": b"\xff", "b": "c"}, content_type="text/plain"
            )
        )
        assert all(isinstance(value, str) for value in packed.values())
        assert pubsub_send.unpack(packed) == {"a": b"\xff", "b": "c", "content-type": "text/plain"}
        assert pubsub_send.unpack({"peeklock-base64.a": "%", "peeklock-base64.b": "e", "c": "d"}) == {"c": "d"}


MAIN = """
import sys
from tests.platforms.test_gcp import entry_for
{name} = entry_for("{name}")
"""

WORLDS: dict[str, dict[str, Any]] = {}


def entry_for(name: str) -> Any:
    resources = WORLDS[name] = world()
    return cloudtasks.bind(handle_async if name == "charge_async" else handle, **resources)


def headers_of_task(name: str) -> dict[str, str]:
    return {"X-CloudTasks-TaskName": name, "X-CloudTasks-TaskRetryCount": "0", "Content-Type": "application/json"}


def test_under_functions_framework(tmp_path):
    """Found by its target's name, called with a real Flask request."""
    source = tmp_path / "main.py"
    source.write_text(MAIN.format(name="charge_http"))
    client = functions_framework.create_app("charge_http", str(source)).test_client()
    assert client.post("/any/path", data=b"{}", headers=headers_of_task("f-1")).status_code == 204
    assert client.post("/", data=b'{"fail":1}', headers=headers_of_task("f-2")).status_code == 204
    assert client.post("/", data=b"{}").status_code == 400


def test_under_functions_framework_async(tmp_path):
    """An `async def` consumer answers the same server: what deploys the function need not know of it."""
    source = tmp_path / "main.py"
    source.write_text(MAIN.format(name="charge_async"))
    client = functions_framework.create_app("charge_async", str(source)).test_client()
    assert client.post("/", data=b"{}", headers=headers_of_task("a-1")).status_code == 204
    assert client.post("/", data=b'{"fail":1}', headers=headers_of_task("a-2")).status_code == 204
    assert [outgoing.lineage.id for outgoing in WORLDS["charge_async"]["queue"].outgoing_messages] == ["a-2"]
    assert client.post("/", data=b"{}").status_code == 400


def test_a_request_of_another_server_names_the_fix():
    """The request of `functions-framework --asgi` is one."""
    asked = starlette.requests.Request({"type": "http", "headers": []})
    with pytest.raises(ConfigError, match="leave out --asgi and FUNCTION_USE_ASGI"):
        cloudtasks.bind(handle, **world())(asked)


def test_the_example_entries(tmp_path):
    """Loaded as functions-framework does, with the environment that the infrastructure sets."""
    with closing(Endpoint()) as endpoint:
        _examples(tmp_path, endpoint)


def _examples(tmp_path: Path, endpoint: Endpoint) -> None:
    settings = {**on_this_machine(tmp_path), "PEEKLOCK_CERTS_URL": endpoint.url}
    for queue in ("ORDERS", "RECEIPTS"):
        settings |= {f"PEEKLOCK_{queue}_AUDIENCE": AUDIENCE, f"PEEKLOCK_{queue}_SERVICE_ACCOUNT": CALLER}
    caller = {"Authorization": f"Bearer {token()}"}
    event = json.loads((ROOT / "events/cloudtasks/single.json").read_text())
    with environment(**settings):
        main = str(ROOT / "handlers/gcp_cloudtasks/main.py")
        client = functions_framework.create_app("charge_http", main).test_client()
        assert client.post("/", data=event["body"], headers=event["headers"] | caller).status_code == 204
        receipt = json.loads((tmp_path / "receipts.jsonl").read_text())["body"]
        client = functions_framework.create_app("receipts_http", main).test_client()
        assert client.post("/", data=receipt, headers=headers_of_task("r-1") | caller).status_code == 204
    push_event = json.loads((ROOT / "events/pubsub/single.json").read_text())

    with environment(**settings):
        client = functions_framework.create_app("charge_push", str(ROOT / "handlers/gcp_pubsub/main.py")).test_client()
        assert client.post("/", data=push_event["body"], headers=push_event["headers"] | caller).status_code == 204


# -- sending, by the real clients to servers that speak their protocols


def serve(service: str, method: str, handler: Any, request: Any, response: Any) -> tuple[Any, str]:
    server = grpc.server(futures.ThreadPoolExecutor(2))
    unary = grpc.unary_unary_rpc_method_handler(handler, request_deserializer=request, response_serializer=response)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: unary}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, f"127.0.0.1:{port}"


@pytest.fixture
def tasks() -> Iterator[list[Any]]:
    """Tasks that were created; a name is taken once, and a body of `no` is refused."""
    created: list[Any] = []

    def create(request: Any, context: Any) -> Any:
        if any(earlier.name == request.task.name for earlier in created):
            context.abort(grpc.StatusCode.ALREADY_EXISTS, "Requested entity already exists")
        if request.task.http_request.body == b"no":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Task size too large")
        created.append(request.task)
        return request.task

    server, address = serve(
        "google.cloud.tasks.v2.CloudTasks",
        "CreateTask",
        create,
        tasks_v2.CreateTaskRequest.deserialize,
        tasks_v2.Task.serialize,
    )
    cloudtasks_send.client.forget()
    with environment(CLOUD_TASKS_EMULATOR_HOST=address):
        yield created
    server.stop(None).wait()


ADDRESS = "cloudtasks://projects/p/locations/l/queues/q?target=https://orders.example/run&service_account=caller@demo"


def test_a_task_is_created(tasks):
    """With its lineage, token and time; a name that is taken is success, for it is the same task."""
    sender = cloudtasks.from_url(ADDRESS)
    late = OutgoingMessage(
        body=b"{}",
        lineage=Lineage(id="a", copy_number=1, sent=7),
        delay=timedelta(seconds=90),
        content_type="application/json",
    )
    assert sender.send([late, late, OutgoingMessage(body=b"no", lineage=Lineage(id="b"))])[:2] == [None, None]
    assert "Task size too large" in str(sender.send([OutgoingMessage(body=b"no", lineage=Lineage(id="b"))])[0])
    (task,) = tasks
    assert task.http_request.url == "https://orders.example/run"
    assert task.http_request.headers["x-peeklock"] == '{"id":"a","copy_number":1,"sent":7}'
    assert task.http_request.oidc_token.audience == "https://orders.example/run"
    assert timedelta(seconds=80) < task.schedule_time - datetime.now(UTC) < timedelta(seconds=95)
    assert not task.dispatch_deadline, "Cloud Tasks has its own"
    assert "30 days at most" in str(
        sender.send([OutgoingMessage(body=b"", lineage=Lineage(id="c"), delay=timedelta(days=31))])[0]
    )


def test_how_long_an_answer_is_waited_for(tasks):
    """Each task says it, as the queue's address does."""
    cloudtasks.from_url(f"{ADDRESS}&deadline=1800").send([OutgoingMessage(body=b"{}", lineage=Lineage(id="a"))])
    assert [task.dispatch_deadline for task in tasks] == [timedelta(minutes=30)]
    for wrong in ("14", "1801", "60s", "-15", ""):
        with pytest.raises(ConfigError, match="deadline= must be the seconds that Cloud Tasks waits, 15 to 1800"):
            cloudtasks.from_url(f"{ADDRESS}&deadline={wrong}")


@pytest.mark.parametrize(
    "url",
    [
        "cloudtasks://projects/p/locations/l/queues/q",
        "cloudtasks://projects/p?target=x",
        "pubsub://projects/p",
        "pubsub://topics/t",
    ],
)
def test_addresses_that_are_none(url):
    """Each says what one looks like."""
    with pytest.raises(ConfigError, match=r"such as (cloudtasks|pubsub)://"):
        (cloudtasks if url.startswith("cloud") else pubsub).from_url(url)


def test_how_long_a_target_may_be():
    """Counted as it is sent."""
    base = "cloudtasks://projects/p/locations/l/queues/q?target=https://orders.example/"
    room = 2083 - len("https://orders.example/")
    assert len(cloudtasks.from_url(base + "a" * room).target) == 2083
    assert cloudtasks.from_url(base + "%C3%A4" * (room // 6)).target.endswith("\u00e4")
    for long in ("a" * (room + 1), "%C3%A4" * (room // 6 + 1)):
        with pytest.raises(ConfigError, match="longer than the 2083 characters that Cloud Tasks takes, encoded"):
            cloudtasks.from_url(base + long)


@pytest.fixture
def topic() -> Iterator[list[Any]]:
    """Messages that were published; a body of `no` is refused."""
    published: list[Any] = []

    def publish(request: Any, context: Any) -> Any:
        size = len(types.PublishRequest.serialize(request))
        refused = any(message.data == b"no" for message in request.messages)
        why = "too large" if refused else pubsub_limits.request_refused(request.messages, size)
        if why:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, why)
        published.extend(request.messages)
        return pubsub_v1.types.PublishResponse(message_ids=[str(n) for n, _ in enumerate(request.messages)])

    types = pubsub_v1.types
    server, address = serve(
        "google.pubsub.v1.Publisher",
        "Publish",
        publish,
        types.PublishRequest.deserialize,
        types.PublishResponse.serialize,
    )
    pubsub_send.client.forget()
    with environment(PUBSUB_EMULATOR_HOST=address):
        yield published
    pubsub_send.client.forget()
    server.stop(None).wait()


def test_a_message_is_published(topic):
    """And answered for when it is confirmed, each by itself."""
    sender = pubsub.from_url("pubsub://projects/p/topics/t")
    assert sender.send(
        [OutgoingMessage(body=b"x", lineage=Lineage(id="a"), dead_letter=True, attributes={"k": "v"})]
    ) == [None]
    assert sender.send([OutgoingMessage(body=b"y", lineage=Lineage(id="b"), group="g")]) == [None]
    (first, second) = topic
    assert (first.data, dict(first.attributes)) == (b"x", {"k": "v", "peeklock": '{"id":"a"}'})
    assert second.ordering_key == "g"
    for group in (None, "g"):
        (refused,) = sender.send([OutgoingMessage(body=b"no", lineage=Lineage(id="c"), group=group)])
        assert "too large" in str(refused)
    assert sender.send([OutgoingMessage(body=b"z", lineage=Lineage(id="d"), group="g")]) == [None]
    (refused,) = sender.send([OutgoingMessage(body=b"x", lineage=Lineage(id="a"), delay=timedelta(seconds=1))])
    assert "Pub/Sub has no delay per message" in str(refused)


def test_how_long_an_ordering_key_may_be(topic):
    """Counted in bytes."""
    sender = pubsub.from_url("pubsub://projects/p/topics/t")
    longest, over = "\u00e4" * 512, "\u00e4" * 512 + "a"
    (sent, refused) = sender.send(
        [OutgoingMessage(body=b"x", lineage=Lineage(id=key), group=key) for key in (longest, over)]
    )
    assert (sent, [message.ordering_key for message in topic]) == (None, [longest])
    assert str(refused).endswith("group= is an ordering key, which has 1024 bytes at most on Pub/Sub")


def test_rehearsals_ask_for_no_token():
    """Nor for a framework."""
    event = json.loads((ROOT / "events/cloudtasks/single.json").read_text())
    box = Outbox()
    with routed(lambda _: box):
        assert cloudtasks.run_sample(handle, event, store=MemoryStore(), dead_letter=Outbox(), queue=Outbox()) == {
            "status": 204
        }
    assert isinstance(cloudtasks.receive(push.sample(event), "q"), Message)


def test_a_folded_dead_letter_of_pubsub_that_is_moved_to_cloud_tasks():
    """Moved by hand, attribute by attribute, it is unfolded, and its lineage makes it run."""
    names = {f"Ключ {n}": "значение" * 400 for n in range(22)}
    dead_letter = OutgoingMessage(
        body=b"{}", lineage=Lineage(id="o-1", generation=1), attributes=names, dead_letter=True
    )
    fitted = fit(dead_letter, pubsub_send.PubSubSender("projects/p/topics/t"))
    assert fitted is not None
    headers = {"X-CloudTasks-TaskName": "t-1", "X-CloudTasks-QueueName": "q", **pubsub_send.pack(fitted)}
    message = cloudtasks.receive(push.request_of(headers, fitted.body), "orders")
    assert (message.id, message.body, dict(message.attributes)) == ("o-1", b"{}", names)
    assert message.lineage is not None
    assert message.lineage.generation == 1

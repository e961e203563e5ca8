"""Sending, with the SDK's own messages and batches; only the link behind them is a double."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusMessageBatch
from azure.servicebus.exceptions import MessageSizeExceededError, ServiceBusConnectionError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from peeklock import ConfigError, SendError, servicebus
from peeklock.message import Lineage
from peeklock.outgoing import OutgoingMessage
from peeklock.platforms.servicebus import client as servicebus_client
from peeklock.platforms.servicebus import message as servicebus_message
from peeklock.platforms.servicebus import sender as servicebus_send
from tests.support import ROOT, environment

SIZE = 1_000
"""Bytes of a batch here."""

LARGEST = 2_000
"""Bytes of a message's body here: as on Premium, more than a batch may have."""


class Link:
    """A sender of the SDK, to a queue in memory."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.closed = False

    def create_message_batch(self) -> ServiceBusMessageBatch:
        self.namespace.check("open")
        return ServiceBusMessageBatch(max_size_in_bytes=SIZE)

    def send_messages(self, load: ServiceBusMessageBatch | ServiceBusMessage) -> None:
        assert not self.closed
        with self.namespace.alone:
            time.sleep(0.001)
        self.namespace.check("send")
        messages = load._messages if isinstance(load, ServiceBusMessageBatch) else [load]
        if any(len(_body(message)) > LARGEST for message in messages):
            raise MessageSizeExceededError(message="too large")
        self.namespace.loads.append(messages)

    def close(self) -> None:
        self.closed = True
        self.namespace.check("close")


class Large(Link):
    """Says of its messages what the SDK's sender knows of them."""

    _max_message_size_on_link = 3_000


class Namespace:
    """A client of the SDK. `fail`: what is raised by the nth call of a kind, as `send 2`."""

    def __init__(self, **fail: Exception) -> None:
        self.fail = {name.replace("_", " "): exc for name, exc in fail.items()}
        self.calls: dict[str, int] = {}
        self.links: list[Link] = []
        self.loads: list[list[ServiceBusMessage]] = []
        self.alone = _Alone()

    def check(self, kind: str) -> None:
        self.calls[kind] = self.calls.get(kind, 0) + 1
        if f"{kind} {self.calls[kind]}" in self.fail:
            raise self.fail[f"{kind} {self.calls[kind]}"]

    def get_queue_sender(self, entity: str) -> Link:
        assert entity == "orders"
        self.links.append(Link(self))
        return self.links[-1]

    @property
    def ids(self) -> list[list[str | None]]:
        return [[message.message_id for message in load] for load in self.loads]


class _Alone:
    """Allows one thread at a time."""

    def __init__(self) -> None:
        self.inside = False

    def __enter__(self) -> None:
        assert not self.inside
        self.inside = True

    def __exit__(self, *_: object) -> None:
        self.inside = False


def _body(message: ServiceBusMessage) -> bytes:
    return b"".join(message.body)


def outgoing(name: str, size: int = 10, **more: Any) -> OutgoingMessage:
    return OutgoingMessage(body=b"x" * size, lineage=Lineage(id=name), **more)


def sender(namespace: Namespace) -> servicebus_send.ServiceBusSender:
    return servicebus.from_url("sb://contoso.servicebus.windows.net/orders", connect=lambda _: namespace)


class LargeNamespace(Namespace):
    def get_queue_sender(self, entity: str) -> Link:
        self.links.append(Large(self))
        return self.links[-1]


DOWN = ServiceBusConnectionError(message="the connection was lost")


def test_what_is_sent():
    """All that an outgoing message has; a dead letter is a message like any other."""
    message = OutgoingMessage(
        body=b"\xff\x00",
        lineage=Lineage(id="o-1", generation=1, copy_number=2, attempts=3),
        attributes={"text": "é"},
        group="customer-7",
        delay=timedelta(minutes=5),
        content_type="text/plain",
    )
    dead_letter = OutgoingMessage(
        body=b"", lineage=Lineage(id="o-1", generation=1), attributes={"peeklock-reason": "fatal"}, dead_letter=True
    )
    namespace = Namespace()
    before = datetime.now(UTC)
    assert sender(namespace).send([message, dead_letter]) == [None, None]
    (first,), (second,) = namespace.loads
    assert (_body(first), first.message_id, first.session_id) == (b"\xff\x00", "o-1.1.2.peeklock", "customer-7")
    assert first.content_type == "text/plain"
    assert first.application_properties == {
        "text": "é",
        "peeklock": '{"id":"o-1","generation":1,"copy_number":2,"attempts":3}',
    }
    assert first.scheduled_enqueue_time_utc is not None
    assert timedelta(minutes=5) <= first.scheduled_enqueue_time_utc - before < timedelta(minutes=6)
    assert (_body(second), second.message_id, second.session_id) == (b"", "o-1.1.0.peeklock", None)
    assert second.scheduled_enqueue_time_utc is None
    assert second.application_properties == {"peeklock-reason": "fatal", "peeklock": '{"id":"o-1","generation":1}'}


def test_as_few_batches_as_there_is_room_for():
    """A message that fits into no batch goes out on its own, and one too large for the queue is refused with the quota's page."""
    namespace = Namespace()
    answers = sender(namespace).send(
        [
            outgoing("a", 300),
            outgoing("b", 300),
            outgoing("c", 300),
            outgoing("big", 1500),
            outgoing("huge", 5000),
            outgoing("d"),
        ]
    )
    assert [answer is None for answer in answers] == [True, True, True, True, False, True]
    assert "orders: MessageSizeExceededError: too large" in str(answers[4])
    assert "service-bus-quotas" in str(answers[4])
    assert namespace.ids == [["a", "b"], ["c"], ["big"], ["d"]]


def test_a_batch_is_of_one_session():
    """The service takes no other: https://aka.ms/azsdk/net/servicebus/troubleshoot says so. Order is kept within."""
    namespace = Namespace()
    groups = ["g", "h", "g", None, ""]
    assert sender(namespace).send([outgoing(f"{n}", group=group) for n, group in enumerate(groups)]) == [None] * 5
    assert namespace.ids == [["0", "2"], ["1"], ["3"], ["4"]]


def test_a_batch_that_fails_costs_its_own_messages_only():
    """The queue may have its messages all the same; the next batch goes over a new link."""
    namespace = Namespace(send_2=DOWN)
    answers = sender(namespace).send([outgoing(f"{n}", 600) for n in range(3)])
    assert [answer is None for answer in answers] == [True, False, True]
    assert "ServiceBusConnectionError: the connection was lost" in str(answers[1])
    assert [link.closed for link in namespace.links] == [True, False]


def test_without_a_link_nothing_can_be_said():
    """And the next call tries again, even when the old link cannot be closed."""
    namespace = Namespace(open_1=DOWN, close_1=RuntimeError("already gone"))
    orders = sender(namespace)
    with pytest.raises(SendError, match="orders: ServiceBusConnectionError"):
        orders.send([outgoing("a")])
    assert orders.send([outgoing("a")]) == [None]


def test_the_link_stays_open():
    """To open one costs a hundred times as much as to send."""
    namespace = Namespace()
    orders = sender(namespace)
    for n in range(5):
        orders.send([outgoing(f"{n}")])
    assert orders.send([]) == []
    assert len(namespace.links) == 1


def test_one_thread_at_a_time():
    """The SDK's senders are not made for more."""
    namespace = Namespace()
    orders = sender(namespace)
    barrier = threading.Barrier(8)

    def work(n: int) -> None:
        barrier.wait(5)
        orders.send([outgoing(f"{n}")])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert sorted(load[0] or "" for load in namespace.ids) == [f"{n}" for n in range(8)]
    assert len(namespace.links) == 1


def test_what_no_queue_would_take():
    """Is refused by itself: the others have done nothing."""
    answers = sender(Namespace()).send(
        [
            outgoing("a"),
            outgoing("b", group="g" * 129),
            outgoing("c", delay=timedelta.max),
        ]
    )
    assert [answer is None for answer in answers] == [True, False, False]
    assert "session_id cannot be longer than 128 characters" in str(answers[1])


@pytest.mark.parametrize(("length", "accepted"), [(32_762, True), (32_763, False)])
def test_a_property_has_32_767_bytes(length: int, accepted: bool):
    """Five of them are the type and the length of the text."""
    assert sender(Namespace()).accepts(outgoing("a", attributes={"p": "x" * length})) is accepted


@pytest.mark.parametrize(("size", "accepted"), [(64_000, True), (64_001, False)])
def test_all_properties_have_64_000_bytes(size: int, accepted: bool):
    attributes = {"a": "x" * 30_000, "b": "x" * 30_000, "c": "x" * 1000}
    rest = size - servicebus_message.properties_size(outgoing("a", attributes=attributes))
    full = outgoing("a", attributes={**attributes, "c": "x" * (1000 + rest)})
    assert servicebus_message.properties_size(full) == size
    assert sender(Namespace()).accepts(full) is accepted


def test_an_id_of_128_characters_is_not_shortened():
    names = [servicebus_message.id_of(outgoing("i" * length)) or "" for length in (128, 129)]
    assert names[0] == "i" * 128
    assert (len(names[1]), names[1] == "i" * 128) == (128, False)


@given(
    ids=st.lists(
        st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=200), unique=True
    )
)
@example(ids=["i" * 126, "i" * 127, "i" * 128, "i" * 129])
@settings(max_examples=50, deadline=None)
def test_ids_fit_and_stay_apart(ids):
    """The copy of a message with the longest id still has one, which differs from all others'; the lineage is whole."""
    copies = [OutgoingMessage(body=b"", lineage=Lineage(id=name, copy_number=1)) for name in ids]
    copies_sent = [servicebus_message.message_of(copy) for copy in copies]
    assert len({message.message_id for message in copies_sent}) == len(ids)
    assert all(len(message.message_id) <= 128 for message in copies_sent)
    assert [Lineage.load(message.application_properties["peeklock"]) for message in copies_sent] == [
        copy.lineage for copy in copies
    ]


@pytest.mark.parametrize("url", ["sb://contoso.servicebus.windows.net", "sb:///orders", "sb://contoso/"])
def test_what_is_no_address(url):
    """Says how one looks."""
    with pytest.raises(ConfigError, match="such as sb://contoso"):
        servicebus.from_url(url)


@pytest.fixture
def fresh():
    """The client is the process's, so a test of how it is made begins and ends without one."""
    servicebus_client.client.forget()
    yield servicebus_client.client
    servicebus_client.client.forget()


EMULATOR = "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=k;SharedAccessKey=s;UseDevelopmentEmulator=true;"


class TestClient:
    """How the process's client is made."""

    def test_from_a_connection_string(self, fresh: Callable[[str], Any]):
        """One for all queues of a namespace."""
        with environment(PEEKLOCK_SERVICEBUS=EMULATOR):
            client = fresh("contoso.servicebus.windows.net")
            assert client.fully_qualified_namespace.startswith("127.0.0.1")
            assert client is fresh("contoso.servicebus.windows.net")

    def test_from_an_identity(self, fresh: Callable[[str], Any]):
        """For the setting's namespace, or else the address's."""
        with environment(
            PEEKLOCK_SERVICEBUS=None, PEEKLOCK_SERVICEBUS__clientId="7b0e2c5e-0000-4000-8000-000000000000"
        ):
            assert fresh("contoso.servicebus.windows.net").fully_qualified_namespace == "contoso.servicebus.windows.net"

    def test_from_what_is_none(self, fresh: Callable[[str], Any]):
        """Names the setting, and never repeats the text, which may hold a key."""
        with (
            environment(PEEKLOCK_SERVICEBUS="secret"),
            pytest.raises(ConfigError, match="PEEKLOCK_SERVICEBUS") as caught,
        ):
            fresh("contoso.servicebus.windows.net")
        assert "secret" not in str(caught.value)

    def test_nobody_listens(self, fresh: Callable[[str], Any]):
        """The real client gives up within the lock."""
        del fresh
        start = datetime.now(UTC)
        with (
            environment(PEEKLOCK_SERVICEBUS=EMULATOR),
            pytest.raises(SendError, match="orders: ServiceBusConnectionError"),
        ):
            servicebus.from_url("sb://contoso.servicebus.windows.net/orders").send([outgoing("a")])
        assert datetime.now(UTC) - start < timedelta(seconds=10)


@pytest.mark.parametrize(
    "program",
    [
        "import peeklock.platforms.servicebus.bind",
        "import peeklock.platforms.servicebus.bind as s; s.from_url('sb://c/q')",
    ],
)
def test_nothing_is_loaded_before_it_is_used(program):
    """A cold start must not pay for an SDK that only a failure needs."""
    check = "; import sys; sys.exit(any(name.partition('.')[0] == 'azure' for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program + check], cwd=ROOT, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("module", "program"),
    [
        ("azure.servicebus", "s.from_url('sb://c/q').send([])"),
        ("azure.functions", "s.run_sample(None, {'inputData': [{}], 'triggerMetadata': {}})"),
        ("azure.functions", "s.bind(charge, app=type('App', (), {'service_bus_queue_trigger': None}))"),
    ],
)
def test_a_missing_sdk_says_how_to_install_it(module, program):
    """The error names the extra."""
    script = f"import sys; sys.modules[{module!r}] = None\nfrom handlers.orders.charge import charge\nimport peeklock.platforms.servicebus.bind as s\n{program}"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert f"ConfigError: {module}" in done.stderr
    assert "is not installed: pip install 'peeklock[servicebus]'" in done.stderr


class Stuck:
    """A namespace whose first link hangs until the test lets it go on."""

    def __init__(self) -> None:
        self.go, self.hangs = threading.Event(), threading.Event()
        self.namespaces: list[Namespace] = []

    def get_queue_sender(self, entity: str) -> Any:
        self.namespaces.append(Namespace())
        link = self.namespaces[-1].get_queue_sender(entity)
        return _StuckLink(self, link) if len(self.namespaces) == 1 else link


class _StuckLink:
    def __init__(self, stuck: Stuck, link: Any) -> None:
        self.stuck, self.link = stuck, link

    def create_message_batch(self) -> Any:
        self.stuck.hangs.set()
        assert self.stuck.go.wait(30)
        return self.link.create_message_batch()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.link, name)


def test_a_link_that_is_not_given_back_is_replaced(monkeypatch):
    """Others wait for it no longer than a sending takes; its own thread goes on with it when it can. (trials 1.15)"""
    monkeypatch.setattr("peeklock.platforms.servicebus.sender.HELD_SECONDS", 0.05)
    stuck = Stuck()
    queue = servicebus.from_url("sb://contoso/orders", connect=lambda _: stuck)
    first = threading.Thread(target=queue.send, args=([outgoing("a")],))
    first.start()
    assert stuck.hangs.wait(30)
    assert queue.send([outgoing("b")]) == [None]
    assert queue.send([outgoing("c")]) == [None]
    stuck.go.set()
    first.join(30)
    ids = [[message_id for load in namespace.ids for message_id in load] for namespace in stuck.namespaces]
    assert [len(each) for each in ids] == [1, 2]


def test_a_refusal_proves_only_that_its_own_message_was_too_large():
    """Smaller messages are still sent, even those larger than a batch, and larger than any sent before."""
    namespace = Namespace()
    to = sender(namespace)
    assert isinstance(to.send([outgoing("a", 9_000)])[0], SendError)
    assert 9_000 <= to.limit < 9_200
    assert to.send([outgoing("b", 1_900)]) == [None]
    assert namespace.ids == [["b"]]


def test_a_refusal_teaches_what_the_link_says():
    """Once: a message between that and the refused one is not tried at all."""
    namespace = LargeNamespace()
    to = sender(namespace)
    assert isinstance(to.send([outgoing("a", 9_000)])[0], SendError)
    assert to.limit == Large._max_message_size_on_link
    (refused,) = to.send([outgoing("b", 4_000)])
    assert "the queue takes 3,000 bytes" in str(refused)
    assert namespace.calls["send"] == 1
    assert to.send([outgoing("c", 1_900)]) == [None]


def test_a_socket_always_has_a_time_out():
    """The SDK takes it away for handshakes, which a dead peer would never end."""
    with servicebus_client.tls().wrap_socket(
        socket.socket(), server_hostname="bus.example", do_handshake_on_connect=False
    ) as sock:
        sock.settimeout(None)
        assert sock.gettimeout() == servicebus_client.TRY_SECONDS
        sock.settimeout(1)
        assert sock.gettimeout() == 1

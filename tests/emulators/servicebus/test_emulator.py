"""Starting, stopping, adding entities: what a test's author sees of it."""

from __future__ import annotations

import gc
import socket
import threading
import time
import uuid
from typing import Any

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage

from cloudqueues.errors import ConfigError
from cloudqueues.servicebus import ServiceBusEmulator
from cloudqueues.servicebus.amqp import encode, frames
from tests.emulators.servicebus.kit import wait_until
from tests.emulators.servicebus.peer import Peer, body, transfer_frame

UUID = uuid.UUID(int=9)


def test_it_starts_at_once_and_leaves_nothing_behind() -> None:
    before = set(threading.enumerate())
    took: list[float] = []
    for _ in range(5):
        began = time.perf_counter()
        bus = ServiceBusEmulator().start()
        took.append(time.perf_counter() - began)
        peer = Peer(bus.port).open()
        bus.stop()
        bus.stop()
        with peer, pytest.raises((EOFError, ConnectionError)):
            peer.read(1)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", bus.port))
    assert set(threading.enumerate()) <= before
    assert min(took) < 0.05


def test_it_is_started_again_on_its_port_with_its_entities_and_without_its_messages(
    bus: ServiceBusEmulator,
) -> None:
    bus.add_queue("orders")
    port = bus.port
    with Peer(port).open().begin().sender("orders") as peer:
        peer.say(transfer_frame(0, body(b"a")))
        peer.expect(frames.DISPOSITION)
    assert len(bus.messages("orders")) == 1
    bus.stop()
    bus.start()
    assert bus.start() is bus
    assert bus.port == port
    assert bus.messages("orders") == []


def test_an_entity_that_was_refused_is_not_added_at_the_next_start(bus: ServiceBusEmulator) -> None:
    bus.add_queue("orders")
    with pytest.raises(ConfigError, match="orders"):
        bus.add_queue("orders")
    bus.stop()
    bus.start()
    assert bus.messages("orders") == []


def test_entities_are_added_before_the_start_too() -> None:
    bus = ServiceBusEmulator()
    bus.add_queue("orders")
    bus.add_topic("events")
    bus.add_subscription("events", "all")
    with bus:
        assert bus.messages("events/subscriptions/ALL") == []
        with Peer(bus.port).open().begin().sender("Events") as peer:
            peer.say(transfer_frame(0, body(b"a")))
            peer.expect(frames.DISPOSITION)
        assert [message.body for message in bus.messages("Events/Subscriptions/all")] == [b"a"]


def test_it_listens_on_loopback_and_nowhere_else(bus: ServiceBusEmulator) -> None:
    assert bus.connection_string.startswith(f"Endpoint=sb://127.0.0.1:{bus.port};")
    with socket.socket() as other:
        other.bind(("127.0.0.2", bus.port))  # all of 127.0.0.0/8 is loopback: only one address of it is taken


def test_a_taken_port_leaves_no_thread(bus: ServiceBusEmulator) -> None:
    before = set(threading.enumerate())
    with pytest.raises(OSError, match="address already in use"):
        ServiceBusEmulator(port=bus.port).start()
    assert set(threading.enumerate()) <= before


def test_what_does_not_fit_is_said(bus: ServiceBusEmulator) -> None:
    bus.add_queue("orders")
    with pytest.raises(ConfigError, match="an entity named 'Orders' exists already"):
        bus.add_queue("Orders")
    with pytest.raises(ConfigError, match="an entity named 'orders' exists already"):
        bus.add_topic("orders")
    with pytest.raises(ConfigError, match="there is no topic 'events'"):
        bus.add_subscription("events", "all")
    with pytest.raises(ConfigError, match="'nowhere' could not be found"):
        bus.messages("nowhere")
    for name in ("", "/orders", "orders/", "order s", "orders/$DeadLetterQueue", "ä"):
        with pytest.raises(ConfigError, match="is not a valid entity name"):
            bus.add_queue(name)
    bus.add_topic("events")
    with pytest.raises(ConfigError, match="is a topic"):
        bus.messages("events")
    with pytest.raises(TypeError, match="lock_duration takes seconds"):
        bus.add_queue("new", lock_duration="30")  # type: ignore[arg-type] # that is the point
    bus.stop()
    with pytest.raises(ConfigError, match="not running"):
        bus.advance(1)


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        *(
            ({"lock_duration": seconds}, f"must be 5 to 300 seconds, not {seconds}")
            for seconds in (0, 1, 4.9, 301, 400)
        ),
        *(({"max_delivery_count": count}, f"must be 1 to 2000, not {count}") for count in (0, 2001)),
    ],
)
def test_limits_that_the_service_refuses(bus: ServiceBusEmulator, limits: dict[str, Any], problem: str) -> None:
    """In a queue and in a subscription, as by the administration API."""
    with pytest.raises(ConfigError, match=problem):
        bus.add_queue("new", **limits)
    bus.add_topic("events")
    with pytest.raises(ConfigError, match=problem):
        bus.add_subscription("events", "new", **limits)


@pytest.mark.parametrize("window", [1, 19, 604_801])
def test_windows_that_the_service_refuses(bus: ServiceBusEmulator, window: float) -> None:
    """In a queue and in a topic."""
    for add in (bus.add_queue, bus.add_topic):
        with pytest.raises(ConfigError, match=f"duplicate_window must be 20 to 604800 seconds, not {window}"):
            add("new", duplicate_window=window)


def test_limits_that_the_service_accepts(bus: ServiceBusEmulator) -> None:
    """Both ends of each range."""
    bus.add_queue("least", lock_duration=5, max_delivery_count=1, duplicate_window=20)
    bus.add_queue("most", lock_duration=300, max_delivery_count=2000, duplicate_window=604_800)


def test_what_a_test_sees_of_a_message(bus: ServiceBusEmulator) -> None:
    bus.add_queue("orders")
    value = encode.described(0x77, encode.string("text"))
    with Peer(bus.port).open().begin().sender("orders") as peer:
        properties = encode.described(0x73, encode.list_([encode.uuid_(UUID)]))
        application = encode.described(0x74, encode.map_([(encode.string("n"), encode.long(1))]))
        peer.say(transfer_frame(0, properties + application + body(b"a") + body(b"b")), transfer_frame(1, value))
        for _ in range(2):
            peer.expect(frames.DISPOSITION)
    first, second = bus.messages("orders")
    assert (first.sequence_number, first.message_id, first.session_id) == (1, str(UUID), None)
    assert (first.body, first.state, first.locked, first.delivery_count) == (b"ab", "active", False, 0)
    assert first.properties == {"n": 1}
    assert second.body == encode.string("text")
    assert len(second.message_id) == 32  # it had none: it was given one


@pytest.mark.filterwarnings("ignore:unclosed <socket")  # the SDK leaves the broken line to the garbage collector
def test_a_client_that_was_cut_off_for_its_silence_comes_back() -> None:
    with ServiceBusEmulator(idle_timeout=0.3) as bus:
        bus.add_queue("orders")
        with ServiceBusClient.from_connection_string(bus.connection_string, retry_backoff_factor=0) as client:
            with client.get_queue_sender("orders") as sender:
                sender.send_messages(ServiceBusMessage("a"))
                wait_until(lambda: bus.connections() == 0)
                sender.send_messages(ServiceBusMessage("b"))
            assert [message.body for message in bus.messages("orders")] == [b"a", b"b"]
        gc.collect()

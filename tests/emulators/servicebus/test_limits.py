"""Limits at their exact values, and one beyond."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.servicebus.management import ServiceBusAdministrationClient

from cloudqueues.servicebus import ServiceBusEmulator
from cloudqueues.servicebus.admin import authorization, names
from cloudqueues.servicebus.admin.http import LONGEST_BODY
from cloudqueues.servicebus.admin.paging import LARGEST, page
from cloudqueues.servicebus.admin.refusals import Rejected
from cloudqueues.servicebus.admin.values import words
from cloudqueues.servicebus.amqp import frames
from cloudqueues.servicebus.amqp.connection import Connection
from cloudqueues.servicebus.amqp.websocket import LONGEST_FRAME, WebSocket, take_frame
from cloudqueues.servicebus.errors import Refused
from cloudqueues.servicebus.message import Content
from cloudqueues.servicebus.tiers import LARGEST_HEADER, STANDARD, check
from tests.emulators.servicebus.kit import wait_until
from tests.emulators.servicebus.peer import Peer, body, transfer_frame
from tests.emulators.servicebus.test_hostile import FakeWriter, say

PIECE = 60_000


# -- messages


@pytest.mark.parametrize(("more", "outcome"), [(0, frames.ACCEPTED), (1, frames.REJECTED)])
def test_the_largest_message(bus: ServiceBusEmulator, more: int, outcome: int) -> None:
    bus.add_queue("q")
    data = body(b"x" * (STANDARD.message - 8 + more))
    assert len(data) == STANDARD.message + more
    starts = range(0, len(data), PIECE)
    with Peer(bus.port).open().begin().sender("q") as peer:
        peer.say(*[transfer_frame(0, data[at : at + PIECE], more=at != starts[-1]) for at in starts])
        assert peer.expect(frames.DISPOSITION)[4].descriptor == outcome
    assert [len(message.body) for message in bus.messages("q")] == [STANDARD.message - 8] * (1 - more)


def test_the_largest_batch() -> None:
    STANDARD.check(STANDARD.batch, [])
    with pytest.raises(Refused, match="The batch has"):
        STANDARD.check(STANDARD.batch + 1, [])


@pytest.mark.parametrize("kind", ["properties", "annotations"])
def test_the_largest_header(kind: str) -> None:
    def content(size: int) -> Content:
        if kind == "properties":
            return Content(properties=(bytes(size),))
        return Content(properties=(), annotations=((b"name", bytes(size - 4)),))

    check(content(LARGEST_HEADER))
    with pytest.raises(Refused, match="size quota"):
        check(content(LARGEST_HEADER + 1))


# -- the management API


def test_the_largest_page() -> None:
    items = range(LARGEST + 2)
    assert page({"$top": str(LARGEST + 1)}, items) == (items[:LARGEST], (LARGEST, LARGEST))
    assert page({"$skip": "2", "$top": str(LARGEST)}, items) == (items[2:], None)


def test_the_longest_names() -> None:
    names.check_path("a" * 260)
    names.check_name("a" * 50)
    for check_one, length in ((names.check_path, 261), (names.check_name, 51)):
        with pytest.raises(Rejected, match=f"has {length} characters"):
            check_one("a" * length)


def test_the_longest_text() -> None:
    assert words(3)("Some", "abc") == "abc"
    with pytest.raises(Rejected, match="Some has 4 characters"):
        words(3)("Some", "abcd")


def test_the_most_authorization_rules() -> None:
    rules = ET.fromstring(f"<r>{'<AuthorizationRule><KeyName>k</KeyName></AuthorizationRule>' * 12}</r>")
    assert authorization.read(rules).count("<AuthorizationRule ") == 12
    rules.append(rules[0])
    with pytest.raises(Rejected, match="at most 12"):
        authorization.read(rules)


def test_the_longest_body(bus: ServiceBusEmulator) -> None:
    head = b"PUT /q HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    assert say(bus.http_port, head % LONGEST_BODY + bytes(LONGEST_BODY)).startswith(b"HTTP/1.1 400 ")
    assert say(bus.http_port, head % (LONGEST_BODY + 1)).startswith(b"HTTP/1.1 413 ")


def test_a_subscription_forwards_to_what_exists(bus: ServiceBusEmulator, admin: ServiceBusAdministrationClient) -> None:
    bus.add_topic("t")
    with pytest.raises(HttpResponseError, match="SubCode=40400"):
        admin.create_subscription("t", "s", forward_to="nowhere")
    with pytest.raises(ResourceNotFoundError):
        admin.get_subscription("t", "s")


def test_management_connections_that_ended_are_forgotten(bus: ServiceBusEmulator) -> None:
    assert say(bus.http_port, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    assert bus._running is not None
    server = bus._running[1]._http
    assert server is not None
    wait_until(lambda: not server._open)


# -- connections


def test_the_longest_websocket_frame() -> None:
    def begin(size: int) -> bytearray:
        return bytearray(bytes((0x82, 0xFF)) + size.to_bytes(8, "big"))

    assert take_frame(begin(LONGEST_FRAME)) is None
    with pytest.raises(ValueError, match="a frame of"):
        take_frame(begin(LONGEST_FRAME + 1))


def test_a_slow_websocket_reader_holds_back_the_connection() -> None:
    calls: list[str] = []
    connection: Any = SimpleNamespace(
        pause_writing=lambda: calls.append("pause"), resume_writing=lambda: calls.append("resume")
    )
    writer: Any = FakeWriter()
    websocket = WebSocket(writer, connection)
    websocket.pause_writing()
    websocket.resume_writing()
    assert calls == ["pause", "resume"]


class FakeTransport(FakeWriter):
    closed = False

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True


async def connected(idle: float) -> tuple[Connection, FakeTransport]:
    context: Any = SimpleNamespace(tier=STANDARD)
    begin: Any = None
    connection, transport = Connection(begin, context, lambda _connection: None, idle), FakeTransport()
    connection.connection_made(transport)  # type: ignore[arg-type] # it has what a connection uses
    return connection, transport


def test_a_silent_client_has_twice_the_idle_time() -> None:
    async def scenario() -> list[bool]:
        connection, transport = await connected(100)
        closed: list[bool] = []
        for silent in (150, 200):
            connection._heard = asyncio.get_running_loop().time() - silent
            connection._watch()
            closed.append(transport.closed)
        connection.connection_lost(None)
        return closed

    assert asyncio.run(scenario()) == [False, True]


def test_heartbeats_end_with_the_connection() -> None:
    async def scenario() -> asyncio.TimerHandle | None:
        connection, _ = await connected(100)
        connection._beat(50)
        connection.connection_lost(None)
        return connection._beater

    timer = asyncio.run(scenario())
    assert timer is not None
    assert timer.cancelled()


def test_no_port_stays_open_when_another_one_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bus = ServiceBusEmulator(http_port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            bus.start()
    assert bus.port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", bus.port), timeout=10)

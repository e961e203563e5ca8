"""Hostile clients: each of these inputs once froze, crashed or deceived the emulator."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import itertools
import socket
import ssl
import struct
from collections.abc import Callable
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cloudqueues.http1.server import Reply
from cloudqueues.servicebus import Policy, ServiceBusEmulator
from cloudqueues.servicebus.admin import atom
from cloudqueues.servicebus.admin.http import LONGEST_LINE, Request, management_server
from cloudqueues.servicebus.admin.paths import TopicPath, split
from cloudqueues.servicebus.admin.refusals import Rejected
from cloudqueues.servicebus.admin.tls import TlsOrPlainTransport
from cloudqueues.servicebus.amqp import encode, frames
from cloudqueues.servicebus.amqp.attach import entity_path
from cloudqueues.servicebus.amqp.connection import AMQP_HEADER
from cloudqueues.servicebus.amqp.decode import MOST, Described, decode
from cloudqueues.servicebus.amqp.websocket import LONGEST_CONTROL, WebSocket, frame, take_frame
from cloudqueues.servicebus.errors import AmqpError
from tests.emulators.servicebus.peer import Peer, body, disposition_frame, transfer_frame

PONG, PING, CLOSE = 10, 9, 8


def say(port: int, data: bytes) -> bytes:
    """Send a request to the management port and return all that comes until the connection ends."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
        peer.sendall(data)
        return b"".join(iter(lambda: peer.recv(65_536), b""))


# -- paths


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("q", None),
        ("subscriptions", None),
        ("subscriptions/s", None),
        ("t/subscriptionsandmore", None),
        ("a/t/Subscriptions", TopicPath(topic="a/t")),
        ("t/subscriptions/s", TopicPath(topic="t", subscription="s")),
        ("t/subscriptions/rules", TopicPath(topic="t", subscription="rules")),
        ("t/subscriptions/s/RULES", TopicPath(topic="t", subscription="s", is_of_rules=True)),
        ("t/subscriptions/s/rules/r", TopicPath(topic="t", subscription="s", is_of_rules=True, rule="r")),
        ("t/subscriptions/a/b/rules/r/s", TopicPath(topic="t", subscription="a/b", is_of_rules=True, rule="r/s")),
        ("t/subscriptions/rules/rules", TopicPath(topic="t", subscription="rules", is_of_rules=True)),
        ("t/subscriptions/s/rules/rules", TopicPath(topic="t", subscription="s", is_of_rules=True, rule="rules")),
    ],
)
def test_the_parts_of_a_path(path: str, parts: TopicPath | None) -> None:
    assert split(path) == parts


def test_a_path_is_split_once_however_often_it_repeats_itself() -> None:
    path = "a" + "/subscriptions/rules" * 100_000 + "\n"
    parts = split(path)
    assert parts is not None
    assert (parts.topic, parts.is_of_rules) == ("a", True)


def test_a_request_line_is_bounded(bus: ServiceBusEmulator) -> None:
    line = b"GET /" + b"x" * (LONGEST_LINE - len("GET / HTTP/1.1"))
    assert say(bus.http_port, line + b" HTTP/1.1\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    assert say(bus.http_port, line + b"x HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 414 ")


@pytest.mark.parametrize("target", ["//[", "http://[/q", "//[::1/"])
def test_a_target_that_is_no_address(bus: ServiceBusEmulator, target: str) -> None:
    assert say(bus.http_port, f"GET {target} HTTP/1.1\r\n\r\n".encode()).startswith(b"HTTP/1.1 400 ")


def test_an_address_that_is_none_is_taken_for_a_path() -> None:
    assert entity_path("sb://[/q") == "sb://[/q"
    assert entity_path("sb://host:5672/a%2Fb/") == "a/b"


# -- requests


class FakeWriter:
    """Transport that keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.reading = True
        self.closed = False

    def get_extra_info(self, name: str) -> None:
        """Nothing is known of the client."""

    def write(self, data: bytes, /) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


REQUEST = b"GET /q HTTP/1.1\r\n\r\n"


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def connect(
    transport: Any, answer: Callable[[Request], Reply] = lambda _request: Reply()
) -> asyncio.StreamReaderProtocol:
    connection = management_server(answer, 100).connection()
    connection.connection_made(transport)
    return connection


def test_requests_that_are_sent_at_once_are_answered_one_in_each_turn_of_the_loop() -> None:
    async def scenario() -> None:
        writer = FakeWriter()
        connect(writer).data_received(REQUEST * 4)
        answered = [0]
        while answered[-1] < 4:
            await turns(1)
            answered.append(len(writer.written))
        assert max(after - before for before, after in itertools.pairwise(answered)) == 1

    asyncio.run(scenario())


def test_requests_are_not_read_faster_than_they_are_answered() -> None:
    async def scenario() -> None:
        writer = FakeWriter()
        connect(writer).data_received(REQUEST.replace(b"\r\n", b"\r\nX: " + b"x" * 60_000 + b"\r\n", 1) * 3)
        assert not writer.reading
        await turns(20)
        assert (len(writer.written), writer.reading) == (3, True)

    asyncio.run(scenario())


def test_a_client_that_does_not_read_is_not_answered() -> None:
    """The reply that filled the client's buffer is its last one."""

    async def scenario() -> None:
        writer = FakeWriter()
        connection = connect(writer)
        connection.pause_writing()
        connection.data_received(REQUEST * 3)
        await turns(10)
        assert len(writer.written) == 1
        connection.resume_writing()
        await turns(10)
        assert (len(writer.written), writer.reading) == (3, True)

    asyncio.run(scenario())


def test_the_port_passes_on_how_fast_a_client_reads() -> None:
    async def scenario() -> None:
        transport: Any = FakeWriter()
        context: Any = None
        client = TlsOrPlainTransport(management_server(lambda _request: Reply(), 100).connection(), context)
        client.connection_made(transport)
        client.pause_writing()
        client.resume_writing()
        client.data_received(REQUEST[:1])
        client.pause_writing()
        client.data_received(REQUEST[1:] + REQUEST)
        await turns(10)
        assert len(transport.written) == 1
        client.resume_writing()
        await turns(10)
        assert len(transport.written) == 2
        client.connection_lost(None)
        await turns(2)

    asyncio.run(scenario())


def test_tls_passes_on_how_fast_a_client_reads() -> None:
    calls: list[str] = []
    inner: Any = SimpleNamespace(
        connection_made=lambda _transport: calls.append("made"),
        data_received=calls.append,
        pause_writing=lambda: calls.append("pause"),
        resume_writing=lambda: calls.append("resume"),
    )
    transport: Any = FakeWriter()
    layer = TlsOrPlainTransport(inner, lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    layer.connection_made(transport)
    layer.data_received(b"\x16")
    layer.pause_writing()
    layer.resume_writing()
    assert calls == ["made", "pause", "resume"]
    layer.pause_reading()
    assert not transport.reading
    layer.resume_reading()
    assert transport.reading


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_many_requests_at_once_are_all_answered_to_a_slow_reader(bus: ServiceBusEmulator, tls: bool) -> None:
    for number in range(40):
        bus.add_queue(f"q{number}")
    request = b"GET /$Resources/queues HTTP/1.1\r\nHost: h\r\n\r\n"
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.settimeout(10)
        plain.connect(("127.0.0.1", bus.http_port))
        context = ssl.create_default_context(cafile=str(bus.certificate))
        with context.wrap_socket(plain, server_hostname="localhost") if tls else contextlib.nullcontext(plain) as peer:
            peer.sendall(request * 99 + request.replace(b"Host: h", b"Connection: close"))
            answer = b"".join(iter(lambda: peer.recv(65_536), b""))
    assert answer.count(b"HTTP/1.1 200 OK") == 100


def test_a_bug_of_the_emulator_fails_one_request(caplog: pytest.LogCaptureFixture) -> None:
    def answer(request: Request) -> Reply:
        raise ZeroDivisionError(request.path)

    async def scenario() -> list[bytes]:
        writer = FakeWriter()
        connect(writer, answer).data_received(REQUEST)
        await turns(5)
        return writer.written

    assert asyncio.run(scenario())[0].startswith(b"HTTP/1.1 500 ")
    assert "could not be answered" in caplog.text


def test_a_body_that_waits_for_leave_gets_it(bus: ServiceBusEmulator) -> None:
    head = b"PUT /q HTTP/1.1\r\nExpect: 100-Continue\r\nConnection: close\r\nContent-Length: 1\r\n\r\n"
    with socket.create_connection(("127.0.0.1", bus.http_port), timeout=10) as peer:
        peer.sendall(head)
        assert peer.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        peer.sendall(b"x")
        assert peer.recv(65_536).startswith(b"HTTP/1.1 400 ")
    continued, _, last = say(bus.http_port, head + b"x").partition(b"\r\n\r\n")  # a client may send the body at once
    assert continued == b"HTTP/1.1 100 Continue"
    assert last.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("field", ["sig=%C3%A9&se=1&skn=all", "sig=&se=%C2%B2&skn=all", "sr=sb://[&sig=&se=1&skn=all"])
def test_a_token_with_odd_characters_is_refused(field: str) -> None:
    with ServiceBusEmulator(policies={"all": Policy("key")}) as bus:
        connection = http.client.HTTPConnection("127.0.0.1", bus.http_port, timeout=10)
        connection.request("GET", "/q", headers={"Authorization": f"SharedAccessSignature {field}"})
        assert connection.getresponse().status == HTTPStatus.UNAUTHORIZED
        connection.close()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_document_type_is_refused_in_any_encoding(encoding: str) -> None:
    text = f'\ufeff<?xml version="1.0" encoding="{encoding[:6]}"?><!DOCTYPE a [<!ENTITY b "c">]><entry/>'
    with pytest.raises(Rejected, match="document type"):
        atom.description(text.removeprefix("\ufeff" if encoding in {"utf-16", "utf-8"} else "").encode(encoding))


# -- silence


def cut_off(peer: socket.socket, drip: bytes) -> bytes:
    """Send `drip` again and again, and return what came until the connection ended. Fails when it never ends."""
    heard = b""
    peer.settimeout(0.05)
    for _ in range(100):
        try:
            peer.sendall(drip)
            more = peer.recv(65_536)
        except TimeoutError:
            continue
        except ConnectionError:
            return heard
        if not more:
            return heard
        heard += more
    pytest.fail("the connection stays open")


def test_a_client_that_never_opens_is_cut_off_however_slowly_it_speaks() -> None:
    with (
        ServiceBusEmulator(idle_timeout=0.2) as bus,
        socket.create_connection(("127.0.0.1", bus.port), timeout=10) as peer,
    ):
        peer.sendall(AMQP_HEADER + frames.HEADER.pack(65_536, 2, 0, 0))
        assert b"amqp:connection:forced" in cut_off(peer, b"\0")


@pytest.mark.parametrize("first", [b"", b"\x16", b"GET / HTTP/1.1\r\n"], ids=["silent", "half-open TLS", "half a head"])
def test_a_management_client_without_a_request_is_cut_off(first: bytes) -> None:
    with (
        ServiceBusEmulator(idle_timeout=0.2) as bus,
        socket.create_connection(("127.0.0.1", bus.http_port), timeout=10) as peer,
    ):
        peer.sendall(first)
        assert cut_off(peer, b"") == b""


# -- AMQP


def array_of_nulls(count: int) -> bytes:
    return struct.pack(">BIIB", 0xF0, 5, count, 0x40)


def test_elements_without_bytes_are_few() -> None:
    """A frame of a few bytes must not become millions of values."""
    assert decode(array_of_nulls(MOST))[0] == [None] * MOST
    with pytest.raises(AmqpError, match="elements in 5 bytes"):
        decode(array_of_nulls(MOST + 1))
    bomb = encode.list_([array_of_nulls(MOST)] * 1000)
    assert sum(map(len, decode(bomb)[0])) <= 2 * len(bomb)


def test_a_transactional_disposition_is_refused(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q")
    accepted = frames.outcome(frames.ACCEPTED)
    state = encode.described(frames.TRANSACTIONAL, encode.list_([encode.binary(b"txn"), accepted]))
    with Peer(bus.port).open().begin().sender("q").receiver("q", handle=1) as peer:
        peer.say(transfer_frame(0, body(b"a")), transfer_frame(1, body(b"b")))
        for _ in range(2):
            peer.expect(frames.DISPOSITION)
        peer.frame(
            frames.FLOW, encode.uint(0), encode.uint(100), encode.uint(0), encode.uint(100), encode.uint(1),
            encode.uint(0), encode.uint(2),
        )  # fmt: skip
        numbers = [peer.delivery()[0] for _ in range(2)]
        peer.say(disposition_frame(numbers[0], numbers[0], state))
        rejected = peer.expect(frames.DISPOSITION)[4]
        assert isinstance(rejected, Described)
        assert (rejected.descriptor, rejected.value[0].value[0]) == (frames.REJECTED, "amqp:not-implemented")
        peer.say(disposition_frame(numbers[1], numbers[1], state, settled=True))
        peer.sync()
    assert [(message.body, message.locked) for message in bus.messages("q")] == [(b"a", True), (b"b", True)]
    assert bus.messages("q/$DeadLetterQueue") == []


# -- WebSockets


def masked(code: int, payload: bytes, *, mask: bytes = b"\0\0\0\0") -> bytearray:
    return bytearray(struct.pack(">BBH", 0x80 | code, 0x80 | 126, len(payload)) + mask + payload)


def test_a_control_frame_is_short() -> None:
    assert take_frame(masked(PING, b"x" * LONGEST_CONTROL)) == (PING, b"x" * LONGEST_CONTROL)
    with pytest.raises(ValueError, match="a frame of 126 bytes"):
        take_frame(masked(PING, b"x" * (LONGEST_CONTROL + 1)))


def test_a_client_that_does_not_read_is_owed_one_pong() -> None:
    writer: Any = FakeWriter()
    connection: Any = SimpleNamespace(pause_writing=lambda: None, resume_writing=lambda: None)
    websocket = WebSocket(cast("asyncio.Transport", writer), connection)
    websocket._next = websocket._frame
    websocket.data_received(bytes(masked(PING, b"1")))
    websocket.pause_writing()
    for payload in (b"2", b"3", b"4"):
        websocket.data_received(bytes(masked(PING, payload)))
    assert writer.written == [frame(PONG, b"1")]
    websocket.resume_writing()
    websocket.pause_writing()
    websocket.resume_writing()
    assert writer.written == [frame(PONG, b"1"), frame(PONG, b"4")]


def test_frames_after_a_close_are_not_read() -> None:
    writer: Any = FakeWriter()
    websocket = WebSocket(cast("asyncio.Transport", writer), cast("Any", SimpleNamespace()))
    websocket._next = websocket._frame
    websocket.data_received(bytes(masked(CLOSE, b"")) + bytes(masked(PING, b"1")) + bytes(masked(CLOSE, b"")))
    assert len(writer.written) == 1
    assert writer.closed


def test_nulls_in_sasl_end_one_connection_and_no_other(bus: ServiceBusEmulator) -> None:
    with Peer(bus.port) as peer:
        arrays = encode.list_([array_of_nulls(65_536)] * 500)
        body_ = encode.described(frames.OPEN, arrays)
        peer.say(AMQP_HEADER, frames.HEADER.pack(8 + len(body_), 2, 0, 0) + body_)
        assert peer.read(8) == AMQP_HEADER
        assert peer.ended() == "amqp:decode-error"

"""TLS, and AMQP inside WebSockets, on the emulator's one port."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage, TransportType
from azure.servicebus.aio import ServiceBusClient as AsyncClient
from azure.servicebus.exceptions import ServiceBusError

from cloudqueues.servicebus import ServiceBusEmulator
from cloudqueues.servicebus.amqp.connection import AMQP_HEADER
from cloudqueues.servicebus.amqp.websocket import LONGEST_FRAME, LONGEST_REQUEST, PATH, accept_key, frame
from tests.emulators.servicebus.kit import last, receive, wait_until

LARGE = "x" * 200_000
"""Takes several AMQP frames, and a WebSocket frame of each length."""
TRANSPORTS = pytest.mark.parametrize(
    "transport", [TransportType.Amqp, TransportType.AmqpOverWebsocket], ids=["amqp", "websocket"]
)


@pytest.fixture
def secure() -> Iterator[ServiceBusEmulator]:
    emulator = ServiceBusEmulator(tls=True).start()
    emulator.add_queue("orders")
    yield emulator
    last(emulator.stop)


def options(secure: ServiceBusEmulator, transport: TransportType) -> dict[str, Any]:
    """The clients know the service's ports only, unless they are told of an endpoint of their own."""
    return {
        "custom_endpoint_address": f"sb://localhost:{secure.port}",
        "connection_verify": str(secure.certificate),
        "transport_type": transport,
        "retry_total": 0,
    }


# -- the real clients


@TRANSPORTS
def test_the_sync_client(secure: ServiceBusEmulator, transport: TransportType) -> None:
    with (
        ServiceBusClient.from_connection_string(secure.connection_string, **options(secure, transport)) as client,
        client.get_queue_sender("orders") as sender,
        client.get_queue_receiver("orders") as receiver,
    ):
        sender.send_messages([ServiceBusMessage(body) for body in ("small", "x" * 1_000)])
        sender.send_messages(ServiceBusMessage(LARGE))
        messages = receive(receiver, 3)
        assert [str(message) for message in messages] == ["small", "x" * 1_000, LARGE]
        for message in messages:
            receiver.complete_message(message)
    assert secure.messages("orders") == []
    wait_until(lambda: secure.connections() == 0)


@TRANSPORTS
def test_the_async_client(secure: ServiceBusEmulator, transport: TransportType) -> None:
    async def scenario() -> None:
        async with (
            AsyncClient.from_connection_string(secure.connection_string, **options(secure, transport)) as client,
            client.get_queue_sender("orders") as sender,
            client.get_queue_receiver("orders") as receiver,
        ):
            await sender.send_messages(ServiceBusMessage(LARGE))
            (message,) = await receiver.receive_messages(1, max_wait_time=10)
            assert str(message) == LARGE
            await receiver.complete_message(message)

    asyncio.run(scenario())
    assert secure.messages("orders") == []


# -- TLS


def test_a_client_that_does_not_trust_it(secure: ServiceBusEmulator) -> None:
    """And one that speaks no TLS; the emulator goes on."""
    trusting = options(secure, TransportType.Amqp)
    del trusting["connection_verify"]
    with (
        ServiceBusClient.from_connection_string(secure.connection_string, **trusting) as client,
        pytest.raises(ServiceBusError, match="certificate verify failed"),
        client.get_queue_sender("orders"),
    ):
        pass
    with socket.create_connection(("127.0.0.1", secure.port), timeout=10) as plain:
        plain.sendall(AMQP_HEADER)
        assert plain.recv(8) != AMQP_HEADER
    test_the_sync_client(secure, TransportType.Amqp)


def test_the_certificate_is_there_while_it_runs() -> None:
    """Under one name, also after a restart; without the key."""
    bus = ServiceBusEmulator(tls=True)
    assert not bus.certificate.exists()
    with bus:
        first = bus.certificate.read_text()
        assert "BEGIN CERTIFICATE" in first
        assert "PRIVATE KEY" not in first
    assert not bus.certificate.exists()
    with bus:
        assert bus.certificate.read_text() == first
    bus.stop()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_it_is_good_for_this_machine(secure: ServiceBusEmulator, name: str) -> None:
    context = ssl.create_default_context(cafile=secure.certificate)
    with (
        socket.create_connection(("127.0.0.1", secure.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=name) as wrapped,
    ):
        wrapped.sendall(AMQP_HEADER)
        assert wrapped.recv(8) == AMQP_HEADER


def test_no_certificate_is_left_where_the_port_is_taken(bus: ServiceBusEmulator) -> None:
    late = ServiceBusEmulator(tls=True, port=bus.port)
    with pytest.raises(OSError, match="in use"):
        late.start()
    assert not late.certificate.exists()


def test_without_tls_the_port_of_messages_takes_none(bus: ServiceBusEmulator) -> None:
    """The certificate is that of the management API alone."""
    context = ssl.create_default_context(cafile=bus.certificate)
    with (
        socket.create_connection(("127.0.0.1", bus.port), timeout=10) as plain,
        pytest.raises(OSError),
    ):
        context.wrap_socket(plain, server_hostname="localhost")


# -- WebSockets, byte by byte

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = {
    "Upgrade": "WebSocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Protocol": "chat, AMQPWSB10",
}
MASK = b"\x01\x02\x03\x04"


def handshake(path: str = PATH, *without: str) -> bytes:
    lines = [f"{name}: {value}" for name, value in HANDSHAKE.items() if name not in without]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode()


def masked(code: int, payload: bytes) -> bytes:
    """A small frame, as a client sends it."""
    covered = bytes(byte ^ MASK[at % 4] for at, byte in enumerate(payload))
    return bytes((0x80 | code, 0x80 | len(payload))) + MASK + covered


class Web:
    """A client's socket, and what it reads."""

    def __init__(self, bus: ServiceBusEmulator) -> None:
        self.socket = socket.create_connection(("127.0.0.1", bus.port), timeout=10)
        self.file = self.socket.makefile("rb")

    def close(self) -> None:
        self.file.close()
        self.socket.close()

    def head(self) -> list[bytes]:
        lines = iter(self.file.readline, b"\r\n")
        return [line.strip() for line in lines]

    def open(self) -> None:
        self.socket.sendall(handshake())
        assert self.head()[0] == b"HTTP/1.1 101 Switching Protocols"


@pytest.fixture
def web(bus: ServiceBusEmulator) -> Iterator[Web]:
    with closing(Web(bus)) as web:
        yield web


def test_a_handshake(web: Web) -> None:
    """The answer to this key is the specification's example. It may come in pieces, with more behind it."""
    said = handshake(PATH + "/?sb-mqtt=no") + masked(2, AMQP_HEADER)
    for at in range(0, len(said), 7):
        web.socket.sendall(said[at : at + 7])
    head = web.head()
    assert head[0] == b"HTTP/1.1 101 Switching Protocols"
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
    assert b"Sec-WebSocket-Protocol: AMQPWSB10" in head
    assert web.file.read(10) == frame(2, AMQP_HEADER)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (handshake("/"), b"404"),
        (b"GET /orders HTTP/1.1\r\n\r\n", b"404"),
        (handshake(PATH, "Upgrade"), b"426"),
        (handshake(PATH, "Sec-WebSocket-Key"), b"426"),
        (handshake(PATH, "Sec-WebSocket-Protocol"), b"400"),
        (f"GET {PATH} HTTP/1.1\r\nno colon\r\n\r\n".encode(), b"400"),
        (b"GET " + b"x" * LONGEST_REQUEST, b"431"),
        (f"GET {PATH} HTTP/1.1\r\nX: ".encode() + b"x" * LONGEST_REQUEST + b"\r\n\r\n", b"431"),
    ],
    ids=["another path", "no WebSocket", "no upgrade", "no key", "no subprotocol", "no header", "endless", "too long"],
)
def test_what_is_no_handshake(web: Web, said: bytes, status: bytes) -> None:
    """It is answered, and the connection is closed."""
    web.socket.sendall(said)
    assert web.head()[0].split()[1] == status
    assert web.file.read()


def test_pings_and_pongs(web: Web) -> None:
    web.open()
    web.socket.sendall(masked(10, b"unasked") + masked(9, b"are you there"))
    assert web.file.read(15) == frame(10, b"are you there")


def test_a_message_in_pieces(web: Web) -> None:
    """AMQP's frames and WebSockets' do not end at the same bytes."""
    web.open()
    first, rest = bytearray(masked(2, AMQP_HEADER[:3])), masked(0, AMQP_HEADER[3:])
    first[0] &= 0x7F  # more is to come
    web.socket.sendall(bytes(first) + rest)
    assert web.file.read(10) == frame(2, AMQP_HEADER)


def test_a_client_that_closes(bus: ServiceBusEmulator, web: Web) -> None:
    web.open()
    web.socket.sendall(masked(8, b"\x03\xe8"))
    assert web.file.read() == b"\x88\x02\x03\xe8"
    wait_until(lambda: bus.connections() == 0)


@pytest.mark.parametrize(
    "said",
    [
        frame(2, AMQP_HEADER),
        masked(1, b"text"),
        bytes((0x82, 0xFF)) + (LONGEST_FRAME + 1).to_bytes(8, "big"),
        bytes((0xC2, 0x80)) + MASK,
    ],
    ids=["unmasked", "text", "too long", "an extension"],
)
def test_a_frame_that_no_client_may_send(bus: ServiceBusEmulator, web: Web, said: bytes) -> None:
    web.open()
    web.socket.sendall(said)
    assert web.file.read() == b"\x88\x02\x03\xea"  # 1002: a protocol error
    wait_until(lambda: bus.connections() == 0)


def test_the_answer_to_a_key() -> None:
    """The example of RFC 6455, 1.3."""
    assert accept_key(KEY) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_the_length_of_a_frame(size: int) -> None:
    head = {0: 2, 125: 2, 126: 4, 65_535: 4, 65_536: 10}[size]
    assert len(frame(2, bytes(size))) == head + size

"""Bytes that are no AMQP, clients that fall silent, and a thousand of them: the emulator goes on."""

from __future__ import annotations

import random
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from cloudqueues.servicebus import ServiceBusEmulator
from cloudqueues.servicebus.amqp import encode, frames
from cloudqueues.servicebus.amqp.connection import AMQP_HEADER, SASL_HEADER
from cloudqueues.servicebus.amqp.encode import NULL, TRUE
from tests.emulators.servicebus.peer import (
    Peer,
    attach_frame,
    begin_frame,
    body,
    disposition_frame,
    flow_frame,
    open_frame,
    transfer_frame,
)  # fmt: skip

FRAMING, DECODE, FIELD = "amqp:connection:framing-error", "amqp:decode-error", "amqp:invalid-field"
ATTACHED = (AMQP_HEADER, open_frame(), begin_frame(), attach_frame("q", receiving=True))
CONVERSATION = b"".join((
    SASL_HEADER,
    frames.frame(0, frames.SASL_INIT, encode.symbol("ANONYMOUS"), kind=frames.SASL),
    *ATTACHED,
    attach_frame("q", 1, receiving=False),
    flow_frame(5),
    transfer_frame(0, body(b"x" * 30), handle=1),
    transfer_frame(1, body(b"y")[:3], handle=1, more=True),
    transfer_frame(1, body(b"y")[3:], handle=1),
    disposition_frame(0, 1, frames.outcome(frames.ACCEPTED)),
    attach_frame("q/$management", 2, receiving=True),
    attach_frame("q/$management", 3, receiving=False),
    transfer_frame(2, encode.described(0x74, encode.map_([(encode.string("operation"), encode.string("x"))])), handle=3),
    frames.frame(0, frames.DETACH, encode.uint(1), TRUE),
    frames.frame(0, frames.END),
    frames.frame(0, frames.CLOSE),
))  # fmt: skip
"""Everything that a client says, once."""


def works(bus: ServiceBusEmulator) -> bool:
    """Return whether a message still goes in and comes out."""
    with Peer(bus.port).open().begin().sender("works") as peer:
        peer.say(transfer_frame(0, body(b"still here")))
        peer.expect(frames.DISPOSITION)
    with Peer(bus.port).open().begin().receiver("works", settled=True) as peer:
        peer.credit(1)
        return peer.delivery()[1].endswith(b"still here")


@pytest.fixture
def bus() -> Iterator[ServiceBusEmulator]:
    """With a queue to play with, which takes large messages, and one to see whether all is well."""
    with ServiceBusEmulator(tier="premium") as emulator:
        emulator.add_queue("q")
        emulator.add_queue("works")
        yield emulator


def header(size: int, offset: int = 2, kind: int = 0, channel: int = 0) -> bytes:
    return frames.HEADER.pack(size, offset, kind, channel)


def framed(data: bytes, channel: int = 0) -> bytes:
    return header(len(data) + 8, channel=channel) + data


@pytest.mark.parametrize(
    ("said", "condition"),
    [
        ((AMQP_HEADER, header(7)), FRAMING),
        ((AMQP_HEADER, header(2**31)), FRAMING),
        ((AMQP_HEADER, header(65_537)), FRAMING),
        ((AMQP_HEADER, header(16, offset=1) + bytes(8)), FRAMING),
        ((AMQP_HEADER, header(16, offset=5) + bytes(8)), FRAMING),
        ((AMQP_HEADER, header(16, kind=1) + bytes(8)), FRAMING),
        ((AMQP_HEADER, header(16, kind=7) + bytes(8)), FRAMING),
        ((AMQP_HEADER, framed(b"\x00\x53\x10\xc0\xff\x01")), DECODE),
        ((AMQP_HEADER, framed(b"\x00\x53\x10\x40")), FRAMING),
        ((AMQP_HEADER, framed(b"\x00\x53\x75\x45")), FRAMING),
        ((AMQP_HEADER, framed(b"\x45")), FRAMING),
        ((AMQP_HEADER, frames.frame(0, frames.OPEN, NULL)), FIELD),
        ((AMQP_HEADER, open_frame(largest=511)), FIELD),
        ((AMQP_HEADER, open_frame(), open_frame()), FIELD),
        ((AMQP_HEADER, framed(b"\x00\x53\x10" + encode.list_([NULL] * 11))), DECODE),
        ((AMQP_HEADER, begin_frame()), "amqp:not-allowed"),
        ((AMQP_HEADER, open_frame(), begin_frame(channel=256)), FRAMING),
        ((AMQP_HEADER, open_frame(), begin_frame(), begin_frame()), FRAMING),
        ((AMQP_HEADER, open_frame(), attach_frame("q", receiving=True)), FRAMING),
        ((AMQP_HEADER, open_frame(), frames.frame(0, frames.BEGIN)), FIELD),
        ((*ATTACHED, attach_frame("q", receiving=True)), "amqp:session:handle-in-use"),
        ((*ATTACHED, frames.frame(0, frames.ATTACH, NULL)), FIELD),
        ((*ATTACHED, frames.frame(0, frames.DETACH, NULL)), FIELD),
        ((*ATTACHED, frames.frame(0, frames.DETACH, encode.uint(9))), "amqp:session:unattached-handle"),
        ((*ATTACHED, transfer_frame(0, b"", handle=9)), "amqp:session:unattached-handle"),
        ((*ATTACHED, transfer_frame(0, b"")), "amqp:session:unattached-handle"),
        ((*ATTACHED, frames.frame(0, frames.FLOW)), FIELD),
        ((*ATTACHED, frames.frame(0, frames.FLOW, *[encode.uint(0)] * 5, encode.string("much"))), FIELD),
        ((*ATTACHED, frames.frame(0, frames.DISPOSITION, TRUE)), FIELD),
        ((*ATTACHED, attach_frame("q", 1, receiving=False), frames.frame(0, frames.TRANSFER, encode.uint(1))), FIELD),
    ],
)
def test_a_malformed_frame_ends_in_an_amqp_error_and_a_closed_connection(
    bus: ServiceBusEmulator, said: tuple[bytes, ...], condition: str
) -> None:
    with Peer(bus.port) as peer:
        peer.say(*said)
        assert peer.read(8) == AMQP_HEADER
        assert peer.ended() == condition
    assert works(bus)


@pytest.mark.parametrize(
    "said",
    [
        b"AMQP\x00\x00\x09\x01",
        SASL_HEADER + open_frame(),
        SASL_HEADER + frames.frame(0, frames.SASL_INIT, encode.symbol("GSSAPI"), kind=frames.SASL),
        SASL_HEADER + frames.frame(0, frames.SASL_OUTCOME, encode.ubyte(0), kind=frames.SASL),
    ],
    ids=["an older AMQP", "no SASL", "an unknown mechanism", "an outcome"],
)
def test_who_does_not_get_as_far_as_frames_is_shown_out(bus: ServiceBusEmulator, said: bytes) -> None:
    with Peer(bus.port) as peer:
        peer.say(said)
        assert peer.read(8) in {AMQP_HEADER, SASL_HEADER}
        assert peer.ended() is None
    assert works(bus)


def test_an_unknown_protocol_is_told_ours(bus: ServiceBusEmulator) -> None:
    with Peer(bus.port) as peer:
        peer.say(b"AMQP\x02\x01\x00\x00")
        assert peer.read(8) == AMQP_HEADER
        with pytest.raises(EOFError):
            peer.read(1)


def tell(bus: ServiceBusEmulator, data: bytes) -> None:
    """All of it, and then wait for the end of the connection."""
    with socket.create_connection(("127.0.0.1", bus.port), timeout=10) as line:
        try:
            line.sendall(data)
            line.shutdown(socket.SHUT_WR)
            while line.recv(65_536):
                pass
        except ConnectionError:
            return


def mutated(chance: random.Random) -> bytes:
    data = bytearray(CONVERSATION)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        at = chance.randrange(len(data))
        match chance.randrange(4):
            case 0:
                data[at] = chance.randrange(256)
            case 1:
                del data[at : at + chance.randrange(1, 9)]
            case 2:
                data[at:at] = chance.randbytes(chance.randrange(1, 9))
            case _:
                data[at] ^= 1 << chance.randrange(8)
    return bytes(data)


@pytest.mark.parametrize("seed", range(4))
def test_fuzzed_conversations(bus: ServiceBusEmulator, caplog: pytest.LogCaptureFixture, seed: int) -> None:
    """Whatever is changed in it, no fault of ours comes up, and the emulator goes on."""
    chance = random.Random(seed)
    for _ in range(150):
        tell(bus, mutated(chance))
    assert works(bus)
    assert [record.getMessage() for record in caplog.records] == []


def test_conversations_that_are_cut_off_anywhere(bus: ServiceBusEmulator, caplog: pytest.LogCaptureFixture) -> None:
    for cut in range(0, len(CONVERSATION), 3):
        tell(bus, CONVERSATION[:cut])
    tell(bus, CONVERSATION)
    assert works(bus)
    assert [record.getMessage() for record in caplog.records] == []


def test_a_conversation_byte_by_byte(bus: ServiceBusEmulator) -> None:
    with Peer(bus.port) as peer:
        peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in CONVERSATION:
            peer.say(bytes([byte]))
        assert until_end(peer.socket).endswith(frames.frame(0, frames.CLOSE))
    assert works(bus)


def until_end(line: socket.socket) -> bytes:
    data = b""
    while more := line.recv(65_536):
        data += more
    return data


def test_the_silent_are_cut_off_and_those_who_beat_are_not() -> None:
    with ExitStack() as stack:
        bus = stack.enter_context(ServiceBusEmulator(idle_timeout=0.2))
        silent, mute, beating = (stack.enter_context(Peer(bus.port)) for _ in range(3))
        silent.open()
        beating.open(idle=40)
        stop = threading.Event()

        def beat() -> None:
            while not stop.wait(0.1):
                beating.say(frames.HEARTBEAT)

        thread = threading.Thread(target=beat)
        thread.start()
        assert silent.ended() == "amqp:connection:forced"
        assert mute.ended() is None
        assert [beating.next() for _ in range(20)] == [None] * 20
        stop.set()
        thread.join()


def test_a_fault_of_ours_ends_one_connection_and_is_logged(
    bus: ServiceBusEmulator, caplog: pytest.LogCaptureFixture
) -> None:
    assert bus._running is not None
    queue = bus._running[1].broker.queue("q")
    del queue.path
    with Peer(bus.port).open().begin() as peer, Peer(bus.port).open().begin() as other:
        peer.say(attach_frame("q/$management", 0, receiving=True), attach_frame("q/$management", 1, receiving=False))
        peer.say(flow_frame(1), transfer_frame(0, request("peek-message"), handle=1))
        peer.say(transfer_frame(1, request("get-session-state"), handle=1))  # its refusal names the path
        assert peer.ended() == "amqp:internal-error"
        other.sync()
    assert works(bus)
    assert [record.getMessage() for record in caplog.records] == ["a frame of a client could not be handled"]


def request(operation: str) -> bytes:
    name = encode.map_([(encode.string("operation"), encode.string(f"com.microsoft:{operation}"))])
    return encode.described(0x74, name) + encode.described(0x77, encode.map_([]))


def test_a_client_does_not_choose_how_fast_it_is_beaten_to(bus: ServiceBusEmulator) -> None:
    with Peer(bus.port).open(idle=1) as peer:
        began = time.monotonic()
        assert [peer.next() for _ in range(10)] == [None] * 10
        assert time.monotonic() - began > 0.08


def test_half_open_connections_do_not_hold_up_the_stop() -> None:
    with ExitStack() as stack:
        with ServiceBusEmulator() as bus:
            bus.add_queue("q")
            for said in (b"", AMQP_HEADER[:3], AMQP_HEADER, CONVERSATION[:200], header(5000)):
                stack.enter_context(Peer(bus.port)).say(said)
            assert not stuck(bus, stack.enter_context(Peer(bus.port)))
        assert bus.port


def stuck(bus: ServiceBusEmulator, reader: Peer) -> bool:
    """A receiver that asks for more than it ever reads; whether another client is held up by it."""
    bus.add_queue("works")
    with Peer(bus.port).open().begin().sender("q") as peer:
        for number in range(40):
            peer.say(*large(number))
            peer.expect(frames.DISPOSITION)
    reader.open().begin().receiver("q").credit(40)
    return not works(bus)


def large(number: int) -> list[bytes]:
    message = body(bytes(900_000))
    starts = range(0, len(message), 60_000)
    return [transfer_frame(number, message[at : at + 60_000], more=at + 60_000 < len(message)) for at in starts]


def test_a_slow_reader_gets_everything_in_the_end(bus: ServiceBusEmulator) -> None:
    with Peer(bus.port).open().begin().sender("q") as peer:
        for number in range(20):
            peer.say(*large(number))
            peer.expect(frames.DISPOSITION)
    with Peer(bus.port).open().begin().receiver("q", settled=True) as peer:
        peer.credit(20)
        assert works(bus)
        assert [len(peer.delivery()[1]) > 900_000 for _ in range(20)] == [True] * 20
    assert bus.messages("q") == []


def test_a_thousand_idle_connections(bus: ServiceBusEmulator) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    with ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(Peer(bus.port).open().begin())
        assert bus.connections() == 1000
        assert works(bus)

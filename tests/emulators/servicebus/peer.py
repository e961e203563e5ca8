"""A client that says exactly what a test wants, frame by frame."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Any, Self

from cloudqueues.servicebus.amqp import encode, frames
from cloudqueues.servicebus.amqp.attach import SESSION_FILTER
from cloudqueues.servicebus.amqp.connection import AMQP_HEADER
from cloudqueues.servicebus.amqp.decode import Described, decode
from cloudqueues.servicebus.amqp.encode import FALSE, NULL, TRUE

WINDOW = 2**31 - 1


class Peer:
    """Reads wait for ten seconds at most."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    # -- speaking

    def say(self, *parts: bytes) -> None:
        self.socket.sendall(b"".join(parts))

    def frame(self, code: int, *fields: bytes, channel: int = 0) -> None:
        self.say(frames.frame(channel, code, *fields))

    def open(self, *, largest: int = 65_536, idle: int | None = None) -> Self:
        """The header and the open."""
        beat = NULL if idle is None else encode.uint(idle)
        self.say(AMQP_HEADER, open_frame(largest, beat))
        assert self.read(8) == AMQP_HEADER
        self.expect(frames.OPEN)
        return self

    def begin(self, *, window: int = WINDOW) -> Self:
        self.say(begin_frame(window))
        self.expect(frames.BEGIN)
        return self

    def receiver(self, address: str, *, handle: int = 0, settled: bool = False) -> Self:
        self.say(attach_frame(address, handle, receiving=True, settled=settled))
        self.expect(frames.ATTACH)
        return self

    def sender(self, address: str, *, handle: int = 0) -> Self:
        self.say(attach_frame(address, handle, receiving=False))
        self.expect(frames.ATTACH)
        self.expect(frames.FLOW)
        return self

    def session(self, address: str, name: str | None, *, handle: int = 0) -> Self:
        """Asks for it; `attached` says whether it came."""
        wanted = NULL if name is None else encode.string(name)
        filters = encode.map_([(encode.symbol(SESSION_FILTER), wanted)])
        source = encode.described(frames.SOURCE, encode.list_([encode.string(address), *[NULL] * 6, filters]))
        target = encode.described(frames.TARGET, encode.EMPTY_LIST)
        self.frame(
            frames.ATTACH, encode.string(f"link-{handle}"), encode.uint(handle), TRUE, NULL, NULL, source, target
        )
        return self

    def attached(self, name: str) -> bool:
        """With the session, or refused."""
        source = self.expect(frames.ATTACH)[5]
        return source is not None and source.value[7][SESSION_FILTER] == name

    def credit(self, credit: int, *, count: int = 0, drain: bool = False, window: int = WINDOW, first: int = 0) -> None:
        self.say(flow_frame(credit, count=count, drain=drain, window=window, first=first))

    def sync(self) -> None:
        """All that was said before has been heard, and no message came for it."""
        assert self.until_echo(frames.TRANSFER) == []

    def until_echo(self, code: int) -> list[tuple[list[Any], bytes]]:
        """The fields and payloads of all frames of a kind that come before the answer to what is asked now."""
        windows = (encode.uint(0), encode.uint(WINDOW), encode.uint(0), encode.uint(WINDOW))
        self.frame(frames.FLOW, *windows, *[NULL] * 5, TRUE)
        received: list[tuple[list[Any], bytes]] = []
        while (came := self.next()) is not None and came[0] == code:
            received.append(came[1:])
        assert came is not None
        assert came[0] == frames.FLOW
        return received

    # -- listening

    def read(self, size: int) -> bytes:
        """Raises EOFError at the end."""
        while len(self._buffer) < size:
            more = self.socket.recv(65_536)
            if not more:
                raise EOFError
            self._buffer += more
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def next(self) -> tuple[int, list[Any], bytes] | None:
        """A frame's code, fields and payload; None for a heartbeat."""
        size, offset, _, _ = frames.HEADER.unpack(self.read(frames.HEADER.size))
        body = self.read(size - frames.HEADER.size)[offset * 4 - frames.HEADER.size :]
        if not body:
            return None
        performative, end = decode(body)
        return performative.descriptor, performative.value, body[end:]

    def expect(self, code: int) -> list[Any]:
        """The fields of the next frame, which is of this kind."""
        frame = self.next()
        assert frame is not None
        assert frame[0] == code, f"{frame[0]:#x} came: {frame[1]}"
        return frame[1]

    def delivery(self) -> tuple[int, bytes]:
        """The number and the payload of the next one."""
        payload = b""
        while True:
            frame = self.next()
            assert frame is not None
            assert frame[0] == frames.TRANSFER
            payload += frame[2]
            if not frame[1][5]:
                return frame[1][1], payload

    def ended(self) -> str | None:
        """The condition that the server closes with; the connection is at its end."""
        condition = None
        try:
            while True:
                frame = self.next()
                if frame is not None and frame[0] == frames.CLOSE:
                    condition = frame[1][0].value[0] if isinstance(frame[1][0], Described) else None
        except (EOFError, ConnectionError):
            return condition


def open_frame(largest: int = 65_536, beat: bytes = NULL) -> bytes:
    return frames.frame(0, frames.OPEN, encode.string("peer"), NULL, encode.uint(largest), encode.ushort(10), beat)


def begin_frame(window: int = WINDOW, channel: int = 0) -> bytes:
    return frames.frame(channel, frames.BEGIN, NULL, encode.uint(0), encode.uint(window), encode.uint(WINDOW))


def attach_frame(address: str, handle: int = 0, *, receiving: bool, settled: bool = False) -> bytes:
    source = encode.described(frames.SOURCE, encode.list_([encode.string(address if receiving else "here")]))
    target = encode.described(frames.TARGET, encode.list_([encode.string("here" if receiving else address)]))
    modes = (encode.ubyte(1 if settled else 0), encode.ubyte(1))
    start = NULL if receiving else encode.uint(0)
    return frames.frame(
        0, frames.ATTACH, encode.string(f"link-{handle}"), encode.uint(handle), encode.boolean(receiving), *modes,
        source, target, NULL, NULL, start,
    )  # fmt: skip


def flow_frame(credit: int, *, count: int = 0, drain: bool = False, window: int = WINDOW, first: int = 0) -> bytes:
    windows = (encode.uint(first), encode.uint(window), encode.uint(0), encode.uint(WINDOW))
    link = (encode.uint(0), encode.uint(count), encode.uint(credit), NULL, encode.boolean(drain))
    return frames.frame(0, frames.FLOW, *windows, *link)


def transfer_frame(number: int, payload: bytes, *, more: bool = False, settled: bool = False, handle: int = 0) -> bytes:
    return frames.transfer(0, handle, number, number.to_bytes(16, "big"), settled=settled, more=more, payload=payload)


def disposition_frame(first: int, last: int, state: bytes, *, settled: bool = False) -> bytes:
    numbers = (encode.uint(first), encode.uint(last))
    return frames.frame(0, frames.DISPOSITION, TRUE, *numbers, TRUE if settled else FALSE, state)


def body(data: bytes) -> bytes:
    """A message of nothing but data."""
    return encode.described(0x75, encode.binary(data))

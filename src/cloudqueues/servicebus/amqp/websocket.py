"""AMQP inside WebSockets (RFC 6455), for clients behind a firewall that lets only HTTPS through.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide#connections-and-sessions
https://docs.oasis-open.org/amqp-bindmap/amqp-wsb/v1.0/amqp-wsb-v1.0.html
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import struct
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from cloudqueues.http1 import messages
from cloudqueues.http1.server import Reply, encode

if TYPE_CHECKING:
    from cloudqueues.servicebus.amqp.connection import Connection

PATH = "/$servicebus/websocket"
SUBPROTOCOLS = ("amqp", "AMQPWSB10")
"""Subprotocol of the standard, and that of its draft, which all Azure SDKs still offer."""
LONGEST_REQUEST = 16_384
"""Maximum bytes of a handshake."""
LONGEST_FRAME = 2**20
"""Maximum bytes of a WebSocket frame's payload. An AMQP frame has at most 64 KiB, and clients put one or a few in
each."""
LONGEST_CONTROL = 125
"""Bytes of a control frame's payload: https://www.rfc-editor.org/rfc/rfc6455#section-5.5"""
_END = b"\r\n\r\n"
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, _BINARY, _CLOSE, _PING, _PONG = 0, 2, 8, 9, 10
_LAST, _MASKED, _CONTROL = 0x80, 0x80, 0x08
_MEDIUM, _LONG = 126, 127
"""Length codes: the length follows in two or in eight bytes."""
_NORMAL, _PROTOCOL_ERROR = (struct.pack(">H", code) for code in (1000, 1002))


def accept_key(key: str) -> str:
    """Return the answer to a client's `Sec-WebSocket-Key`."""
    digest = hashlib.sha1(f"{key}{_GUID}".encode(), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def frame(code: int, payload: bytes) -> bytes:
    """Return a server's frame, whole and unmasked."""
    size = len(payload)
    if size < _MEDIUM:
        return bytes((_LAST | code, size)) + payload
    if size < 1 << 16:
        return struct.pack(">BBH", _LAST | code, _MEDIUM, size) + payload
    return struct.pack(">BBQ", _LAST | code, _LONG, size) + payload


def unmasked(payload: bytes, mask: bytes) -> bytes:
    """Return a client's payload without its mask, which is repeated over the payload."""
    size = len(payload)
    cover = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return (int.from_bytes(payload, "big") ^ cover).to_bytes(size, "big")


def take_frame(buffer: bytearray) -> tuple[int, bytes] | None:
    """Remove the client's first frame and return its code and payload, or None while it is incomplete.

    Raises ValueError for a frame that a client must not send.
    """
    if len(buffer) < 2:  # noqa: PLR2004 - the code, and the short length
        return None
    start, size = _length(buffer)
    is_control = buffer[0] & _CONTROL
    if not buffer[1] & _MASKED or buffer[0] & 0x70 or size > (LONGEST_CONTROL if is_control else LONGEST_FRAME):
        raise ValueError(f"a frame of {size} bytes with {buffer[0]:#x}, {buffer[1]:#x}")
    end = start + 4 + size
    if len(buffer) < end:
        return None
    mask, payload, code = bytes(buffer[start : start + 4]), bytes(buffer[start + 4 : end]), buffer[0] & 0x0F
    del buffer[:end]
    return code, unmasked(payload, mask)


def _length(buffer: bytearray) -> tuple[int, int]:
    """Return the position of the mask and the length of the payload, or 0 while the length is incomplete."""
    short = buffer[1] & ~_MASKED
    layout = {_MEDIUM: ">H", _LONG: ">Q"}.get(short)
    if layout is None:
        return 2, short
    start = 2 + struct.calcsize(layout)
    size: int = struct.unpack_from(layout, buffer, 2)[0] if len(buffer) >= start else 0
    return start, size


def refusal(head: messages.Head) -> Reply | None:
    """Return the reply that refuses a handshake, or None for a valid one."""
    method, target, _ = head.first
    if method != "GET" or target.partition("?")[0].rstrip("/") != PATH:
        return _refused(HTTPStatus.NOT_FOUND, f"AMQP over WebSockets is at {PATH}")
    if head.headers.get("upgrade", "").lower() != "websocket" or "sec-websocket-key" not in head.headers:
        return _refused(HTTPStatus.UPGRADE_REQUIRED, "this is the address of a WebSocket")
    if subprotocol(head.headers) is None:
        return _refused(HTTPStatus.BAD_REQUEST, f"offer the subprotocol {SUBPROTOCOLS[0]!r}")
    return None


def _refused(status: HTTPStatus, text: str) -> Reply:
    return Reply(status=status, body=f"{text}\n".encode(), headers={"Content-Type": "text/plain"})


def subprotocol(headers: Mapping[str, str]) -> str | None:
    """Return the first offered subprotocol that is supported."""
    offered = [name.strip() for name in headers.get("sec-websocket-protocol", "").split(",")]
    return next((name for name in offered if name in SUBPROTOCOLS), None)


class WebSocket(asyncio.Protocol):
    """WebSocket between a client's transport and a connection, which uses it as its transport."""

    def __init__(self, transport: asyncio.Transport, connection: Connection) -> None:
        self._transport = transport
        self._connection = connection
        self._in = bytearray()
        self._next: Callable[[], bool] = self._handshake
        self._full = False
        self._ping: bytes | None = None  # last ping that came while the client read nothing

    # -- asyncio protocol

    def data_received(self, data: bytes) -> None:
        self._in += data
        while not self._transport.is_closing() and self._next():
            pass

    def pause_writing(self) -> None:
        self._full = True
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._full = False
        if self._ping is not None:
            self._pong(self._ping)
        self._connection.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(exc)

    # -- input

    def _handshake(self) -> bool:
        lines, end, _ = self._in.partition(_END)
        if len(lines) > LONGEST_REQUEST:
            text = f"at most {LONGEST_REQUEST} bytes"
            self._turn_down(_refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, text))
            return False
        if not end:
            return False
        del self._in[: len(lines) + len(end)]
        try:
            head = messages.parse_head(bytes(lines + end))
        except messages.Malformed as malformed:
            self._turn_down(_refused(malformed.status, str(malformed)))
            return False
        if reply := refusal(head):
            self._turn_down(reply)
            return False
        self._welcome(head.headers)
        return True

    def _turn_down(self, reply: Reply) -> None:
        self._transport.write(encode(reply, connection="close"))
        self._transport.close()

    def _welcome(self, headers: Mapping[str, str]) -> None:
        answer = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Accept": accept_key(headers["sec-websocket-key"]),
            "Sec-WebSocket-Protocol": str(subprotocol(headers)),
        }
        self._transport.write(messages.write_head("HTTP/1.1 101 Switching Protocols", answer))
        self._connection.write_through(self)
        self._next = self._frame

    def _frame(self) -> bool:
        try:
            received = take_frame(self._in)
        except ValueError:
            self._end(_PROTOCOL_ERROR)
            return False
        if received is not None:
            self._do(*received)
        return received is not None

    def _do(self, code: int, payload: bytes) -> None:
        if code in {_BINARY, _CONTINUATION}:
            self._connection.data_received(payload)
        elif code == _PING:
            self._pong(payload)
        elif code == _CLOSE:
            self.close()
        elif code != _PONG:
            self._end(_PROTOCOL_ERROR)

    def _pong(self, payload: bytes) -> None:
        """Answer a ping. While the client reads nothing, keep only the last ping, as RFC 6455 section 5.5.3 allows."""
        self._ping = payload if self._full else None
        if not self._full:
            self._transport.write(frame(_PONG, payload))

    # -- transport of the connection

    def write(self, data: bytes) -> None:
        self._transport.write(frame(_BINARY, data))

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._end(_NORMAL)

    def _end(self, reason: bytes) -> None:
        self._transport.write(frame(_CLOSE, reason))
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

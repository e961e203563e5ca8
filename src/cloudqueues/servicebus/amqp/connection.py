"""AMQP connection of a client: headers, SASL, frames, heartbeats and sessions. Invalid input ends this connection
only."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Any, Protocol, cast

from cloudqueues.servicebus.amqp import encode, frames
from cloudqueues.servicebus.context import BrokerContext
from cloudqueues.servicebus.errors import FORCED, FRAMING, INTERNAL, INVALID_FIELD, NOT_ALLOWED, AmqpError, LinkError

_LOG = logging.getLogger(__name__)

AMQP_HEADER = b"AMQP\x00\x01\x00\x00"
SASL_HEADER = b"AMQP\x03\x01\x00\x00"
FRAME = 65_536
"""Maximum bytes of a frame, as in the real service."""
CHANNELS = 255
IDLE = 120.0
"""Idle timeout in seconds that is announced to clients. A connection is closed after twice that time without data, as
the specification advises."""
FASTEST = 0.01
"""Minimum seconds between two heartbeats, however short the client's idle timeout is."""
_MECHANISMS = ("MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL")


class Writer(Protocol):
    """Transport that a connection writes to, or a WebSocket on one."""

    def write(self, data: bytes) -> None: ...
    def is_closing(self) -> bool: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...


class Channel(Protocol):
    """AMQP session on one channel of a connection."""

    def handle(self, code: int, values: list[Any], rest: bytes) -> None: ...
    def resume(self) -> None:
        """Send what waited for the client to read."""
        ...

    def detach_links(self, paths: Collection[str], error: LinkError) -> None: ...
    def close(self) -> None: ...


class Connection(asyncio.Protocol):
    """AMQP connection of one client. Used in the thread of its event loop only.

    `begin` makes the session of a channel from the fields of the client's begin.
    """

    def __init__(
        self,
        begin: Callable[[Connection, int, list[Any]], Channel],
        context: BrokerContext,
        closed: Callable[[Connection], None],
        idle: float = IDLE,
    ) -> None:
        self._begin = begin
        self.context = context
        self.largest = context.tier.message
        """Maximum bytes of a message, over all its frames."""
        self.payload_size = frames.SMALLEST_MAXIMUM - frames.TRANSFER_SIZE
        """Bytes of a message that fit in one frame to the client."""
        self.full = False
        """True if the transport's write buffer is full."""
        self.sessions: dict[int, Channel] = {}
        self.rights: dict[str, frozenset[str]] = {}
        """Rights that the client's tokens give, by path of an entity; an empty path stands for the namespace."""
        self._closed = closed
        self._idle = idle
        self._in = bytearray()
        self._out: list[bytes] = []
        self._next: Callable[[], bool] = self._header
        self.is_broken = False
        """True if the connection broke, rather than being closed."""
        self._reading = self._opened = self._ended = False
        self._layer = frames.SASL  # type of the frames that follow the header
        self._loop = asyncio.get_running_loop()
        self._writer: Writer
        self._watcher: asyncio.TimerHandle | None = None
        self._beater: asyncio.TimerHandle | None = None
        self._heard = self._loop.time()

    # -- asyncio protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._writer = cast("asyncio.Transport", transport)
        self._watch()

    def write_through(self, writer: Writer) -> None:
        """Use another writer. Call before anything is written."""
        self._writer = writer

    def data_received(self, data: bytes) -> None:
        if self._opened:  # before the open, bytes that trickle in do not extend the time limit
            self._heard = self._loop.time()
        self._in += data
        self._reading = True
        try:
            while not self._ended and self._next():
                pass
        except AmqpError as error:
            self.fail(error)
        except Exception:  # noqa: BLE001 - a fault of ours: it ends this client's connection, not the others
            _LOG.exception("a frame of a client could not be handled")
            self.fail(AmqpError(INTERNAL, "the frame could not be handled"))
        self._reading = False
        self._flush()

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        for session in list(self.sessions.values()):
            session.resume()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        self.is_broken, self._ended = self.is_broken or not self._ended, True
        for timer in (self._watcher, self._beater):
            if timer is not None:
                timer.cancel()
        for session in self.sessions.values():
            session.close()
        self.sessions.clear()
        self._closed(self)

    # -- headers and frames

    def _header(self) -> bool:
        if len(self._in) < len(AMQP_HEADER):
            return False
        header = bytes(self._in[: len(AMQP_HEADER)])
        del self._in[: len(AMQP_HEADER)]
        if header not in {AMQP_HEADER, SASL_HEADER}:
            self.send(AMQP_HEADER)  # the specification's answer to any other protocol
            self._end()
            return False
        self.send(header)
        self._layer = frames.SASL if header == SASL_HEADER else frames.AMQP
        if header == SASL_HEADER:
            self.send(frames.frame(0, frames.MECHANISMS, encode.symbols(_MECHANISMS), kind=frames.SASL))
        self._next = self._frame
        return True

    def _frame(self) -> bool:
        if len(self._in) < frames.HEADER.size:
            return False
        size, offset, kind, channel = frames.HEADER.unpack_from(self._in)
        if not frames.HEADER.size <= offset * 4 <= size <= FRAME or kind != self._layer:
            raise AmqpError(FRAMING, f"invalid frame: {size} bytes, data at {offset * 4}, type {kind}")
        if len(self._in) < size:
            return False
        with memoryview(self._in) as view:
            data = bytes(view[:size])
        del self._in[:size]
        if size > offset * 4:
            self._do(kind, channel, *frames.parse(data, offset * 4, kind))
        return True

    def _do(self, kind: int, channel: int, code: int, values: list[Any], rest: bytes) -> None:
        if kind == frames.SASL:
            self._sasl(code, values)
        elif code == frames.OPEN:
            self._open(values)
        elif not self._opened:
            raise AmqpError(NOT_ALLOWED, "an open comes first")
        elif code == frames.CLOSE:
            self.send(frames.frame(0, frames.CLOSE))
            self._end()
        else:
            self._in_session(channel, code, values, rest)

    def _sasl(self, code: int, values: list[Any]) -> None:
        if code != frames.SASL_INIT:
            raise AmqpError(FRAMING, "a SASL frame that is out of place")
        welcome = values[0] in _MECHANISMS
        self.send(frames.frame(0, frames.SASL_OUTCOME, encode.ubyte(0 if welcome else 1), kind=frames.SASL))
        if welcome:
            self._next = self._header
        else:
            self._end()

    def _open(self, values: list[Any]) -> None:
        container, _, largest, _, idle = values[:5]
        if self._opened or not isinstance(container, str):
            raise AmqpError(INVALID_FIELD, "an open comes once, with a container id")
        largest = largest if isinstance(largest, int) else FRAME
        if largest < frames.SMALLEST_MAXIMUM:
            raise AmqpError(INVALID_FIELD, f"frames of {largest} bytes are too small")
        self.payload_size = min(largest, FRAME) - frames.TRANSFER_SIZE
        self._welcome()
        if isinstance(idle, int) and idle:
            self._beat(max(idle / 2000, FASTEST))

    def _welcome(self) -> None:
        self._opened = True
        limits = (encode.uint(FRAME), encode.ushort(CHANNELS), encode.uint(round(self._idle * 1000)))
        self.send(frames.frame(0, frames.OPEN, encode.string("peeklock"), encode.NULL, *limits))

    def _in_session(self, channel: int, code: int, values: list[Any], rest: bytes) -> None:
        session = self.sessions.get(channel)
        if code == frames.BEGIN and session is None and channel <= CHANNELS:
            self.sessions[channel] = self._begin(self, channel, values)
        elif session is None or code == frames.BEGIN:
            raise AmqpError(FRAMING, f"a frame of {code:#x} on channel {channel}, out of place")
        elif code == frames.END:
            session.close()
            del self.sessions[channel]
            self.send(frames.frame(channel, frames.END))
        else:
            session.handle(code, values, rest)

    # -- output

    def send(self, frame: bytes) -> None:
        """Queue a frame, to be written with all others of this turn of the loop."""
        if not self._out and not self._reading:
            self._loop.call_soon(self._flush)
        self._out.append(frame)

    def respond(self, what: tuple[object, ...], answer: Callable[[], None]) -> None:
        """Call `answer`, unless a fault delays the response or drops the connection instead. `what` identifies the
        request for the draw."""
        faults = self.context.faults
        if self.context.hits("drop", *what):
            self._flush()  # what was answered before this is not dropped
            self.abort()
        elif self.context.hits("delay", *what):
            self._loop.call_later(faults.delay_s * faults.draw("delay_s", *what), self._late, answer)
        else:
            answer()

    def _late(self, answer: Callable[[], None]) -> None:
        if not self._ended:
            answer()

    def _flush(self) -> None:
        if self._out and not self._writer.is_closing():
            self._writer.write(b"".join(self._out))
        self._out.clear()

    # -- timers and end

    def _watch(self) -> None:
        """Close a connection that was idle for too long, or that never opened."""
        silent = self._loop.time() - self._heard
        if silent >= 2 * self._idle:
            allowed = f"{2 * self._idle:.0f} seconds"
            self.fail(AmqpError(FORCED, f"The connection was inactive for more than the allowed {allowed}."))
            self._flush()
        else:
            self._watcher = self._loop.call_later(2 * self._idle - silent, self._watch)

    def _beat(self, every: float) -> None:
        self.send(frames.HEARTBEAT)
        self._beater = self._loop.call_later(every, self._beat, every)

    def fail(self, error: AmqpError) -> None:
        """Close the connection with an error."""
        if self._ended:
            return
        if not self._opened and self._layer == frames.AMQP:
            self._welcome()  # a close cannot come first
        if self._opened:
            self.send(frames.frame(0, frames.CLOSE, frames.error(error.condition, error.text)))
        self._end()

    def _end(self) -> None:
        self._ended = True
        self._flush()
        self._writer.close()

    def abort(self) -> None:
        """Cut the connection without a close frame."""
        self.is_broken = self._ended = True
        self._writer.abort()  # asyncio then calls `connection_lost` in the loop's next turn

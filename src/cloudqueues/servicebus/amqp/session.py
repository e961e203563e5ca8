"""AMQP session: its links, windows and unsettled deliveries."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from typing import Any, Protocol

from cloudqueues.servicebus.amqp import attach, encode, frames
from cloudqueues.servicebus.amqp.attach import Attach
from cloudqueues.servicebus.amqp.connection import Connection
from cloudqueues.servicebus.errors import HANDLE_IN_USE, INVALID_FIELD, UNATTACHED, AmqpError, LinkError

WINDOW = 2**31 - 1
"""Transfers that a client may send. Credit and message size bound what it sends, so the window need not."""
HANDLES = 2**32 - 1
_SERIALS = 2**32


class Link(Protocol):
    """Link of a session, in either direction."""

    @property
    def attach_request(self) -> Attach: ...
    @property
    def attached(self) -> bool:
        """True if the attach was confirmed."""
        ...

    def flow(self, values: list[Any]) -> None: ...
    def transfer(self, values: list[Any], payload: bytes) -> None: ...
    def settle(self, tag: bytes, state: Any, respond: Callable[[bytes], None]) -> None:
        """Apply the state of a delivery, and respond with the outcome."""
        ...

    def send_available(self) -> None:
        """Send available messages, within the credit and the window."""
        ...

    def close(self) -> None: ...


class Session:
    """AMQP session. `attach_link` makes the link of an attach, or raises LinkError."""

    def __init__(
        self, connection: Connection, channel: int, begin: list[Any], attach_link: Callable[[Session, Attach], None]
    ) -> None:
        if not all(isinstance(value, int) for value in begin[1:4]):
            raise AmqpError(INVALID_FIELD, "a begin needs its first transfer id and its windows")
        self.connection = connection
        self._attach_link = attach_link
        self.channel = channel
        self.links: dict[int, Link] = {}
        self._gone: set[int] = set()  # handles detached by us, which the client may still use
        self._deliveries: dict[int, tuple[Link, bytes]] = {}
        self._next_delivery = 0
        self._next_in: int = begin[1]
        self._next_out = 0
        self._window: int = begin[2]
        self._waiting: deque[tuple[bytes, bool]] = deque()  # frames, and whether they take room in the window
        self._handlers: dict[int, Callable[[list[Any], bytes], None]] = {
            frames.ATTACH: self._attach,
            frames.FLOW: self._flow,
            frames.TRANSFER: self._transfer,
            frames.DISPOSITION: self._disposition,
            frames.DETACH: self._detach,
        }
        fields = (
            encode.ushort(channel),
            encode.uint(0),
            encode.uint(WINDOW),
            encode.uint(WINDOW),
            encode.uint(HANDLES),
        )
        connection.send(frames.frame(channel, frames.BEGIN, *fields))

    @property
    def flowing(self) -> bool:
        """True if a transfer would be sent at once."""
        return self._window > 0 and not self._waiting and not self.connection.full

    def handle(self, code: int, values: list[Any], rest: bytes) -> None:
        self._handlers[code](values, rest)

    # -- input

    def _attach(self, values: list[Any], rest: bytes) -> None:
        attach_request = attach.read(values, rest)
        if attach_request.handle in self.links:
            raise AmqpError(HANDLE_IN_USE, f"the handle {attach_request.handle} has a link already")
        self._gone.discard(attach_request.handle)
        try:
            self._attach_link(self, attach_request)
        except LinkError as error:
            self.links.pop(attach_request.handle, None)
            self._gone.add(attach_request.handle)
            self.emit(attach.refusal(self.channel, attach_request, error))

    def _link(self, number: int) -> Link | None:
        """Return the link of a handle, or None for a link that was detached here while the client may not know it
        yet."""
        if number not in self.links and number not in self._gone:
            raise AmqpError(UNATTACHED, f"no link has the handle {number}")
        return self.links.get(number)

    def _flow(self, values: list[Any], _rest: bytes) -> None:
        first, window = values[0] or 0, values[1]
        if not isinstance(first, int) or not isinstance(window, int):
            raise AmqpError(INVALID_FIELD, "a flow needs its windows")
        self._window = (first + window - self._next_out + _SERIALS // 2) % _SERIALS - _SERIALS // 2
        self._flush()
        if values[4] is None:
            self.resume()
            if values[9] is True:
                self.emit(self._flow_frame())
            return
        link = self._link(handle(values, 4))
        if link is not None:
            link.flow(values)

    def _transfer(self, values: list[Any], payload: bytes) -> None:
        self._next_in = (self._next_in + 1) % _SERIALS
        link = self._link(handle(values, 0))
        if link is not None:
            link.transfer(values, payload)

    def _disposition(self, values: list[Any], _rest: bytes) -> None:
        receiver, first, last, settled, state, _ = values
        last = first if last is None else last
        if not isinstance(first, int) or not isinstance(last, int):
            raise AmqpError(INVALID_FIELD, "a disposition needs its deliveries")
        if receiver is not True or not (settled is True or frames.is_outcome(state)):
            return
        few = last - first < len(self._deliveries)
        numbers = (
            range(first, last + 1) if few else sorted(number for number in self._deliveries if first <= number <= last)
        )
        for number in numbers:
            if number in self._deliveries:
                self._settled(number, state, answer=settled is not True)

    def _settled(self, number: int, state: Any, *, answer: bool) -> None:
        link, tag = self._deliveries.pop(number)

        def respond(outcome: bytes) -> None:
            if answer:
                self.settle(receiver=False, number=number, state=outcome)

        link.settle(tag, state, respond)

    def _detach(self, values: list[Any], _rest: bytes) -> None:
        number = handle(values, 0)
        link = self._link(number)
        self._gone.discard(number)
        if link is not None:
            self._close(link)
            self.emit(attach.detach(self.channel, number))

    # -- output

    def emit(self, frame: bytes) -> None:
        """Send a frame, after any transfers that wait for the window."""
        if self._waiting:
            self._waiting.append((frame, False))
        else:
            self.connection.send(frame)

    def settle(self, *, receiver: bool, number: int, state: bytes) -> None:
        """Send the outcome of a delivery."""
        self.emit(frames.disposition(self.channel, receiver=receiver, number=number, state=state))

    def deliver(self, link: Link, payload: bytes, tag: bytes, *, settled: bool) -> None:
        """Send a delivery. What exceeds the client's window waits."""
        number, room, size = self._next_delivery, self.connection.payload_size, len(payload)
        self._next_delivery = (number + 1) % _SERIALS
        if not settled:
            self._deliveries[number] = (link, tag)
        for start in range(0, size or 1, room):
            more = start + room < size
            part = payload if size <= room else payload[start : start + room]
            transfer = frames.transfer(
                self.channel, link.attach_request.handle, number, tag, settled=settled, more=more, payload=part
            )
            self._waiting.append((transfer, True))
        self._flush()

    def _flush(self) -> None:
        while self._waiting and (self._window > 0 or not self._waiting[0][1]):
            frame, is_transfer = self._waiting.popleft()
            if is_transfer:
                self._window -= 1
                self._next_out = (self._next_out + 1) % _SERIALS
            self.connection.send(frame)

    def emit_flow(self, number: int, count: int, credit: int, *, drain: bool = False) -> None:
        link = (encode.uint(number), encode.uint(count), encode.uint(credit), encode.NULL, encode.boolean(drain))
        self.emit(self._flow_frame(*link))

    def _flow_frame(self, *link: bytes) -> bytes:
        windows = (encode.uint(self._next_in), encode.uint(WINDOW), encode.uint(self._next_out), encode.uint(WINDOW))
        return frames.frame(self.channel, frames.FLOW, *windows, *link)

    def resume(self) -> None:
        """Send what waited for the connection or the window."""
        for link in list(self.links.values()):
            link.send_available()

    # -- detach and end

    def detach(self, link: Link, error: AmqpError) -> None:
        """Detach a link with an error, or refuse its attach if that is not confirmed yet."""
        number = link.attach_request.handle
        self._gone.add(number)
        if not link.attached:
            self.emit(attach.refusal(self.channel, link.attach_request, error))
        else:
            self.emit(attach.detach(self.channel, number, error))
        self._close(link)

    def detach_links(self, paths: Collection[str], error: LinkError) -> None:
        """Detach the links to any of the paths, which are lower case."""
        for link in list(self.links.values()):
            if link.attach_request.path.lower() in paths:
                self.detach(link, error)

    def _close(self, link: Link) -> None:
        del self.links[link.attach_request.handle]
        self._deliveries = {n: delivery for n, delivery in self._deliveries.items() if delivery[0] is not link}
        link.close()

    def close(self) -> None:
        for link in list(self.links.values()):
            self._close(link)


def handle(values: list[Any], position: int) -> int:
    """Return the handle in a performative. Raises AmqpError for a handle that is not an integer."""
    number = values[position]
    if not isinstance(number, int):
        raise AmqpError(INVALID_FIELD, "a handle is a number")
    return number

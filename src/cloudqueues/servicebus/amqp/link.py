"""AMQP links: credit and deliveries. A `Source` supplies the messages that are sent, a `Sink` takes those that arrive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from cloudqueues.servicebus.amqp import attach, frames
from cloudqueues.servicebus.amqp.attach import Attach
from cloudqueues.servicebus.amqp.decode import Described
from cloudqueues.servicebus.amqp.session import Session
from cloudqueues.servicebus.errors import INVALID_FIELD, NOT_IMPLEMENTED, TOO_LARGE, UNATTACHED, AmqpError, Refused

CREDIT = 1000
"""Messages that a client may have in flight to the emulator."""
_SERIALS = 2**32


class Source(Protocol):
    """Supplier of a sending link's messages."""

    def on_credit(self) -> None:
        """Handle new credit, or new room in the window."""
        ...

    def settle(self, tag: bytes, state: Any, respond: Callable[[bytes], None]) -> None:
        """Apply the receiver's delivery state, and respond with the outcome."""
        ...

    def close(self) -> None: ...


class SendingLink:
    """Link on which the client receives. Set `source` before anything happens on the link."""

    def __init__(self, session: Session, attach_request: Attach) -> None:
        self.session = session
        self.attach_request = attach_request
        self.source: Source | None = None
        self.attached = False
        self.credit = 0
        self._count = 0  # deliveries so far, from which the receiver counts its credit
        self._draining = False

    def answer(self, *, session: str | None = None, properties: dict[str, bytes] | None = None) -> None:
        """Confirm the attach."""
        largest = self.session.connection.largest
        self.session.emit(
            attach.reply(self.session.channel, self.attach_request, largest, session=session, properties=properties)
        )
        self.attached = True

    def can_send(self) -> bool:
        """Return whether a delivery would be sent at once."""
        return self.credit > 0 and self.attached and self.session.flowing

    def send(self, payload: bytes, tag: bytes, *, settled: bool) -> None:
        """Send one delivery, in as many frames as it takes."""
        self.credit -= 1
        self._count = (self._count + 1) % _SERIALS
        self.session.deliver(self, payload, tag, settled=settled)

    def transfer(self, _values: list[Any], _payload: bytes) -> None:
        """Raise AmqpError: the client cannot send on this link."""
        raise AmqpError(UNATTACHED, "a transfer on a link that receives")

    def flow(self, values: list[Any]) -> None:
        """Take the receiver's credit, which counts from the deliveries that it had received."""
        count, credit = values[5] or 0, values[6] or 0
        if not isinstance(count, int) or not isinstance(credit, int):
            raise AmqpError(INVALID_FIELD, "a flow with a credit that is not a number")
        self.credit = max(0, (count + credit - self._count + _SERIALS // 2) % _SERIALS - _SERIALS // 2)
        self._draining = values[8] is True
        self.send_available()
        if values[9] is True and not self._draining:
            self._send_flow()

    def send_available(self) -> None:
        """Send the messages there are. Return the remaining credit while the receiver drains."""
        if self.source is not None and self.attached:
            self.source.on_credit()
            if self._draining and self.session.flowing:
                self._count = (self._count + self.credit) % _SERIALS
                self.credit = 0
                self._send_flow()
                self._draining = False

    def _send_flow(self) -> None:
        self.session.emit_flow(self.attach_request.handle, self._count, self.credit, drain=self._draining)

    def settle(self, tag: bytes, state: Any, respond: Callable[[bytes], None]) -> None:
        """Pass the receiver's delivery state to the source."""
        if self.source is not None:
            self.source.settle(tag, state, respond)

    def close(self) -> None:
        self.attached = False
        if self.source is not None:
            self.source.close()


class Sink(Protocol):
    """Consumer of a receiving link's messages."""

    def take(self, data: bytes, message_format: int, response: DeliveryResponse) -> None:
        """Take one delivery, and respond to it. Raises Refused."""
        ...

    def close(self) -> None: ...


class DeliveryResponse:
    """Outcome of one delivery of a client. Nothing is sent for a delivery that was sent settled."""

    __slots__ = ("_link", "_number", "settled")

    def __init__(self, link: ReceivingLink, number: int, *, settled: bool) -> None:
        self._link = link
        self._number = number
        self.settled = settled

    def accept(self) -> None:
        self._respond(frames.outcome(frames.ACCEPTED))

    def refuse(self, error: AmqpError) -> None:
        self._respond(frames.rejected(error.condition, error.text))

    def _respond(self, state: bytes) -> None:
        if not self.settled:
            self._link.session.settle(receiver=True, number=self._number, state=state)


class ReceivingLink:
    """Link on which the client sends."""

    def __init__(self, session: Session, attach_request: Attach, sink: Sink) -> None:
        self.session = session
        self.attach_request = attach_request
        self.attached = True
        self.sink = sink
        self._count = 0
        self._credit = 0
        self._first: list[Any] | None = None
        self._parts: list[bytes] = []
        self._size = 0

    def answer(self) -> None:
        """Confirm the attach, and give credit."""
        self.session.emit(attach.reply(self.session.channel, self.attach_request, self.session.connection.largest))
        self._top_up()

    def _top_up(self) -> None:
        """Renew the credit early enough that no client waits for it."""
        if self._credit <= CREDIT // 2:
            self._credit = CREDIT
            self.session.emit_flow(self.attach_request.handle, self._count, CREDIT)

    def flow(self, _values: list[Any]) -> None:
        """Ignore the client's flow: only a receiver gives credit."""

    def send_available(self) -> None:
        """Send nothing: the client receives nothing on this link."""

    def settle(self, tag: bytes, state: Any, respond: Callable[[bytes], None]) -> None:
        """Settle nothing: no delivery was sent on this link."""

    def transfer(self, values: list[Any], payload: bytes) -> None:
        """Take one frame of a delivery.

        A delivery that is too large is not stored, and is refused after its last frame: clients look for the condition
        in the disposition, and not in a detach.
        """
        first = self._first = _checked(values) if self._first is None else self._first
        self._size += len(payload)
        if self._size <= self.session.connection.largest:
            self._parts.append(payload)
        aborted = values[9] is True
        if values[5] is not True or aborted:
            parts, size = self._parts, self._size
            self._first, self._parts, self._size = None, [], 0
            if not aborted:
                self._arrived(first, b"".join(parts), size, settled=values[4] is True or first[4] is True)

    def _arrived(self, first: list[Any], data: bytes, size: int, *, settled: bool) -> None:
        self._count = (self._count + 1) % _SERIALS
        self._credit -= 1
        response = DeliveryResponse(self, first[1], settled=settled)
        try:
            self._take(data, size, first, response)
        except Refused as refused:
            response.refuse(refused)
        self._top_up()

    def _take(self, data: bytes, size: int, first: list[Any], response: DeliveryResponse) -> None:
        limit = self.session.connection.largest
        if size > limit:
            text = f"The received message (delivery-id:{first[1]}, size:{size} bytes) exceeds the limit ({limit} bytes)"
            raise Refused(TOO_LARGE, f"{text} currently allowed on the link.")
        if isinstance(first[7], Described) and first[7].descriptor == frames.TRANSACTIONAL:
            raise Refused(NOT_IMPLEMENTED, "Transactions are not implemented by this emulator: send without one.")
        self.sink.take(data, first[3] or 0, response)

    def close(self) -> None:
        self.sink.close()


def _checked(values: list[Any]) -> list[Any]:
    if not isinstance(values[1], int) or not isinstance(values[2], bytes):
        raise AmqpError(INVALID_FIELD, "the first transfer of a delivery needs an id and a tag")
    return values

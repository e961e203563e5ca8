"""Links: credit and deliveries. What is sent and what is done with what comes in is up to what they are made with."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from cloudqueues.servicebus.amqp import attach, frames
from cloudqueues.servicebus.amqp.attach import Attach
from cloudqueues.servicebus.amqp.decode import Described
from cloudqueues.servicebus.errors import INVALID_FIELD, NOT_IMPLEMENTED, TOO_LARGE, AmqpError, Refused

if TYPE_CHECKING:
    from cloudqueues.servicebus.amqp.session import Session

CREDIT = 1000
"""Messages that a client may have under way to us."""
_SERIALS = 2**32


class Source(Protocol):
    """Where a sending link has its messages from."""

    def fed(self) -> None:
        """There is credit, or room again."""
        ...

    def settle(self, tag: bytes, state: Any, give: Callable[[bytes], None]) -> None:
        """The receiver's verdict on a delivery, which is answered with a state."""
        ...

    def close(self) -> None: ...


class SendingLink:
    """The client receives. `source` is set once it is known, before anything happens on the link."""

    def __init__(self, session: Session, asked: Attach) -> None:
        self.session = session
        self.asked = asked
        self.source: Source | None = None
        self.attached = False
        self.credit = 0
        self._count = 0  # deliveries so far: what credit is counted from
        self._draining = False

    def answer(self, *, session: str | None = None, properties: dict[str, bytes] | None = None) -> None:
        """Yes to the attach."""
        largest = self.session.connection.largest
        self.session.emit(
            attach.reply(self.session.channel, self.asked, largest, session=session, properties=properties)
        )
        self.attached = True

    def hungry(self) -> bool:
        return self.credit > 0 and self.attached and self.session.flowing

    def send(self, payload: bytes, tag: bytes, *, settled: bool) -> None:
        """One delivery, in as many frames as it takes."""
        self.credit -= 1
        self._count = (self._count + 1) % _SERIALS
        self.session.deliver(self, payload, tag, settled=settled)

    def flow(self, values: list[Any]) -> None:
        """The receiver's credit counts from the deliveries that it knew of."""
        count, credit = values[5] or 0, values[6] or 0
        if not isinstance(count, int) or not isinstance(credit, int):
            raise AmqpError(INVALID_FIELD, "a flow with a credit that is no number")
        self.credit = max(0, (count + credit - self._count + _SERIALS // 2) % _SERIALS - _SERIALS // 2)
        self._draining = values[8] is True
        self.feed()
        if values[9] is True and not self._draining:
            self._tell()

    def feed(self) -> None:
        """Send what there is. Credit that is left while the receiver drains is given back."""
        if self.source is not None and self.attached:
            self.source.fed()
            if self._draining and self.session.flowing:
                self._count = (self._count + self.credit) % _SERIALS
                self.credit = 0
                self._tell()
                self._draining = False

    def _tell(self) -> None:
        self.session.emit_flow(self.asked.handle, self._count, self.credit, drain=self._draining)

    def close(self) -> None:
        self.attached = False
        if self.source is not None:
            self.source.close()


class Sink(Protocol):
    """What a receiving link's messages go to."""

    def take(self, data: bytes, message_format: int, answer: Answer) -> None:
        """Raises Refused."""
        ...

    def close(self) -> None: ...


class Answer:
    """To one delivery of a client; given once, unless the client wants none."""

    __slots__ = ("_link", "_number", "settled")

    def __init__(self, link: ReceivingLink, number: int, *, settled: bool) -> None:
        self._link = link
        self._number = number
        self.settled = settled

    def accept(self) -> None:
        self._give(frames.outcome(frames.ACCEPTED))

    def refuse(self, error: AmqpError) -> None:
        self._give(frames.rejected(error.condition, error.text))

    def _give(self, state: bytes) -> None:
        if not self.settled:
            self._link.session.settle(receiver=True, number=self._number, state=state)


class ReceivingLink:
    """The client sends."""

    def __init__(self, session: Session, asked: Attach, sink: Sink) -> None:
        self.session = session
        self.asked = asked
        self.sink = sink
        self._count = 0
        self._credit = 0
        self._first: list[Any] | None = None
        self._parts: list[bytes] = []
        self._size = 0

    def answer(self) -> None:
        self.session.emit(attach.reply(self.session.channel, self.asked, self.session.connection.largest))
        self._top_up()

    def _top_up(self) -> None:
        """Early enough that no client ever waits for credit."""
        if self._credit <= CREDIT // 2:
            self._credit = CREDIT
            self.session.emit_flow(self.asked.handle, self._count, CREDIT)

    def transfer(self, values: list[Any], payload: bytes) -> None:
        """One frame of a delivery. Of one that is too large nothing is kept, and it is refused at its end: the clients
        look for the condition there, and not in a detach."""
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
        answer = Answer(self, first[1], settled=settled)
        try:
            self._take(data, size, first, answer)
        except Refused as refused:
            answer.refuse(refused)
        self._top_up()

    def _take(self, data: bytes, size: int, first: list[Any], answer: Answer) -> None:
        limit = self.session.connection.largest
        if size > limit:
            text = f"The received message (delivery-id:{first[1]}, size:{size} bytes) exceeds the limit ({limit} bytes)"
            raise Refused(TOO_LARGE, f"{text} currently allowed on the link.")
        if isinstance(first[7], Described) and first[7].descriptor == frames.TRANSACTIONAL:
            raise Refused(NOT_IMPLEMENTED, "Transactions are not implemented by this emulator: send without one.")
        self.sink.take(data, first[3] or 0, answer)

    def close(self) -> None:
        self.sink.close()


def _checked(values: list[Any]) -> list[Any]:
    if not isinstance(values[1], int) or not isinstance(values[2], bytes):
        raise AmqpError(INVALID_FIELD, "the first transfer of a delivery needs an id and a tag")
    return values


def handle(values: list[Any], position: int) -> int:
    """The handle in a performative."""
    found = values[position]
    if not isinstance(found, int):
        raise AmqpError(INVALID_FIELD, "a handle is a number")
    return found

"""Receiver on a queue: sends deliveries and applies their outcomes."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from cloudqueues.servicebus import message_encoding, settlement
from cloudqueues.servicebus.amqp import attach, frames
from cloudqueues.servicebus.amqp.decode import Described, listed, mapped
from cloudqueues.servicebus.amqp.link import SendingLink
from cloudqueues.servicebus.errors import NOT_IMPLEMENTED, AmqpError, Refused
from cloudqueues.servicebus.message import Message
from cloudqueues.servicebus.queue import Queue

_PLAIN = (str, int, float, bool, bytes, uuid.UUID)
_INFO = 2
"""Position of the map in an AMQP error."""


class Receiver:
    """Consumer of a queue and source of a sending link."""

    def __init__(self, link: SendingLink, queue: Queue) -> None:
        self.destructive = link.attach_request.settled
        self._link = link
        self._queue = queue
        self._session: str | None = None
        self._keys: dict[bytes, tuple[str, int]] = {}  # fault keys of unsettled deliveries, by lock token

    # -- consumer of the queue

    def can_receive(self) -> bool:
        return self._link.can_send()

    def deliver(self, message: Message) -> None:
        data = message_encoding.render(message, self._link.session.connection.context.clock_offset)
        if message.token is None:
            self._link.send(data, b"", settled=True)
        else:
            self._keys[message.token.bytes] = (message.key, message.delivery_count)
            self._link.send(data, message.token.bytes_le, settled=False)

    def close_with(self, error: AmqpError) -> None:
        if not self._link.session.connection.is_broken:
            self._link.session.detach(self._link, error)

    def accept(self, wanted: str | None, wait: float) -> None:
        """Lock a session within `wait` seconds. Raises Refused when the wanted session is locked already."""
        sessions = self._queue.sessions
        assert sessions is not None
        sessions.accept(self, wanted, wait, self._accepted)

    def _accepted(self, session: str, until: float) -> None:
        self._session = session
        clock_offset = self._link.session.connection.context.clock_offset
        self._link.answer(session=session, properties={attach.SESSION_UNTIL: attach.ticks(until - clock_offset)})
        self._link.send_available()

    # -- source of the link

    def on_credit(self) -> None:
        if self._link.can_send():
            self._queue.add_consumer(self, self._session)

    def settle(self, tag: bytes, state: Any, respond: Callable[[bytes], None]) -> None:
        token = uuid.UUID(bytes_le=tag)
        what = self._keys.pop(token.bytes, ("", 0))
        try:
            outcome = settle(self._queue, token, state)
        except Refused as refused:
            outcome = frames.rejected(refused.condition, refused.text)
        self._link.session.connection.respond(("settle", *what), lambda: respond(outcome))

    def close(self) -> None:
        """Release the session of a closed link. The session of a broken connection stays locked until its lock ends,
        unless the link is receive-and-delete."""
        self._queue.remove_consumer(self)
        if self._queue.sessions is not None:
            held = self._session if self.destructive or not self._link.session.connection.is_broken else None
            self._queue.sessions.release(self, held)


def settle(queue: Queue, token: uuid.UUID, state: object) -> bytes:
    """Apply a delivery state and return the outcome for the client. Raises Refused when the lock is lost or the state
    is transactional.

    Meaning of the states:
    https://learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-protocol-guide#receiver
    """
    code, values = frames.RELEASED, list[Any]()
    if isinstance(state, Described) and isinstance(state.descriptor, int):
        code, values = state.descriptor, listed(state.value)
    if code == frames.TRANSACTIONAL:
        raise Refused(NOT_IMPLEMENTED, "Transactions are not implemented by this emulator: settle without one.")
    if code == frames.ACCEPTED:
        settlement.complete(queue, token)
    elif code == frames.RELEASED:
        settlement.release(queue, token)
    elif code == frames.MODIFIED:
        _modified(queue, token, *[*values, None, None, None][1:3])
    else:
        settlement.dead_letter(queue, token, _info(values[0] if values else None))
    return frames.outcome(code)


def _modified(queue: Queue, token: uuid.UUID, undeliverable: object, changes: object) -> None:
    settled = settlement.defer if undeliverable is True else settlement.abandon
    settled(queue, token, _plain(changes))


def _info(error: object) -> dict[str, object]:
    """Return the application properties for a dead letter: its reason, and what else the receiver sent."""
    inside = listed(error.value) if isinstance(error, Described) else []
    return _plain(inside[_INFO] if len(inside) > _INFO else None)


def _plain(changes: object) -> dict[str, object]:
    """Return the changes that can be application properties. Values of other types are ignored."""
    return {str(name): value for name, value in mapped(changes).items() if isinstance(value, _PLAIN)}

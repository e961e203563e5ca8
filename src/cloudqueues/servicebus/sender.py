"""Sender to a queue or a topic."""

from __future__ import annotations

import zlib

from cloudqueues.servicebus import message_encoding
from cloudqueues.servicebus.amqp.connection import Connection
from cloudqueues.servicebus.amqp.link import DeliveryResponse
from cloudqueues.servicebus.errors import BUSY, Refused
from cloudqueues.servicebus.message import Content
from cloudqueues.servicebus.queue import Queue
from cloudqueues.servicebus.topic import Topic

BUSY_TEXT = "The service is busy: try again later."


class Sender:
    """Sink of a receiving link, which passes messages to an entity."""

    def __init__(self, connection: Connection, entity: Queue | Topic) -> None:
        self._connection = connection
        self._entity = entity

    def take(self, data: bytes, message_format: int, response: DeliveryResponse) -> None:
        """Accept the messages of one delivery. Raises Refused, and then keeps none."""
        contents = message_encoding.read(data, message_format)
        size = len(data) if message_format == message_encoding.BATCH else 0
        self._connection.context.tier.check(size, contents)
        what = ("send", *named(contents))
        if self._connection.context.hits("refuse", *what):
            raise Refused(BUSY, BUSY_TEXT)
        self._entity.send(contents)
        self._connection.respond(what, response.accept)

    def close(self) -> None:
        """Keep nothing."""


def named(contents: list[Content]) -> tuple[object, ...]:
    """Return the identity of a delivery for fault draws: the messages' ids, or checksums of their bodies."""
    return tuple(content.id or zlib.crc32(content.body) for content in contents)

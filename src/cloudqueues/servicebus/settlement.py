"""Settlement of locked messages, and receiving by sequence number.

All functions raise Refused when a lock is lost, and then change nothing.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Mapping, Sequence

from cloudqueues.servicebus.errors import NO_MESSAGE, NOT_ALLOWED, Refused
from cloudqueues.servicebus.message import DEFERRED, Message
from cloudqueues.servicebus.queue import Queue


def complete(queue: Queue, token: uuid.UUID) -> None:
    queue.remove(queue.locks.find(token))


def release(queue: Queue, token: uuid.UUID) -> None:
    """Return a message to the queue without counting the delivery."""
    queue.unlock(queue.locks.find(token), counted=False)


def abandon(queue: Queue, token: uuid.UUID, changes: Mapping[str, object]) -> None:
    message = queue.locks.find(token)
    message.content = message.content.with_application(changes)
    queue.unlock(message, counted=True)


def defer(queue: Queue, token: uuid.UUID, changes: Mapping[str, object]) -> None:
    message = queue.locks.find(token)
    message.content = message.content.with_application(changes)
    message.state = DEFERRED
    queue.unlock(message, counted=False)


def dead_letter(queue: Queue, token: uuid.UUID, changes: Mapping[str, object]) -> None:
    """Dead-letter a message. `changes` includes the reason and its description."""
    message = queue.locks.find(token)
    if queue.dead_letters is None:
        raise Refused(NOT_ALLOWED, f"'{queue.path}' is a dead-letter queue: its messages cannot be dead-lettered.")
    queue.move(message, queue.dead_letters, changes)


def renew(queue: Queue, tokens: Sequence[uuid.UUID]) -> list[float]:
    """Renew all locks or none, and return their new ends."""
    messages = [queue.locks.find(token) for token in tokens]
    until = queue.lock_end()
    for message in messages:
        queue.locks.extend(message, until)
    return [until] * len(tokens)


def peek(queue: Queue, start: int, count: int, session: str | None = None) -> list[Message]:
    """Return up to `count` messages from sequence number `start` on, in any state."""
    return list(itertools.islice(queue.since(start, session), count))


def take_deferred(queue: Queue, sequences: Sequence[int], *, destructive: bool) -> list[Message]:
    """Take deferred messages. Raises Refused, and takes none, when one is missing, not deferred or locked."""
    messages = [_deferred(queue, sequence) for sequence in sequences]
    for message in messages:
        if destructive:
            queue.remove(message)
        else:
            queue.lock(message)
    return messages


def _deferred(queue: Queue, sequence: int) -> Message:
    message = queue.messages.get(sequence)
    if message is None or message.state != DEFERRED or message.token is not None or queue.expire(message):
        text = "Failed to lock one or more specified messages. The message does not exist."
        raise Refused(NO_MESSAGE, text)
    return message

"""Messages in order, of all sessions and of one."""

from __future__ import annotations

import pytest

from cloudqueues.servicebus.message import Content, Message
from cloudqueues.servicebus.message_store import MessageStore


def message(number: int, session: str | None = None) -> Message:
    return Message(Content(properties=(), session=session), number, 0.0)


def test_a_session_is_found_among_the_others() -> None:
    store = MessageStore()
    for number in range(10):
        store.add(message(number, "odd" if number % 2 else "even"))
    store.add(message(10))
    assert list(store.since(4)) == list(range(4, 11))
    assert list(store.since(4, "odd")) == [5, 7, 9]
    assert list(store.since(0, "none")) == []
    assert [store.remove(number).sequence for number in (1, 3, 5, 7, 9)] == [1, 3, 5, 7, 9]
    assert list(store.since(0, "odd")) == []
    assert store._of_session.keys() == {"even"}
    with pytest.raises(KeyError):
        store.remove(1)

"""Messages on the wire: what the broker takes from a sender, and what it writes itself."""

from __future__ import annotations

import pytest

from cloudqueues.servicebus.amqp import encode
from cloudqueues.servicebus.errors import Refused
from cloudqueues.servicebus.message import MESSAGE_ID, TO, Content, Message
from cloudqueues.servicebus.message_encoding import ANNOTATIONS, BATCH, DATA, PROPERTIES, read, render, request

BODY = encode.described(DATA, encode.binary(b"x"))


def test_annotations_of_the_broker_are_not_taken_from_a_sender() -> None:
    """Otherwise a message sent on would have the sequence number of another."""
    mine = (encode.symbol("x-opt-mine"), encode.string("y"))
    brokers = (
        (encode.symbol(f"x-opt-{name}"), encode.long(9))
        for name in ("sequence-number", "enqueued-time", "locked-until", "message-state")
    )
    [content] = read(encode.described(ANNOTATIONS, encode.map_((*brokers, mine))) + BODY, 0)
    assert content.annotations == (mine,)


@pytest.mark.parametrize("sent", [(), (encode.NULL,), (encode.NULL, encode.NULL, encode.string("there"))])
def test_a_message_without_an_id_gets_one(sent: tuple[bytes, ...]) -> None:
    """The ids differ, and the other properties are kept."""
    data = encode.described(PROPERTIES, encode.list_(sent)) + BODY
    [first], [second] = read(data, 0), read(data, 0)
    assert encode.NULL != first.properties[MESSAGE_ID] != second.properties[MESSAGE_ID] != encode.NULL
    assert first.properties[TO:] == sent[TO:]
    assert first.id is None


def test_a_request_is_one_message() -> None:
    batch = encode.described(DATA, encode.binary(BODY))
    assert request(batch, BATCH).reply_to is None
    with pytest.raises(Refused, match="a request is one message"):
        request(batch + batch, BATCH)


@pytest.mark.parametrize(("ttl", "written"), [(60.0, 60.0), (10.0**9, (2**32 - 1) / 1000)])
def test_a_time_to_live_fits_its_field(ttl: float, written: float) -> None:
    """A message lives longer than the field's 49 days where its queue says so."""
    message = Message(Content(properties=(encode.string("m"),), ttl=ttl, body=BODY), sequence=1, enqueued=0.0)
    [content] = read(render(message, clock_offset=0.0), 0)
    assert content.ttl == written

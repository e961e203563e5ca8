"""Our sender and our binding with Google's own Pub/Sub emulator between them: it pushes over HTTP, and delivers again
what is not acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from peeklock import DeadLetter, Queue, pubsub
from peeklock.message import Lineage, Message
from peeklock.outgoing import DETAIL, REASON, OutgoingMessage
from peeklock.quotas.google import ATTRIBUTE_VALUE, ATTRIBUTES
from tests.platforms.pubsub_emulator import World, pushed

pytestmark = pytest.mark.servers
LINEAGE = Lineage(id="order-1", sent=1_700_000_000_000)


def publish(world: World, *outgoing_messages: OutgoingMessage) -> None:
    assert list(pubsub.from_url(f"pubsub://{world.topic}").send(outgoing_messages)) == [None] * len(outgoing_messages)


def fails(times: int) -> Callable[[Message], None]:
    """A handler that fails so often, and then succeeds."""
    left = [None] * times

    def do(_: Message) -> None:
        if left:
            left.pop()
            raise ValueError("not yet")

    return do


@pytest.mark.parametrize("unwrapped", [False, True], ids=["wrapped", "unwrapped"])
def test_what_is_sent_arrives(unwrapped: bool) -> None:
    """With its lineage, in either form of a push."""
    push = {"no_wrapper": {"write_metadata": True}} if unwrapped else {}
    sent = OutgoingMessage(
        body=b'{"cents": 7}',
        lineage=LINEAGE,
        attributes={"tenant": "acme"},
        content_type="application/json",
        dead_letter=False,
    )
    with pushed(fails(0), push_config=push) as world:
        publish(world, sent)
        assert world.wait(1) == [204]
        (message,) = world.runs
    attributes = {name: value for name, value in message.attributes.items() if name in sent.attributes}
    assert (message.id, message.body, attributes) == ("order-1", sent.body, sent.attributes)
    assert (message.lineage, message.attempt, message.subscription != "") == (LINEAGE, 1, True)


def test_what_fails_is_delivered_again_and_counted() -> None:
    """The emulator pushes no delivery count, so the attempts are the store's."""
    with pushed(fails(2)) as world:
        publish(world, OutgoingMessage(body=b"{}", lineage=LINEAGE))
        assert world.wait(3) == [500, 500, 204]
    assert [message.attempt for message in world.runs] == [1, 2, 3]
    assert len({message.native_id for message in world.runs}) == 1


def test_what_is_exhausted_is_a_dead_letter_that_can_come_back() -> None:
    """The dead letter is published before its message is acknowledged; published again, it runs again."""
    with pushed(fails(3)) as world:
        publish(world, OutgoingMessage(body=b"{}", lineage=LINEAGE, attributes={"tenant": "acme"}))
        assert world.wait(3) == [500, 500, 204]
        (dead,) = world.dead_letters()
        assert (dead.data, dead.attributes["tenant"], dead.attributes[REASON]) == (b"{}", "acme", "exhausted")
        assert "not yet" in dead.attributes[DETAIL]
        lineage = Lineage.load(dead.attributes["peeklock"])
        assert lineage is not None
        publish(
            world,
            OutgoingMessage(body=dead.data, lineage=replace(lineage, attempts=0, generation=lineage.generation + 1)),
        )
        assert world.wait(4)[3] == 204
    assert len(world.runs) == 4
    assert world.runs[3].id == "order-1"


def test_what_can_never_succeed_is_a_dead_letter_at_once() -> None:
    def refuse(_: Message) -> None:
        raise DeadLetter("no such customer")

    with pushed(refuse) as world:
        publish(world, OutgoingMessage(body=b"{}", lineage=LINEAGE))
        assert world.wait(1) == [204]
        (dead,) = world.dead_letters()
    assert (dead.attributes[REASON], dead.attributes[DETAIL]) == ("fatal", "DeadLetter: no such customer")


def test_a_group_keeps_its_order() -> None:
    """Also where its first message fails: the emulator holds back the others of its ordering key until it is done. It leaves
    the key out of what it pushes, though."""
    queue = Queue("orders", max_attempts=3, timeout=5, first_delay=0.01, max_delay=0.02, fifo=True)
    with pushed(fails(1), queue, enable_message_ordering=True) as world:
        publish(world, *(OutgoingMessage(body=b"{}", lineage=Lineage(id=f"{n}"), group="customer-7") for n in range(4)))
        assert world.wait(5)[0] == 500
    assert [message.id for message in world.done] == ["0", "1", "2", "3"]


def test_the_most_that_a_message_may_carry() -> None:
    """Less one attribute, which is peeklock's."""
    attributes = {f"k{n}": "v" * ATTRIBUTE_VALUE for n in range(ATTRIBUTES - 1)}
    with pushed(fails(0)) as world:
        publish(world, OutgoingMessage(body=b"x" * 5_000_000, lineage=LINEAGE, attributes=attributes))
        assert world.wait(1) == [204]
    assert (len(world.runs[0].body), world.runs[0].attributes) == (5_000_000, attributes)


def test_a_topic_that_is_not_there() -> None:
    with pushed(fails(0)):
        (refused,) = pubsub.from_url("pubsub://projects/peeklock/topics/none").send(
            [OutgoingMessage(body=b"{}", lineage=LINEAGE)]
        )
    assert "NotFound" in str(refused)

"""Memory of the broker: nothing stays behind, and everything stays in order."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from azure.servicebus import ServiceBusClient, ServiceBusMessage

from cloudqueues.servicebus import ServiceBusEmulator
from cloudqueues.servicebus.amqp import encode, frames
from cloudqueues.servicebus.deadlines import Deadlines
from cloudqueues.timeline import SPARE, Timeline
from tests.emulators.servicebus.kit import DEAD_LETTER_QUEUE, leaving, one, send, wait_until
from tests.emulators.servicebus.peer import Peer, body, disposition_frame, transfer_frame


def test_a_dead_letter_of_an_expired_message_is_not_delivered_from_its_queue(
    bus: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    bus.add_queue("q", dead_letter_expired=True)
    send(client, "q", ServiceBusMessage("a", time_to_live=timedelta(seconds=60)), "b")
    bus.advance(60)
    assert [message.body for message in bus.messages("q" + DEAD_LETTER_QUEUE)] == [b"a"]
    with leaving(client.get_queue_receiver("q")) as receiver:
        assert str(one(receiver)) == "b"
    assert [(message.body, message.locked) for message in bus.messages("q" + DEAD_LETTER_QUEUE)] == [(b"a", False)]


def test_deadlines_that_were_moved_or_lifted_leave_nothing_behind() -> None:
    async def scenario() -> tuple[list[int], int]:
        timeline = Timeline(asyncio.get_running_loop())
        due: list[int] = []
        deadlines = Deadlines[int](timeline, due.append)
        now = timeline.now()
        deadlines.set(0, now + 10)
        for key in range(1, 5000):
            deadlines.set(key, now + 20)
            deadlines.discard(key)
        for step in range(5000):
            deadlines.set(1, now + 20 + step)
        size = len(timeline._due)
        timeline.advance(11)
        assert due == [0]
        timeline.advance(20 + 5000)
        return due, size

    due, size = asyncio.run(scenario())
    assert due == [0, 1]
    assert size <= 2 * 2 + SPARE + 1


def test_messages_that_expire_unread_leave_nothing_behind(bus: ServiceBusEmulator) -> None:
    """Neither in the queue, nor in the sessions that they were of."""
    bus.add_queue("q", default_ttl=60)
    bus.add_queue("grouped", default_ttl=60, requires_session=True)
    with Peer(bus.port).open().begin().sender("q").sender("grouped", handle=1) as peer:
        for number in range(400):
            bus.advance(1)
            of_session = encode.described(0x73, encode.list_([encode.NULL] * 10 + [encode.string(f"s-{number}")]))
            peer.say(
                transfer_frame(2 * number, body(b"x")),
                transfer_frame(2 * number + 1, of_session + body(b"x"), handle=1),
            )
            for _ in range(2):
                peer.expect(frames.DISPOSITION)
    assert len(bus.messages("q")) == len(bus.messages("grouped")) == 60
    assert bus._running is not None
    queue, grouped = (bus._running[1].broker.queue(name) for name in ("q", "grouped"))
    assert len(queue._ready._heap) <= 2 * 60 + SPARE + 1
    assert grouped.sessions is not None
    assert len(grouped.sessions._ready_queues) == len(grouped.sessions._free) == 60


def test_ten_thousand_messages_keep_their_order_and_leave_nothing_behind(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q", default_ttl=3600)
    with Peer(bus.port).open().begin().sender("q") as peer:
        for start in range(0, 10_000, 250):
            peer.say(
                *[transfer_frame(number, body(b"%d" % number), settled=True) for number in range(start, start + 249)]
            )
            peer.say(transfer_frame(start + 249, body(b"%d" % (start + 249))))
            while peer.next()[0] != frames.DISPOSITION:  # type: ignore[index] # nothing beats here
                pass
    with Peer(bus.port).open().begin().receiver("q") as peer:
        for start in range(0, 10_000, 500):
            peer.credit(500, count=start)
            deliveries = [peer.delivery() for _ in range(500)]
            assert [data.rpartition(b"\xa0")[2][1:] for _, data in deliveries] == [
                b"%d" % n for n in range(start, start + 500)
            ]
            peer.say(
                disposition_frame(deliveries[0][0], deliveries[-1][0], frames.outcome(frames.ACCEPTED), settled=True)
            )
        peer.sync()
        assert bus._running is not None
        queue = bus._running[1].broker.queue("q")
        left = (
            queue.messages,
            queue.locks._messages,
            queue._ready.locked,
            queue._expiries._timers,
            queue._ready._ready,
        )
        assert [len(entities) for entities in left] == [0] * 5
        assert len(queue._context.timeline._due) <= SPARE + 1


def test_a_token_opens_one_delivery_only(bus: ServiceBusEmulator) -> None:
    """Each delivery of a message has a lock of its own, and a settled one cannot be settled again; its id stays."""
    bus.add_queue("q")
    with Peer(bus.port).open().begin().sender("q") as peer:
        peer.say(transfer_frame(0, body(b"a")))
        peer.expect(frames.DISPOSITION)
    tokens: list[bytes] = []
    ids: set[str] = set()
    with Peer(bus.port).open().begin().receiver("q") as peer:
        for count in range(3):
            peer.credit(1, count=count)
            transfer = peer.expect(frames.TRANSFER)
            tokens.append(transfer[2])
            ids.update(message.message_id for message in bus.messages("q"))
            peer.say(disposition_frame(transfer[1], transfer[1], frames.outcome(frames.RELEASED)))
            peer.expect(frames.DISPOSITION)
            peer.say(disposition_frame(transfer[1], transfer[1], frames.outcome(frames.ACCEPTED)))
        peer.sync()
    assert len(set(tokens)) == 3
    assert len(ids) == 1
    assert [message.locked for message in bus.messages("q")] == [False]


def test_settlements_are_done_in_the_order_that_they_come_in(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q", forward_dead_lettered_to="dead-letters")
    bus.add_queue("dead-letters")
    with Peer(bus.port).open().begin().sender("q") as peer:
        for number in range(4):
            peer.say(transfer_frame(number, body(b"%d" % number)))
            peer.expect(frames.DISPOSITION)
    with Peer(bus.port).open().begin().receiver("q") as peer:
        peer.credit(4)
        numbers = [peer.delivery()[0] for _ in range(4)]
        for number in (numbers[2], numbers[0], numbers[3], numbers[1]):
            peer.say(disposition_frame(number, number, frames.outcome(frames.REJECTED)))
        answered = [peer.expect(frames.DISPOSITION)[1] for _ in range(4)]
    assert answered == [numbers[2], numbers[0], numbers[3], numbers[1]]
    assert [message.body for message in bus.messages("dead-letters")] == [b"2", b"0", b"3", b"1"]


def test_a_session_of_a_client_that_is_cut_off_is_free_when_its_lock_ends(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q", requires_session=True, lock_duration=30)
    with Peer(bus.port).open().begin().session("q", "s") as peer:
        assert peer.attached("s")
    wait_until(lambda: bus.connections() == 0)
    with Peer(bus.port).open().begin().session("q", "s") as peer:
        assert not peer.attached("s")
    bus.advance(31)
    with Peer(bus.port).open().begin().session("q", "s") as peer:
        assert peer.attached("s")
        peer.frame(frames.CLOSE)
        peer.expect(frames.CLOSE)
    with Peer(bus.port).open().begin().session("q", "s") as peer:
        assert peer.attached("s")

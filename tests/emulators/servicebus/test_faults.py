"""Fault injection, as the real client sees it, and its repetition from the same seed."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Sequence

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from azure.servicebus.exceptions import MessageLockLostError, ServiceBusError, ServiceBusServerBusyError

from cloudqueues.faults import NO_FAULTS, Faults
from cloudqueues.servicebus import ServiceBusEmulator
from cloudqueues.servicebus.amqp import encode, frames
from tests.emulators.servicebus.kit import DEAD_LETTER_QUEUE, leaving, one, receive, send, texts
from tests.emulators.servicebus.peer import Peer, body, disposition_frame, transfer_frame

BUSY = "com.microsoft:server-busy"


def named(*ids: str) -> list[ServiceBusMessage]:
    return [ServiceBusMessage(name, message_id=name) for name in ids]


def test_a_message_is_delivered_twice(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("q")
    bus.faults = Faults(duplicate=1)
    send(client, "q", *named("a"))
    with leaving(client.get_queue_receiver("q")) as receiver:
        for _ in range(2):
            message = one(receiver)
            assert (message.message_id, message.delivery_count) == ("a", 0)
            receiver.complete_message(message)
    assert bus.messages("q") == []


def order(seed: int) -> list[str]:
    """In which twenty messages come."""
    with ServiceBusEmulator(faults=Faults(seed=seed, reorder=0.3)) as bus:
        bus.add_queue("q")
        with Peer(bus.port).open().begin().sender("q") as peer:
            for number in range(20):
                properties = encode.described(0x73, encode.list_([encode.string(f"m-{number}")]))
                peer.say(transfer_frame(number, properties + body(b"%02d" % number)))
                peer.expect(frames.DISPOSITION)
        with Peer(bus.port).open().begin().receiver("q", settled=True) as peer:
            peer.credit(20)
            return [peer.delivery()[1][-2:].decode() for _ in range(20)]


def test_messages_come_out_of_order_and_in_the_same_one_for_the_same_seed() -> None:
    inorder = [f"{number:02}" for number in range(20)]
    bodies = order(1)
    assert sorted(bodies) == inorder
    assert bodies != inorder
    assert order(1) == bodies
    assert order(2) != bodies


def test_a_session_keeps_its_order(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.faults = Faults(reorder=0.5)
    bus.add_queue("q", requires_session=True)
    bodies = [str(n) for n in range(20)]
    send(client, "q", *[ServiceBusMessage(text, session_id="s", message_id=text) for text in bodies])
    with leaving(client.get_queue_receiver("q", session_id="s")) as receiver:
        assert texts(receive(receiver, 20)) == bodies


def test_answers_are_held_back(bus: ServiceBusEmulator) -> None:
    """A delay follows the seed: 0.2 to 0.4 seconds here."""
    bus.add_queue("q")
    bus.faults = Faults(delay=1, delay_s=0.4, seed=3)
    with Peer(bus.port).open().begin().sender("q") as peer:
        began = time.monotonic()
        peer.say(*[transfer_frame(number, body(b"%d" % number)) for number in range(5)])
        answered = [peer.expect(frames.DISPOSITION)[1] for _ in range(5)]
        took = time.monotonic() - began
    assert sorted(answered) == list(range(5))
    assert 0.2 < took < 2


def test_a_send_that_is_done_and_not_answered(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q")
    bus.faults = Faults(drop=1)
    with Peer(bus.port).open().begin().sender("q") as peer:
        peer.say(transfer_frame(0, body(b"a")))
        assert peer.ended() is None
    assert [message.body for message in bus.messages("q")] == [b"a"]


def test_a_settlement_that_is_done_and_not_answered(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q")
    with Peer(bus.port).open().begin().sender("q") as peer:
        peer.say(transfer_frame(0, body(b"a")))
        peer.expect(frames.DISPOSITION)
    bus.faults = Faults(drop=1)
    with Peer(bus.port).open().begin().receiver("q") as peer:
        peer.credit(1)
        number, _ = peer.delivery()
        peer.say(disposition_frame(number, number, frames.outcome(frames.ACCEPTED)))
        assert peer.ended() is None
    assert bus.messages("q") == []


def test_what_is_refused_is_not_done_and_may_be_tried_again(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("q")
    with client.get_queue_sender("q") as sender, leaving(client.get_queue_receiver("q")) as receiver:
        bus.faults = Faults(refuse=1)
        with pytest.raises(ServiceBusServerBusyError, match=BUSY):
            sender.send_messages(*named("a"))
        with pytest.raises(ServiceBusServerBusyError, match=BUSY):
            receiver.peek_messages(1)
        assert bus.messages("q") == []
        bus.faults = NO_FAULTS
        sender.send_messages(*named("a"))
        assert texts(receiver.peek_messages(1)) == ["a"]


def test_a_share_of_the_sends_is_refused_and_each_comes_through_when_it_is_tried_again(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q")
    bus.faults = Faults(refuse=0.5, seed=1)
    refused = 0
    with Peer(bus.port).open().begin().sender("q") as peer:
        for number in range(20):
            while True:
                peer.say(transfer_frame(number, body(b"%d" % number)))
                if peer.expect(frames.DISPOSITION)[4].descriptor == frames.ACCEPTED:
                    break
                refused += 1
    assert 5 < refused < 60
    assert [message.body for message in bus.messages("q")] == [b"%d" % number for number in range(20)]


def test_a_lock_is_lost_while_the_message_is_worked_on(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("q")
    send(client, "q", *named("a"))
    bus.faults = Faults(lose_lock=1)
    with leaving(client.get_queue_receiver("q")) as receiver:
        first = one(receiver)
        bus.faults = NO_FAULTS
        with pytest.raises(MessageLockLostError):
            receiver.complete_message(first)
        second = one(receiver)
        assert (second.message_id, second.delivery_count) == ("a", 1)
        receiver.complete_message(second)


def test_a_session_is_lost_while_it_is_worked_on(bus: ServiceBusEmulator, client: ServiceBusClient) -> None:
    bus.add_queue("q", requires_session=True)
    send(client, "q", ServiceBusMessage("a", session_id="s"))
    bus.faults = Faults(lose_lock=1)
    with leaving(client.get_queue_receiver("q", session_id="s")) as receiver:
        first = one(receiver)
        bus.faults = NO_FAULTS
        with pytest.raises(ServiceBusError, match=r"(?i)lock"):
            receiver.complete_message(first)
    with leaving(client.get_queue_receiver("q", session_id="s")) as receiver:
        assert one(receiver).delivery_count == 1


def test_the_faults_of_now_can_be_read(bus: ServiceBusEmulator) -> None:
    assert bus.faults is NO_FAULTS
    bus.faults = faults = Faults(seed=5)
    assert bus.faults is faults


@pytest.mark.filterwarnings("ignore:unclosed <socket")  # the SDK leaves the broken line to the garbage collector
def test_a_client_that_tries_again_where_it_got_no_answer_sends_once_with_detection_of_duplicates(
    bus: ServiceBusEmulator,
) -> None:
    bus.add_queue("q", duplicate_window=600)
    bus.add_queue("plain")
    bus.faults = Faults(drop=0.5, seed=13)  # of the answers to "a" the first and the third
    with ServiceBusClient.from_connection_string(
        bus.connection_string, retry_total=10, retry_backoff_factor=0
    ) as client:
        for queue in ("q", "plain"):
            with client.get_queue_sender(queue) as sender:
                sender.send_messages(named("a"))
    assert [message.message_id for message in bus.messages("q")] == ["a"]
    gc.collect()
    assert [message.message_id for message in bus.messages("plain")] == ["a", "a"]


def put(peer: Peer, number: int) -> int:
    """The descriptor of the answer."""
    properties = encode.described(0x73, encode.list_([encode.string(f"m-{number}")]))
    peer.say(transfer_frame(number, properties + body(b"%02d" % number)))
    answer: int = peer.expect(frames.DISPOSITION)[4].descriptor
    return answer


def answered(peer: Peer, said: list[bytes]) -> list[int]:
    """Which deliveries are, up to the end of the line."""
    settled_ids: list[int] = []
    try:
        for frame in said:
            peer.say(frame)
            settled_ids.append(peer.expect(frames.DISPOSITION)[1])
    except (EOFError, ConnectionError):
        return settled_ids
    return settled_ids


def happened(knob: str, seed: int) -> list[object]:
    """Return what a client observes of twenty messages with one fault."""
    with ServiceBusEmulator() as bus:
        bus.add_queue("q", lock_duration=30)
        faults = Faults(seed=seed, **{knob: 0.4}, delay_s=10)
        with Peer(bus.port).open().begin().sender("q") as peer:
            if knob == "refuse":
                bus.faults = faults
                return [put(peer, number) for number in range(20)]
            if knob == "reorder":
                bus.faults = faults
            for number in range(20):
                put(peer, number)
        bus.faults = faults
        with Peer(bus.port).open().begin().receiver("q") as peer:
            peer.credit(100)
            deliveries = [peer.delivery() for _ in range(20)]
            completed = [
                disposition_frame(delivery_id, delivery_id, frames.outcome(frames.ACCEPTED))
                for delivery_id, _ in deliveries
            ]
            if knob == "delay":
                peer.say(*completed)
                return [values[1] for values, _ in peer.until_echo(frames.DISPOSITION)]  # what is not held back
            if knob == "drop":
                return list(answered(peer, completed))
            for _ in range(20):  # what a fault does is done in a later turn, and may have one of its own
                deliveries += [(values[1], data) for values, data in peer.until_echo(frames.TRANSFER)]
            return [data[-2:] for _, data in deliveries]


@pytest.mark.parametrize("knob", ["duplicate", "reorder", "delay", "drop", "refuse", "lose_lock"])
def test_each_fault_happens_the_same_way_again_for_the_same_seed(knob: str) -> None:
    first = happened(knob, 1)
    assert happened(knob, 1) == first
    assert happened(knob, 2) != first


def sent(bus: ServiceBusEmulator, ids: Sequence[str]) -> None:
    """Send with a client that retries."""
    left = list(ids)
    while left:
        with contextlib.suppress(EOFError, ConnectionError), Peer(bus.port).open().begin().sender("q") as peer:
            while left:
                properties = encode.described(0x73, encode.list_([encode.string(left[0])]))
                peer.say(transfer_frame(0, properties + body(left[0].encode())))
                if peer.expect(frames.DISPOSITION)[4].descriptor == frames.ACCEPTED:
                    del left[0]


def completed(bus: ServiceBusEmulator, count: int) -> list[str]:
    """The bodies of all that was received and completed by a client that goes on whatever happens to it."""
    bodies: list[str] = []
    while bus.messages("q"):
        bus.advance(31)
        with contextlib.suppress(EOFError, ConnectionError), Peer(bus.port).open().begin().receiver("q") as peer:
            for received in range(count):
                peer.credit(1, count=received)
                number, payload = peer.delivery()
                bodies.append(payload[-5:].decode())
                peer.say(disposition_frame(number, number, frames.outcome(frames.ACCEPTED)))
                peer.expect(frames.DISPOSITION)
                if not bus.messages("q"):
                    break
    return bodies


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_lost_with_all_faults_at_once(seed: int) -> None:
    ids = [f"m-{number:03}" for number in range(150)]
    faults = Faults(
        seed=seed, duplicate=0.2, reorder=0.2, delay=0.2, delay_s=0.002, drop=0.1, refuse=0.2, lose_lock=0.2
    )
    with ServiceBusEmulator(faults=faults) as bus:
        bus.add_queue("q", lock_duration=30, max_delivery_count=1000, duplicate_window=3600)
        sent(bus, ids)
        assert bus.messages("q")
        handled = completed(bus, 50)
        assert bus.messages("q" + DEAD_LETTER_QUEUE) == []
    assert set(handled) == set(ids)

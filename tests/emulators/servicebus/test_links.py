"""AMQP as it is written: credit, windows, drains, ranges, frames of any size."""

from __future__ import annotations

import pytest

from cloudqueues.servicebus import ServiceBusEmulator, message_encoding
from cloudqueues.servicebus.amqp import encode, frames
from cloudqueues.servicebus.amqp.decode import whole
from cloudqueues.servicebus.amqp.encode import FALSE, NULL, TRUE
from tests.emulators.servicebus.peer import Peer, attach_frame, body, disposition_frame, transfer_frame

ACCEPTED = frames.outcome(frames.ACCEPTED)
RELEASED = frames.outcome(frames.RELEASED)


def put(bus: ServiceBusEmulator, *bodies: bytes) -> None:
    """Send, and wait for the answers."""
    with Peer(bus.port).open().begin().sender("q") as peer:
        for number, data in enumerate(bodies):
            peer.say(transfer_frame(number, body(data)))
            assert peer.expect(frames.DISPOSITION)[4].descriptor == frames.ACCEPTED


def data_of(delivery: tuple[int, bytes]) -> bytes:
    (content,) = message_encoding.read(delivery[1], 0)
    data: bytes = whole(content.body[3:])
    return data


def left(bus: ServiceBusEmulator) -> list[bytes]:
    return [message.body for message in bus.messages("q")]


def test_there_are_as_many_deliveries_as_there_is_credit(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q")
    put(bus, b"0", b"1", b"2", b"3")
    with Peer(bus.port).open().begin().receiver("q") as peer:
        peer.credit(2)
        assert [data_of(peer.delivery()) for _ in range(2)] == [b"0", b"1"]
        peer.credit(2, count=1)  # it knows of one only: one of the two is under way
        assert data_of(peer.delivery()) == b"2"
        peer.frame(frames.FLOW, encode.uint(0), encode.uint(9), encode.uint(0), encode.uint(9), encode.uint(0),
                   encode.uint(3), encode.uint(0), NULL, FALSE, TRUE)  # fmt: skip
        count, credit = peer.expect(frames.FLOW)[5:7]
        assert (count, credit) == (3, 0)
    assert [message.locked for message in bus.messages("q")] == [True, True, True, False]


def test_a_drain_delivers_what_is_there_and_gives_the_rest_back(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q")
    put(bus, b"0", b"1")
    with Peer(bus.port).open().begin().receiver("q") as peer:
        peer.credit(10, drain=True)
        assert [data_of(peer.delivery()) for _ in range(2)] == [b"0", b"1"]
        flow = peer.expect(frames.FLOW)
        assert (flow[5], flow[6], flow[8]) == (10, 0, True)
        put(bus, b"2")
        peer.credit(1, count=10)
        assert data_of(peer.delivery()) == b"2"


def test_transfers_wait_for_room_in_the_window(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q")
    put(bus, b"0", b"1" * 1000, b"2")
    with Peer(bus.port).open(largest=512).begin(window=2).receiver("q") as peer:
        peer.credit(10, window=2)
        assert data_of(peer.delivery()) == b"0"
        first = peer.next()
        assert first is not None
        assert first[1][5] is True  # there is more of it, and no room
        peer.credit(10, count=1, window=1, first=2)
        second = peer.next()
        peer.frame(frames.FLOW, encode.uint(3), encode.uint(100), encode.uint(0), encode.uint(9))
        third = peer.next()
        assert second is not None
        assert third is not None
        assert third[1][5] is False
        assert data_of((0, first[2] + second[2] + third[2])) == b"1" * 1000
        assert data_of(peer.delivery()) == b"2"


def test_a_window_that_opens_for_a_frame_at_a_time(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q")
    put(bus, *[b"%d" % n for n in range(6)])
    with Peer(bus.port).open().begin(window=1).receiver("q") as peer:
        for n in range(6):
            peer.credit(6 - n, count=n, window=1, first=n)
            assert data_of(peer.delivery()) == b"%d" % n
        peer.say(disposition_frame(0, 5, ACCEPTED))
        assert [peer.expect(frames.DISPOSITION)[1] for _ in range(6)] == list(range(6))
    assert left(bus) == []


def test_a_range_is_settled_at_once(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q")
    put(bus, b"0", b"1", b"2", b"3")
    with Peer(bus.port).open().begin().receiver("q") as peer:
        peer.credit(4)
        numbers = [peer.delivery()[0] for _ in range(4)]
        peer.say(disposition_frame(numbers[1], numbers[2], ACCEPTED))
        assert [peer.expect(frames.DISPOSITION)[1:5] for _ in range(2)] == [
            [n, n, True, whole(ACCEPTED)] for n in numbers[1:3]
        ]
        peer.say(disposition_frame(0, 2**32 - 1, RELEASED, settled=True))  # nobody wants an answer
        peer.credit(1, count=4)
        assert data_of(peer.delivery()) == b"0"
    states = [(message.body, message.locked, message.delivery_count) for message in bus.messages("q")]
    assert states == [(b"0", True, 0), (b"3", False, 0)]


def test_what_is_settled_without_a_state_is_released(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q")
    put(bus, b"0")
    with Peer(bus.port).open().begin().receiver("q") as peer:
        peer.credit(1)
        peer.delivery()
        peer.say(disposition_frame(0, 0, frames.outcome(frames.RECEIVED)))  # how far it got: decides nothing
        peer.sync()
        assert bus.messages("q")[0].locked
        peer.say(disposition_frame(0, 0, NULL, settled=True))
        peer.credit(1, count=1)
        assert data_of(peer.delivery()) == b"0"


def test_a_modified_delivery_takes_the_changes_with_it(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q")
    put(bus, b"0")
    with Peer(bus.port).open().begin().receiver("q") as peer:
        for count, failed in enumerate((TRUE, FALSE)):
            peer.credit(1, count=count)
            number, _ = peer.delivery()
            changes = encode.map_(
                [(encode.symbol("tried"), encode.long(count)), (encode.symbol("odd"), encode.EMPTY_LIST)]
            )
            state = encode.described(frames.MODIFIED, encode.list_([failed, FALSE, changes]))
            peer.say(disposition_frame(number, number, state))
            assert peer.expect(frames.DISPOSITION)[4].descriptor == frames.MODIFIED
        (message,) = bus.messages("q")
        assert (message.delivery_count, message.properties) == (2, {"tried": 1})


def test_rejected_without_a_reason_is_a_dead_letter_without_one(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q")
    put(bus, b"0")
    with Peer(bus.port).open().begin().receiver("q") as peer:
        peer.credit(1)
        number, _ = peer.delivery()
        peer.say(disposition_frame(number, number, frames.outcome(frames.REJECTED)))
        assert peer.expect(frames.DISPOSITION)[4] == whole(frames.outcome(frames.REJECTED))
    (dead_letter,) = bus.messages("q/$deadletterqueue")
    assert (dead_letter.body, dead_letter.properties) == (b"0", {})


def test_one_message_at_a_time_goes_to_those_who_wait_in_turns(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q")
    with Peer(bus.port).open().begin().receiver("q") as first, Peer(bus.port).open().begin().receiver("q") as second:
        for peer in (first, second):
            peer.credit(3)
            peer.sync()
        put(bus, *[b"%d" % n for n in range(6)])
        assert [data_of(first.delivery()) for _ in range(3)] == [b"0", b"2", b"4"]
        assert [data_of(second.delivery()) for _ in range(3)] == [b"1", b"3", b"5"]


def test_frames_of_512_bytes_each_way(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q")
    data = bytes(range(256)) * 20
    message = body(data)
    with Peer(bus.port).open(largest=512).begin().sender("q") as peer:
        for start in range(0, len(message), 400):
            part = message[start : start + 400]
            peer.say(transfer_frame(0, part, more=start + 400 < len(message)))
        assert peer.expect(frames.DISPOSITION)[4].descriptor == frames.ACCEPTED
    with Peer(bus.port).open(largest=512).begin().receiver("q") as peer:
        peer.credit(1)
        assert data_of(peer.delivery()) == data


def test_aborted_and_settled_transfers(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q")
    with Peer(bus.port).open().begin().sender("q") as peer:
        peer.say(transfer_frame(0, body(b"never")[:5], more=True))
        peer.frame(frames.TRANSFER, encode.uint(0), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, TRUE)
        peer.say(transfer_frame(1, body(b"no answer"), settled=True), transfer_frame(2, body(b"answer")))
        assert peer.expect(frames.DISPOSITION)[1] == 2
    assert left(bus) == [b"no answer", b"answer"]


def test_credit_is_topped_up_before_it_is_used_up(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q")
    with Peer(bus.port).open().begin().sender("q") as peer:
        peer.say(*[transfer_frame(number, body(b"x"), settled=True) for number in range(499)])
        peer.say(transfer_frame(499, body(b"x")))
        peer.expect(frames.DISPOSITION)
        assert peer.expect(frames.FLOW)[5:7] == [500, 1000]


@pytest.mark.parametrize(
    "payload",
    [
        b"\x40",  # no section
        b"\x00\x53\x10\x45",  # a performative
        b"\x00\x53\x75\xa0\x05abc",  # cut off
        encode.described(0x73, encode.NULL),  # properties that are no list
        encode.described(0x74, encode.EMPTY_LIST),  # application properties that are no map
        encode.described(0x72, b"\xc1\x02\x01\x40"),  # annotations with a key and no value
    ],
)
def test_a_message_that_cannot_be_read_is_rejected_and_the_link_goes_on(
    bus: ServiceBusEmulator, payload: bytes
) -> None:
    bus.add_queue("q")
    with Peer(bus.port).open().begin().sender("q") as peer:
        peer.say(transfer_frame(0, payload), transfer_frame(1, body(b"good")))
        rejected = peer.expect(frames.DISPOSITION)[4]
        assert (rejected.descriptor, rejected.value[0].value[0]) == (frames.REJECTED, "amqp:decode-error")
        assert peer.expect(frames.DISPOSITION)[4].descriptor == frames.ACCEPTED
    assert left(bus) == [b"good"]


def test_a_batch_with_a_bad_message_is_rejected_as_a_whole(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q")
    batch = body(body(b"good")) + body(b"\x40")
    transfer = frames.frame(
        0, frames.TRANSFER, encode.uint(0), encode.uint(0), encode.binary(b"t"), encode.uint(message_encoding.BATCH)
    )
    whole_frame = frames.HEADER.pack(len(transfer) + len(batch), 2, 0, 0) + transfer[8:] + batch
    with Peer(bus.port).open().begin().sender("q") as peer:
        peer.say(whole_frame)
        assert peer.expect(frames.DISPOSITION)[4].descriptor == frames.REJECTED
    assert left(bus) == []


def test_a_link_is_detached_and_attached_again(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q")
    put(bus, b"0", b"1")
    with Peer(bus.port).open().begin().receiver("q") as peer:
        peer.credit(1)
        peer.delivery()
        peer.frame(frames.DETACH, encode.uint(0), TRUE)
        assert peer.expect(frames.DETACH)[:2] == [0, True]
        peer.receiver("q")
        peer.credit(1)
        assert data_of(peer.delivery()) == b"1"  # the lock of the first one stays until it ends
        peer.frame(frames.END)
        peer.expect(frames.END)
        peer.begin().receiver("q")
        peer.frame(frames.CLOSE)
        peer.expect(frames.CLOSE)
        assert peer.ended() is None


def test_a_refused_link_may_still_be_spoken_of(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q")
    with Peer(bus.port).open().begin() as peer:
        peer.say(attach_frame("nowhere", receiving=True))
        peer.credit(5)
        attach = peer.expect(frames.ATTACH)
        assert attach[5] is None
        assert attach[6] is None
        assert peer.expect(frames.DETACH)[2].value[0] == "amqp:not-found"
        peer.frame(frames.DETACH, encode.uint(0), TRUE)
        peer.receiver("q")


def test_a_receiver_of_a_session_that_never_comes_leaves(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q", requires_session=True)
    with Peer(bus.port).open().begin().session("q", None) as peer:
        peer.frame(frames.DETACH, encode.uint(0), TRUE)
        assert peer.expect(frames.DETACH)[0] == 0
    with Peer(bus.port).open().begin().session("q", None) as peer:
        peer.sync()
        bus.advance(65)
        peer.expect(frames.ATTACH)
        assert peer.expect(frames.DETACH)[2].value[0] == "com.microsoft:timeout"

"""Entities of the broker, without a client: sessions, locks, dead letters, forwarding."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest

from cloudqueues.servicebus import ServiceBusEmulator, settlement
from cloudqueues.servicebus.amqp import encode, frames
from cloudqueues.servicebus.broker import Broker
from cloudqueues.servicebus.errors import DISABLED, SESSION_LOST, SESSION_TAKEN, AmqpError, Refused
from cloudqueues.servicebus.message import Content, Message
from cloudqueues.servicebus.queue import Queue
from cloudqueues.servicebus.sessions import Sessions
from tests.emulators.servicebus.peer import Peer

T = TypeVar("T")
TRANSFER = "/$Transfer/$DeadLetterQueue"
DEAD_LETTERS = "/$DeadLetterQueue"


class FakeConsumer:
    """Consumer with unlimited credit."""

    destructive = False

    def __init__(self) -> None:
        self.received: list[Message] = []
        self.error: AmqpError | None = None

    def can_receive(self) -> bool:
        return True

    def deliver(self, message: Message) -> None:
        self.received.append(message)

    def close_with(self, error: AmqpError) -> None:
        self.error = error


def content(name: str = "m", *, session: str | None = None, ttl: float | None = None) -> Content:
    return Content(properties=(encode.string(name),), id=name, session=session, ttl=ttl)


def in_broker(bus: ServiceBusEmulator, act: Callable[[Broker], T]) -> T:
    """Call a function in the emulator's thread; unlike the emulator's own methods, pass on Refused as it is."""
    assert bus._running is not None
    background, service = bus._running
    return background.call(act, service.broker)


def send(bus: ServiceBusEmulator, path: str, *contents: Content) -> None:
    in_broker(bus, lambda broker: broker.target(path).send(contents))


def sessions_of(bus: ServiceBusEmulator, path: str) -> Sessions:
    sessions = in_broker(bus, lambda broker: broker.queue(path).sessions)
    assert sessions is not None
    return sessions


def accept(bus: ServiceBusEmulator, sessions: Sessions, session: str) -> FakeConsumer:
    consumer = FakeConsumer()
    in_broker(bus, lambda _broker: sessions.accept(consumer, session, 1.0, lambda _session, _until: None))
    return consumer


@pytest.fixture
def grouped(bus: ServiceBusEmulator) -> Sessions:
    bus.add_queue("grouped", requires_session=True, lock_duration=30)
    return sessions_of(bus, "grouped")


# -- sessions


def test_a_renewed_session_lock_ends_later(bus: ServiceBusEmulator, grouped: Sessions) -> None:
    consumer = accept(bus, grouped, "s")
    bus.advance(20)
    in_broker(bus, lambda _broker: grouped.renew("s"))
    bus.advance(20)
    assert consumer.error is None
    bus.advance(10)
    assert consumer.error is not None
    assert consumer.error.condition == SESSION_LOST


def test_a_consumer_that_lost_its_session_does_not_free_it_for_others(
    bus: ServiceBusEmulator, grouped: Sessions
) -> None:
    first = accept(bus, grouped, "s")
    bus.advance(30)
    accept(bus, grouped, "s")
    in_broker(bus, lambda _broker: grouped.release(first, "s"))
    with pytest.raises(Refused, match=SESSION_TAKEN):
        accept(bus, grouped, "s")


def test_a_released_session_has_no_lock_that_ends(bus: ServiceBusEmulator, grouped: Sessions) -> None:
    first, second = accept(bus, grouped, "a"), accept(bus, grouped, "b")
    in_broker(bus, lambda _broker: grouped.release(first, "a"))
    bus.advance(30)
    assert (first.error is None, second.error is None) == (True, False)


def test_a_state_that_was_set_at_a_moment_is_not_after_it(bus: ServiceBusEmulator, grouped: Sessions) -> None:
    accept(bus, grouped, "s")
    in_broker(bus, lambda _broker: grouped.set_state("s", b"x"))
    since = grouped.states["s"].since
    assert grouped.list_ids(since, 0, 9) == []
    assert grouped.list_ids(math.nextafter(since, 0), 0, 9) == ["s"]


# -- locks and lives


def test_all_locks_of_a_renewal_are_renewed(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q", lock_duration=30)
    send(bus, "q", content("a"), content("b"))
    consumer = FakeConsumer()

    def renew(queue: Queue) -> list[float]:
        return settlement.renew(queue, [message.token for message in consumer.received if message.token is not None])

    in_broker(bus, lambda broker: broker.queue("q").add_consumer(consumer))
    bus.advance(20)
    assert len(in_broker(bus, lambda broker: renew(broker.queue("q")))) == 2
    in_broker(bus, lambda broker: broker.queue("q").remove_consumer(consumer))
    bus.advance(20)
    assert [message.locked for message in bus.messages("q")] == [True, True]
    bus.advance(10)
    assert [message.locked for message in bus.messages("q")] == [False, False]


def test_the_shorter_life_counts(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q", default_ttl=3600)
    send(bus, "q", content("message's", ttl=60), content("queue's", ttl=7200), content("none"))
    bus.advance(60)
    assert [message.message_id for message in bus.messages("q")] == ["queue's", "none"]
    bus.advance(3540)
    assert bus.messages("q") == []


def test_a_number_may_be_cancelled_twice_in_one_request(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q")
    later = replace(content(), due=4_000_000_000.0)
    (number,) = in_broker(bus, lambda broker: broker.target("q").send([later]))
    in_broker(bus, lambda broker: broker.queue("q").ingress.cancel([number, number]))
    assert bus.messages("q") == []


# -- entities


def test_a_removed_queue_takes_all_its_dead_letters_with_it(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q")
    bus.entities.remove("q")
    paths = ("q", "q" + DEAD_LETTERS, "q" + TRANSFER)
    assert in_broker(bus, lambda broker: [broker.has(path) for path in paths]) == [False] * 3


def disable(bus: ServiceBusEmulator, path: str) -> None:
    settings = bus.entities.settings(path)
    assert settings is not None
    in_broker(bus, lambda broker: broker.change(path, replace(settings, status="Disabled")))


def test_dead_letters_of_a_disabled_queue_can_be_received(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q", dead_letter_expired=True)
    send(bus, "q", content("expired", ttl=1))
    bus.advance(2)
    disable(bus, "q")
    with Peer(bus.port).open().begin().receiver("q" + DEAD_LETTERS) as peer:
        peer.credit(1)
        _, payload = peer.delivery()
        assert b"expired" in payload


def test_a_disabled_topic_accepts_nothing(bus: ServiceBusEmulator) -> None:
    bus.add_topic("events")
    disable(bus, "events")
    with pytest.raises(Refused, match=DISABLED):
        send(bus, "events", content())


# -- forwarding


def test_a_circle_through_a_topic_ends(bus: ServiceBusEmulator) -> None:
    bus.add_topic("events")
    bus.add_subscription("events", "all", forward_to="events")
    send(bus, "events", content())
    (dead_letter,) = bus.messages("events/Subscriptions/all" + TRANSFER)
    assert dead_letter.properties["DeadLetterReason"] == "MaxTransferHopCountExceeded"


def test_a_dead_letter_that_is_forwarded_to_a_topic_names_its_source(bus: ServiceBusEmulator) -> None:
    bus.add_topic("events")
    bus.add_subscription("events", "all")
    bus.add_queue("q", default_ttl=60, dead_letter_expired=True, forward_dead_lettered_to="events")
    send(bus, "q", content())
    bus.advance(60)
    messages = in_broker(bus, lambda broker: list(broker.queue("events/Subscriptions/all").messages.values()))
    assert [message.source for message in messages] == ["q"]


# -- what a session of AMQP keeps


def test_deliveries_of_a_closed_link_are_forgotten(bus: ServiceBusEmulator) -> None:
    bus.add_queue("q")
    send(bus, "q", content())
    with Peer(bus.port).open().begin().receiver("q") as peer:
        peer.credit(1)
        peer.delivery()
        peer.frame(frames.DETACH, encode.uint(0), encode.TRUE)
        peer.expect(frames.DETACH)
        assert bus._running is not None
        (connection,) = bus._running[1]._connections
        assert [session._deliveries for session in connection.sessions.values()] == [{}]  # type: ignore[attr-defined] # a test may look inside

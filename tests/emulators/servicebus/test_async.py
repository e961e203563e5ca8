"""The real async client, over the same ground in one sweep."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import (
    NEXT_AVAILABLE_SESSION,
    ServiceBusMessage,
    ServiceBusReceivedMessage,
    ServiceBusReceiveMode,
    ServiceBusSubQueue,
)
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessageNotFoundError,
    MessageSizeExceededError,
    OperationTimeoutError,
    ServiceBusAuthenticationError,
    ServiceBusServerBusyError,
    SessionCannotBeLockedError,
    SessionLockLostError,
)

from cloudqueues.faults import Faults
from cloudqueues.servicebus import Rule, ServiceBusEmulator
from tests.emulators.servicebus.kit import texts


def connect(bus: ServiceBusEmulator) -> ServiceBusClient:
    return ServiceBusClient.from_connection_string(bus.connection_string, retry_total=0)


async def take(receiver: ServiceBusReceiver, count: int) -> list[ServiceBusReceivedMessage]:
    messages: list[ServiceBusReceivedMessage] = []
    while len(messages) < count:
        more = await receiver.receive_messages(max_message_count=count - len(messages), max_wait_time=10)
        assert more
        messages += more
    return messages


def test_settlement_locks_and_dead_letters(bus: ServiceBusEmulator) -> None:
    bus.add_queue("orders", lock_duration=30)

    async def scenario() -> None:
        async with connect(bus) as client, client.get_queue_sender("orders") as sender:
            await sender.send_messages([ServiceBusMessage(text) for text in "abcde"])
            async with client.get_queue_receiver("orders") as receiver:
                done, back, dead_letter, deferred = await receiver.receive_messages(4, max_wait_time=10)
                await receiver.renew_message_lock(done)
                await receiver.complete_message(done)
                await receiver.abandon_message(back)
                await receiver.dead_letter_message(dead_letter, reason="why", error_description="because")
                await receiver.defer_message(deferred)
                (again,) = await receiver.receive_deferred_messages(deferred.sequence_number or 0)
                await receiver.complete_message(again)
                (lost,) = await receiver.receive_messages(1, max_wait_time=10)
                assert (str(lost), lost.delivery_count) == ("b", 1)
                bus.advance(31)
                with pytest.raises(MessageLockLostError):
                    await receiver.complete_message(lost)
                assert texts(await receiver.peek_messages(10, sequence_number=1)) == ["b", "e"]
            async with client.get_queue_receiver("orders", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead_letters:
                (dead_letter,) = await dead_letters.receive_messages(1, max_wait_time=10)
                assert (
                    str(dead_letter),
                    dead_letter.dead_letter_reason,
                    dead_letter.dead_letter_error_description,
                ) == (
                    "c",
                    "why",
                    "because",
                )

    asyncio.run(scenario())


def test_schedules_large_messages_and_receive_and_delete(bus: ServiceBusEmulator) -> None:
    bus.add_queue("orders")

    async def scenario() -> None:
        async with connect(bus) as client, client.get_queue_sender("orders") as sender:
            due = datetime.now(UTC) + timedelta(hours=1)
            (first, _) = await sender.schedule_messages(
                [ServiceBusMessage("a"), ServiceBusMessage(b"b" * 200_000)], due
            )
            await sender.cancel_scheduled_messages(first)
            bus.advance(3600)
            mode = ServiceBusReceiveMode.RECEIVE_AND_DELETE
            async with client.get_queue_receiver("orders", receive_mode=mode, max_wait_time=10) as receiver:
                (message,) = await receiver.receive_messages(1, max_wait_time=10)
                assert b"".join(message.body) == b"b" * 200_000

    asyncio.run(scenario())
    assert bus.messages("orders") == []


def test_sessions(bus: ServiceBusEmulator) -> None:
    bus.add_queue("orders", requires_session=True)

    async def scenario() -> None:
        async with connect(bus) as client, client.get_queue_sender("orders") as sender:
            await sender.send_messages([ServiceBusMessage(text, session_id=text[0]) for text in ("a1", "b1", "a2")])
            async with client.get_queue_receiver("orders", session_id=NEXT_AVAILABLE_SESSION) as receiver:
                assert receiver.session.session_id == "a"
                await receiver.session.set_state(b"seen")
                assert await receiver.session.get_state() == b"seen"
                await receiver.session.renew_lock()
                assert texts(await take(receiver, 2)) == ["a1", "a2"]

    asyncio.run(scenario())


def test_many_receivers_at_once_get_each_message_once(bus: ServiceBusEmulator) -> None:
    bus.add_queue("orders")

    async def work(client: ServiceBusClient, seen: list[str]) -> None:
        async with client.get_queue_receiver("orders", prefetch_count=5, max_wait_time=0.5) as receiver:
            async for message in receiver:
                seen.append(str(message))
                await receiver.complete_message(message)

    async def scenario() -> list[str]:
        seen: list[str] = []
        async with connect(bus) as client:
            async with client.get_queue_sender("orders") as sender:
                await sender.send_messages([ServiceBusMessage(str(n)) for n in range(100)])
            await asyncio.gather(*(work(client, seen) for _ in range(5)))
        return seen

    assert sorted(asyncio.run(scenario()), key=int) == [str(n) for n in range(100)]
    assert bus.messages("orders") == []


def test_an_unknown_entity_is_not_found(bus: ServiceBusEmulator) -> None:
    async def scenario() -> None:
        async with connect(bus) as client, client.get_queue_receiver("nowhere") as receiver:
            await receiver.receive_messages(1, max_wait_time=5)

    with pytest.raises(ServiceBusAuthenticationError):
        asyncio.run(scenario())


def test_the_rest_of_what_an_entity_does(bus: ServiceBusEmulator) -> None:
    """Time to live, last deliveries, repeated ids, forwarding, prefetched messages given back."""
    bus.add_queue("orders", max_delivery_count=2, default_ttl=60, dead_letter_expired=True, duplicate_window=60)
    bus.add_queue("gate", forward_to="orders")

    async def scenario() -> None:
        async with connect(bus) as client:
            async with client.get_queue_sender("gate") as sender:
                batch = await sender.create_message_batch()
                for text in ("a", "b", "a"):
                    batch.add_message(ServiceBusMessage(text, message_id=text))
                await sender.send_messages(batch)
            async with client.get_queue_receiver("orders", prefetch_count=10) as receiver:
                for _ in range(3):  # a, b, which was fetched before, and a again
                    (message,) = await receiver.receive_messages(1, max_wait_time=10)
                    await receiver.abandon_message(message)
            assert [(message.body, message.delivery_count, message.locked) for message in bus.messages("orders")] == [
                (b"b", 1, False)
            ]
            bus.advance(60)
            async with client.get_queue_receiver("orders", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead_letters:
                reasons = {
                    str(dead_letter): dead_letter.dead_letter_reason for dead_letter in await take(dead_letters, 2)
                }
            assert reasons == {"a": "MaxDeliveryCountExceeded", "b": "TTLExpiredException"}

    asyncio.run(scenario())


def test_topics_and_rules(bus: ServiceBusEmulator) -> None:
    bus.add_topic("events")
    bus.add_subscription("events", "large", rules=[Rule.sql("size > 10", action="SET sys.Label = 'large'")])

    async def scenario() -> None:
        async with connect(bus) as client:
            async with client.get_topic_sender("events") as sender:
                sizes = [ServiceBusMessage(str(size), application_properties={"size": size}) for size in (5, 11)]
                await sender.send_messages(sizes)
            async with client.get_subscription_receiver("events", "large") as receiver:
                (message,) = await receiver.receive_messages(5, max_wait_time=10)
                assert (str(message), message.subject) == ("11", "large")

    asyncio.run(scenario())


def test_error_conditions(bus: ServiceBusEmulator) -> None:
    bus.add_queue("grouped", requires_session=True, lock_duration=30)
    bus.add_queue("orders")

    async def scenario() -> None:
        async with connect(bus) as client, client.get_queue_receiver("grouped", session_id="s") as holder:
            with pytest.raises(SessionCannotBeLockedError):
                async with client.get_queue_receiver("grouped", session_id="s"):
                    pass
            with pytest.raises(OperationTimeoutError):
                async with client.get_queue_receiver(
                    "grouped", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=0.2
                ) as other:
                    await other.receive_messages(1)
            bus.advance(31)
            with pytest.raises(SessionLockLostError):
                await holder.session.get_state()
            async with client.get_queue_receiver("orders") as receiver:
                with pytest.raises(MessageNotFoundError):
                    await receiver.receive_deferred_messages(5)
            async with client.get_queue_sender("orders") as sender:
                with pytest.raises(MessageSizeExceededError):
                    await sender.send_messages(ServiceBusMessage(b"x" * 1_100_000))
                bus.faults = Faults(refuse=1)
                with pytest.raises(ServiceBusServerBusyError):
                    await sender.send_messages(ServiceBusMessage("a"))

    asyncio.run(scenario())

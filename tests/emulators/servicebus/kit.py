"""Helpers of the emulator's tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusReceivedMessage, ServiceBusReceiver

DEAD_LETTER_QUEUE = "/$DeadLetterQueue"


closing: list[threading.Thread] = []
"""Threads that close receivers. The SDK waits for a thread of its own that sleeps by the second, which no test has to
wait for."""


def behind(act: Callable[[], object]) -> None:
    """In a thread, while the test goes on."""
    closing.append(threading.Thread(target=act))
    closing[-1].start()


def closed() -> None:
    """Everything is."""
    while closing:
        closing.pop().join()


def last(act: Callable[[], object]) -> None:
    """When all else is closed; also this while the next test goes on."""
    before = closing.copy()
    closing.clear()

    def work() -> None:
        for thread in before:
            thread.join()
        act()

    behind(work)


@contextmanager
def leaving(receiver: ServiceBusReceiver) -> Generator[ServiceBusReceiver]:
    """Open within, and closed some time after."""
    with ExitStack() as stack:
        stack.callback(behind, receiver.close)
        yield receiver.__enter__()


def send(client: ServiceBusClient, queue: str, *bodies: str | ServiceBusMessage) -> None:
    messages = [body if isinstance(body, ServiceBusMessage) else ServiceBusMessage(body) for body in bodies]
    sender = client.get_queue_sender(queue)
    try:
        sender.send_messages(messages)
    finally:
        behind(sender.close)


def receive(receiver: ServiceBusReceiver, count: int = 1) -> list[ServiceBusReceivedMessage]:
    """Exactly so many, however they come."""
    messages: list[ServiceBusReceivedMessage] = []
    while len(messages) < count:
        more = receiver.receive_messages(max_message_count=count - len(messages), max_wait_time=10)
        assert more, f"{len(messages)} of {count} messages came"
        messages += more
    return messages


def one(receiver: ServiceBusReceiver) -> ServiceBusReceivedMessage:
    return receive(receiver)[0]


def texts(messages: Sequence[Any]) -> list[str]:
    return [str(message) for message in messages]


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for a condition that another thread brings about without a signal. Fails after ten seconds."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.005)

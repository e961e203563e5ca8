"""The Service Bus emulator in a process of its own, and the real sync client: messages a second, and the start.

The client is the bottleneck: it decodes, and it waits for the answer to each settlement before it makes the next.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator

from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusReceiver

from cloudqueues.servicebus import ServiceBusEmulator

COUNT = 4_000
LARGE = 64 * 1024
PREFETCH = 200
RATE = 2_000.0
START_MS = 50.0


def measure(rounds: int = 3) -> list[dict[str, object]]:
    """The best of several rounds. There is no peer: "theirs" is what is asked for, and a ratio under 1 is better than it."""
    with program() as connection_string:
        small = max(received(connection_string, 64) for _ in range(rounds))
        large = max(received(connection_string, LARGE) for _ in range(rounds))
    return [
        row("64-byte messages received and completed a second", small, RATE, RATE / small, 1.0),
        row("64 KiB messages received and completed a second", large, RATE, RATE / large, None),
        start(20),
    ]


def row(name: str, ours: float, theirs: float, ratio: float, target: float | None, unit: str = "") -> dict[str, object]:
    named = {"name": f"Service Bus emulator: {name}", "ours": ours, "theirs": theirs, "unit": unit}
    return {**named, "ratio": ratio, "target": target}


@contextlib.contextmanager
def program() -> Iterator[str]:
    options = (
        "--queue",
        "orders",
        "--tier",
        "premium",
    )  # ten messages of 64 KiB are more than one of the standard tier
    command = [sys.executable, "-m", "peeklock.cli", "emulator", "servicebus", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            yield running.stdout.readline().partition("='")[2].rstrip("'\n")
        finally:
            running.terminate()


def received(connection_string: str, size: int) -> float:
    """Messages a second, from the first that is received to the answer to the last settlement. The links are open before."""
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(ServiceBusClient.from_connection_string(connection_string))
        sender = stack.enter_context(client.get_queue_sender("orders"))
        receiver = stack.enter_context(client.get_queue_receiver("orders", prefetch_count=PREFETCH))
        for _ in range(0, COUNT, 10):
            sender.send_messages([ServiceBusMessage(b"x" * size) for _ in range(10)])
        return COUNT / timed(receiver)


def timed(receiver: ServiceBusReceiver) -> float:
    done, began = 0, time.perf_counter()
    while done < COUNT:
        for message in receiver.receive_messages(max_message_count=100, max_wait_time=30):
            receiver.complete_message(message)
            done += 1
    return time.perf_counter() - began


def start(rounds: int) -> dict[str, object]:
    """Milliseconds until a client could connect."""
    took: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        with ServiceBusEmulator():
            took.append((time.perf_counter() - began) * 1e3)
    best = min(took)
    return row("start", best, START_MS, best / START_MS, 1.0, "ms")


if __name__ == "__main__":
    for one in measure():
        print(one)

"""The Service Bus emulator in a process of its own, and the real sync client: messages a second, and the start.

The client is the bottleneck: it decodes, and it waits for the answer to each settlement before the next. So there is a
figure with one receiver, and one with two receivers in two threads of one client, which wait in turns.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from azure.servicebus import ServiceBusClient, ServiceBusMessage, ServiceBusReceiver

from peeklock.emulators.servicebus import ServiceBusEmulator

COUNT = 4_000
LARGE = 64 * 1024
PREFETCH = 200
RATE = 2_000.0
START_MS = 50.0


def measure(rounds: int = 3) -> list[dict[str, object]]:
    """The best of several rounds. There is no peer to measure against: "theirs" is the target."""
    with program() as connection_string:
        results = [
            rate("64-byte messages received and completed, one receiver", connection_string, 64, 1, rounds),
            rate("64-byte messages received and completed, two receivers", connection_string, 64, 2, rounds),
            rate("64 KiB messages received and completed, one receiver", connection_string, LARGE, 1, rounds),
            rate("64 KiB messages received and completed, two receivers", connection_string, LARGE, 2, rounds),
        ]
    return [*results, start(20)]


@contextlib.contextmanager
def program() -> Iterator[str]:
    command = [sys.executable, "-m", "peeklock.emulators.servicebus", "--port", "0", "--queue", "orders"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            yield running.stdout.readline().strip()
        finally:
            running.terminate()


def rate(name: str, connection_string: str, size: int, receivers: int, rounds: int) -> dict[str, object]:
    best = max(received(connection_string, size, receivers) for _ in range(rounds))
    return {"name": f"Service Bus emulator: {name}", **figures(best, RATE, "/s"), "ratio": best / RATE, "target": 1.0}


def figures(ours: float, target: float, unit: str) -> dict[str, object]:
    return {"ours": ours, "theirs": target, "unit": unit}


def received(connection_string: str, size: int, receivers: int) -> float:
    """Messages a second, from the first that is received to the answer to the last settlement. All links are open before."""
    with ServiceBusClient.from_connection_string(connection_string) as client, contextlib.ExitStack() as stack:
        sender = stack.enter_context(client.get_queue_sender("orders"))
        links = [
            stack.enter_context(client.get_queue_receiver("orders", prefetch_count=PREFETCH)) for _ in range(receivers)
        ]
        for _ in range(0, COUNT, 10):
            sender.send_messages([ServiceBusMessage(b"x" * size) for _ in range(10)])
        return timed(links)


def timed(links: list[ServiceBusReceiver]) -> float:
    """Until the last settlement: what a receiver waits for in vain after it does not count."""
    settled: list[float] = []
    threads = [threading.Thread(target=work, args=(link, settled)) for link in links]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return COUNT / (max(settled) - began)


def work(receiver: ServiceBusReceiver, settled: list[float]) -> None:
    while len(settled) < COUNT:
        for message in receiver.receive_messages(max_message_count=100, max_wait_time=0.5):
            receiver.complete_message(message)
            settled.append(time.perf_counter())


def start(rounds: int) -> dict[str, object]:
    """Milliseconds until a client could connect."""
    took: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        with ServiceBusEmulator():
            took.append((time.perf_counter() - began) * 1e3)
    best = min(took)
    return {
        "name": "Service Bus emulator: start",
        **figures(best, START_MS, "ms"),
        "ratio": best / START_MS,
        "target": 1.0,
    }


if __name__ == "__main__":
    for one in measure():
        print(one)

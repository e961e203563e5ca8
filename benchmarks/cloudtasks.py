"""The Cloud Tasks emulator in a process of its own: dispatches a second, and the start.

With PEEKLOCK_CT_PEER as the path of the program of the Rust crate `cloud-tasks-emulator`, the same client and the same
target measure both, in turn. Without it "theirs" is what is asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from google.cloud import tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport

from cloudqueues.background import Background
from cloudqueues.cloudtasks import CloudTasksEmulator

PEER = "PEEKLOCK_CT_PEER"
HERE = "projects/p/locations/l"
QUEUES, EACH, BATCH = 8, 500, 100
"""Several queues: one alone sends 500 a second at most."""
CALLS = 1_000
RATE = 500.0
START_MS = 50.0
OURS = (
    "import sys\n"
    "from cloudqueues.cloudtasks import CloudTasksEmulator\n"
    "with CloudTasksEmulator() as emulator:\n"
    "    print(emulator.address, flush=True)\n"
    "    sys.stdin.read()\n"
)
IMPORT = (
    "import time; began = time.perf_counter()\n"
    "from cloudqueues.cloudtasks import sdk; sdk.tasks_v2(); sdk.grpc()\n"
    "print((time.perf_counter() - began) * 1e3)\n"
)

Serve = Callable[[], "contextlib.AbstractContextManager[str]"]
"""A running emulator's address."""


def measure(rounds: int = 3) -> list[dict[str, object]]:
    """The best of several rounds. A ratio under 1 is better than what is compared with."""
    peer = os.environ.get(PEER)
    both: dict[str, Serve] = {"ours": ours, **({"theirs": theirs} if peer else {})}
    sent = dict.fromkeys(both, 0.0)
    ended = dict(sent)
    for _ in range(rounds):
        for name, serve in both.items():
            sent[name] = max(sent[name], dispatched(serve))
            ended[name] = max(ended[name], created(serve))
    rows = [
        compared("dispatches a second, of tasks that wait", sent),
        compared("tasks created one by one and dispatched, a second", ended),
        start(20),
        row("import of Google's client and gRPC", took_import(), START_MS, None, "ms"),
    ]
    if peer:
        own, other = process_start(ours, rounds), process_start(theirs, rounds)
        rows.append(row("start of a process until it takes calls", own, other, None, "ms"))
    return rows


def compared(name: str, found: dict[str, float]) -> dict[str, object]:
    """Side by side, where there is a peer; what is asked for either way is 500 a second."""
    theirs = found.get("theirs", RATE)
    made = row(name, found["ours"], theirs, None if "theirs" in found else 1.0)
    return {**made, "ratio": theirs / found["ours"]}


def row(name: str, ours: float, theirs: float, target: float | None, unit: str = "") -> dict[str, object]:
    named = {"name": f"Cloud Tasks emulator: {name}", "ours": ours, "theirs": theirs, "unit": unit}
    return {**named, "ratio": ours / theirs, "target": target}


@contextlib.contextmanager
def ours() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-c", OURS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        yield run.stdout.readline().strip()
        run.stdin.close()


@contextlib.contextmanager
def theirs() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environ = {**os.environ, "LISTEN_ADDR": address, "OIDC_ISSUER": f"http://{address}", "QUEUES": ""}
    with subprocess.Popen([os.environ[PEER]], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        try:
            listening(address)
            yield address
        finally:
            run.terminate()


def listening(address: str) -> None:
    host, _, port = address.rpartition(":")
    for _ in range(2_000):
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
            return
        time.sleep(0.001)
    raise TimeoutError(address)


class Target:
    """Answers 200 to every request, and knows when it had enough of them."""

    def __init__(self) -> None:
        self._background = Background("target")
        self._left = 0
        self._enough = threading.Event()
        self._server = self._background.run(self._serve())
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"

    async def _serve(self) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(lambda: Answer(self.count), "127.0.0.1", 0, backlog=1024)

    def expect(self, count: int) -> None:
        self._enough.clear()
        self._left = count

    def count(self) -> None:
        self._left -= 1
        if not self._left:
            self._enough.set()

    def wait(self) -> None:
        assert self._enough.wait(60)

    def _stop(self) -> None:
        self._server.close()

    def close(self) -> None:
        self._background.call(self._stop)
        self._background.close()


class Answer(asyncio.Protocol):
    """A connection that may be kept."""

    def __init__(self, count: Callable[[], None]) -> None:
        self._count = count
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"\r\n\r\n"):  # no task has a body here
            self._count()
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


@contextlib.contextmanager
def at_work(serve: Serve) -> Iterator[tuple[Any, Target]]:
    target = Target()
    with serve() as address:
        channel = grpc.insecure_channel(address)
        client: Any = tasks_v2.CloudTasksClient(transport=CloudTasksGrpcTransport(channel=channel))
        try:
            yield client, target
        finally:
            client.transport.close()
            target.close()


def dispatched(serve: Serve) -> float:
    """A second, from the resuming of the queues to the last request."""
    with at_work(serve) as (client, target):
        names = [f"{HERE}/queues/q{number}" for number in range(QUEUES)]
        for name in names:
            client.create_queue(parent=HERE, queue={"name": name})
            client.pause_queue(name=name)
            one = {"parent": name, "task": {"http_request": {"url": target.url}}}
            for _ in range(0, EACH, BATCH):
                client.batch_create_tasks({"parent": name, "requests": [one] * BATCH})
        target.expect(QUEUES * EACH)
        began = time.perf_counter()
        for name in names:
            client.resume_queue(name=name)
        target.wait()
        return QUEUES * EACH / (time.perf_counter() - began)


def created(serve: Serve) -> float:
    """A second, from the first call to the last request; the client waits for each answer."""
    with at_work(serve) as (client, target):
        name = f"{HERE}/queues/q"
        client.create_queue(parent=HERE, queue={"name": name})
        target.expect(CALLS)
        began = time.perf_counter()
        for _ in range(CALLS):
            client.create_task(parent=name, task={"http_request": {"url": target.url}})
        target.wait()
        return CALLS / (time.perf_counter() - began)


def start(rounds: int) -> dict[str, object]:
    """Milliseconds until a client could connect, with everything imported."""
    took: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        with CloudTasksEmulator():
            took.append((time.perf_counter() - began) * 1e3)
    return row("start", min(took), START_MS, 1.0, "ms")


def took_import() -> float:
    """Milliseconds, in a new process."""
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", IMPORT], capture_output=True, text=True, check=True)
    return float(run.stdout)


def process_start(serve: Serve, rounds: int) -> float:
    """Milliseconds."""
    took: list[float] = []
    for _ in range(rounds):
        began = time.perf_counter()
        with serve():
            took.append((time.perf_counter() - began) * 1e3)
    return min(took)


if __name__ == "__main__":
    for one in measure():
        print(one)

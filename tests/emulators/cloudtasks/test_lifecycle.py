"""Start, stop and waiting: nothing is left behind, and wrong uses raise errors with the fix."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import time
from typing import Any

import pytest
from google.cloud import tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcAsyncIOTransport
from grpc import aio

from cloudqueues.cloudtasks import CloudTasksEmulator
from cloudqueues.errors import CloudqueuesError
from cloudqueues.faults import Faults
from tests.emulators.cloudtasks.support import HANG, HERE, Target, queue_of, task_of


def test_nothing_is_left_after_a_stop(target: Target) -> None:
    before = set(threading.enumerate())
    emulator = CloudTasksEmulator().start()
    client = emulator.client()
    target.script = [HANG]
    task_of(client, queue_of(client), target.url)
    task_of(client, queue_of(client), target.url, schedule_time={"seconds": int(time.time()) + 1000})
    target.wait(1)
    task_of(client, queue_of(client), f"http://localhost:{target.port}/")  # is looked up in a thread
    target.wait(2)
    addresses = [
        ("127.0.0.1", int(emulator.address.rpartition(":")[2])),
        ("127.0.0.1", int(emulator.http_url.rpartition(":")[2])),
    ]
    emulator.stop()
    emulator.stop()
    assert emulator.dispatches == ()
    del client
    gc.collect()
    assert set(threading.enumerate()) <= before
    for address in addresses:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=1)


def test_it_can_be_started_again() -> None:
    emulator = CloudTasksEmulator()
    for _ in range(2):
        with emulator:
            assert list(emulator.client().list_queues(parent=HERE)) == []


def test_it_is_started_once(emulator: CloudTasksEmulator) -> None:
    with pytest.raises(CloudqueuesError, match="runs already"):
        emulator.start()


def test_ports_that_are_asked_for_and_taken() -> None:
    with CloudTasksEmulator() as first:
        port, http_port = (int(text.rpartition(":")[2]) for text in (first.address, first.http_url))
        threads = threading.active_count()
        with pytest.raises(OSError, match="cannot listen"):
            CloudTasksEmulator(port=port).start()
        with pytest.raises(OSError, match="in use"):
            CloudTasksEmulator(http_port=http_port).start()
        assert threading.active_count() == threads
    with CloudTasksEmulator(port=port, http_port=http_port) as second:
        assert second.address == f"127.0.0.1:{port}"
        assert second.http_url == f"http://127.0.0.1:{http_port}"


def test_it_listens_on_loopback_only() -> None:
    with CloudTasksEmulator() as emulator:
        assert emulator.address.startswith("127.0.0.1:")
        own = socket.gethostbyname(socket.gethostname())
        if not own.startswith("127."):
            for text in (emulator.address, emulator.http_url):
                with pytest.raises(OSError):
                    socket.create_connection((own, int(text.rpartition(":")[2])), timeout=1)


def test_what_is_not_started_says_so() -> None:
    emulator = CloudTasksEmulator()
    for name in ("address", "certs_url", "dispatches", "faults", "now"):
        with pytest.raises(CloudqueuesError, match=r"call start\(\)"):
            getattr(emulator, name)
    emulator.stop()
    with emulator:
        pass
    with pytest.raises(CloudqueuesError, match="is not running"):
        emulator.advance(1)
    with pytest.raises(CloudqueuesError, match="is not running"):
        emulator.wait_idle()


def test_faults_from_the_start() -> None:
    faults = Faults(refuse=1.0)
    with CloudTasksEmulator(faults=faults) as emulator:
        assert emulator.faults == faults


def test_two_side_by_side(target: Target) -> None:
    with CloudTasksEmulator() as first, CloudTasksEmulator() as second:
        for emulator in (first, second):
            client = emulator.client()
            task_of(client, client.create_queue(parent=HERE, queue={"name": f"{HERE}/queues/q"}), target.url)
            emulator.wait_idle()
            assert len(emulator.dispatches) == 1


def test_its_time_moves_with_the_clock_and_by_hand(emulator: CloudTasksEmulator) -> None:
    assert emulator.now == pytest.approx(time.time(), abs=5)
    emulator.advance(3600)
    assert emulator.now == pytest.approx(time.time() + 3600, abs=5)


def test_waiting_in_vain_names_what_is_left(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    target.script = [500]
    name = task_of(client, queue_of(client, retry_config={"max_attempts": -1}), target.url).name
    with pytest.raises(TimeoutError, match=f"1 tasks are left after 0.1 s: {name}"):
        emulator.drain(0.1)
    with pytest.raises(TimeoutError, match=name):
        emulator.wait_for(lambda _: False, timeout=0.1)


def test_waiting_for_a_task_of_tomorrow_says_how_to_reach_it(emulator: CloudTasksEmulator, target: Target) -> None:
    """Since no real time brings it. (stranger 2, papercut 7)"""
    client = emulator.client()
    tomorrow = {"seconds": int(emulator.now) + 86_400}
    queue = queue_of(client)
    task = {"http_request": {"url": target.url}, "schedule_time": tomorrow}
    client.create_task(parent=queue.name, task=task)
    with pytest.raises(
        TimeoutError, match=r"; the first is due in 86\d+ s of the emulator's time: call advance\(86\d+\)"
    ):
        emulator.wait_idle(0.1)


def test_draining_leaves_a_paused_queue_alone(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    paused, running = queue_of(client), queue_of(client)
    client.pause_queue(name=paused.name)
    task_of(client, paused, target.url)
    task_of(client, running, target.url, schedule_time={"seconds": int(time.time()) + 86400})
    emulator.drain()
    assert len(target.seen) == 1
    assert len(list(client.list_tasks(parent=paused.name))) == 1


def test_the_asynchronous_client(emulator: CloudTasksEmulator, target: Target) -> None:
    """The client's event loop and the emulator's are different ones in one process."""

    async def scenario() -> None:
        channel = aio.insecure_channel(emulator.address)
        client: Any = tasks_v2.CloudTasksAsyncClient(transport=CloudTasksGrpcAsyncIOTransport(channel=channel))
        queue = await client.create_queue(parent=HERE, queue={"name": f"{HERE}/queues/q"})
        task = {"http_request": {"url": target.url}}
        await asyncio.gather(*(client.create_task(parent=queue.name, task=task) for _ in range(50)))
        await channel.close()

    asyncio.run(scenario())
    emulator.wait_idle()
    assert len(target.seen) == 50

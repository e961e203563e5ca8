"""Targets that misbehave, and connections that do nothing, do not take the emulator down."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import grpc
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudqueues.cloudtasks import CloudTasksEmulator
from cloudqueues.timeline import SPARE
from tests.emulators.cloudtasks.support import HANG, HERE, Target, queue_of, task_of

MEGABYTE = b"x" * 2**20


def statuses(emulator: CloudTasksEmulator) -> list[int]:
    return [dispatch.status for dispatch in emulator.dispatches]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"", 0),
        (b"garbage", 0),
        (b"garbage\r\n\r\n", 0),
        (b"\x00\x01\x02\xff\r\n\r\n", 0),
        (b"HTTP/2 200\r\n\r\n", 0),
        (b"HTTP/1.1 abc X\r\n\r\n", 0),
        (b"HTTP/1.1 20 X\r\n\r\n", 0),
        (b"HTTP/1.1 2000 X\r\n\r\n", 0),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", 0),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", 0),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", 0),
        (b"HTTP/1.1 200 OK\r\nContent-Len", 0),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", 0),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nha", 0),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhalf\r\n0\r\n\r\n", 0),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", 200),
        (b"HTTP/1.1 200\r\n\r\nuntil the end", 200),
        (b"HTTP/1.0 201 OK\r\n\r\n", 201),
        (b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", 204),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 202 OK\r\nContent-Length: 0\r\n\r\n", 202),
        (b"HTTP/1.1 101 Switching\r\nContent-Length: 0\r\n\r\n", 101),
        (b"HTTP/1.1 302 Found\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n", 302),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n" + MEGABYTE * 10, 200),
        (b"HTTP/1.1 500 X\r\n\r\n" + MEGABYTE * 10, 500),
    ],
)
def test_whatever_a_target_answers(emulator: CloudTasksEmulator, target: Target, answer: Any, status: Any) -> None:
    client = emulator.client()
    target.script = [answer]
    task_of(client, queue_of(client, retry_config={"max_attempts": 1}), target.url)
    emulator.wait_idle()
    assert statuses(emulator) == [status]


def test_a_target_that_takes_no_request(emulator: CloudTasksEmulator) -> None:
    """The target accepts, reads nothing, and closes, so that the rest of the request is lost."""
    client = emulator.client()
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        http = {"body": b"x" * 1_000_000}
        task_of(client, queue_of(client, retry_config={"max_attempts": 1}), url, http=http)
        server.settimeout(5)
        server.accept()[0].close()
        emulator.wait_idle()
    assert statuses(emulator) == [0]


def test_targets_that_never_answer_hold_up_nobody(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    target.script = [lambda seen: HANG if seen.path == "/hang" else 200]
    hanging, quick = queue_of(client), queue_of(client)
    for _ in range(200):
        task_of(client, hanging, f"{target.url}/hang")
    target.wait(200)
    for _ in range(20):
        task_of(client, quick, f"{target.url}/quick")
    emulator.wait_for(lambda ended: len(ended) == 20)
    assert statuses(emulator) == [200] * 20
    with pytest.raises(TimeoutError, match=r"200 tasks are left after 0\.05 s: "):
        emulator.wait_idle(0.05)


def test_a_thousand_idle_connections(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    places = [urlsplit(emulator.http_url), urlsplit(f"http://{emulator.address}")]
    idle = []
    try:
        for number in range(1000):
            place = places[number % 2]
            idle.append(socket.create_connection((place.hostname, place.port), timeout=10))
            if number % 3 == 0:
                idle[-1].sendall(b"POST /half HTTP/1.1\r\n")
        task_of(client, queue_of(client), target.url)
        emulator.wait_idle()
        assert requests.get(emulator.certs_url, timeout=10).status_code == 200
    finally:
        for connection in idle:
            connection.close()
    assert client.get_queue(name=queue_of(client).name)


@pytest.mark.parametrize("data", [b"nonsense\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 5000, MEGABYTE])
def test_what_is_no_grpc(emulator: CloudTasksEmulator, data: Any) -> None:
    host, _, port = emulator.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=5) as sock:
        try:
            sock.sendall(data)
            while sock.recv(65536):
                pass
        except OSError:
            pass  # closed on it
    assert list(emulator.client().list_queues(parent=HERE)) == []


def test_a_message_that_is_no_request(emulator: CloudTasksEmulator) -> None:
    with grpc.insecure_channel(emulator.address) as channel:
        call = channel.unary_unary("/google.cloud.tasks.v2.CloudTasks/CreateTask")
        with pytest.raises(grpc.RpcError):
            call(b"\xff\xff\xff", timeout=5)
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/google.cloud.tasks.v2.CloudTasks/NoSuchMethod")(b"", timeout=5)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert list(emulator.client().list_queues(parent=HERE)) == []


def test_nothing_stays_of_five_hundred_dispatches(emulator: CloudTasksEmulator, target: Target) -> None:
    client = emulator.client()
    queue = queue_of(client)
    client.pause_queue(name=queue.name)
    for _ in range(5):
        requests = [{"parent": queue.name, "task": {"http_request": {"url": target.url}}}] * 100
        client.batch_create_tasks({"parent": queue.name, "requests": requests})
    client.resume_queue(name=queue.name)
    emulator.wait_idle(60)
    assert len(target.seen) == 500
    due = emulator._running.timeline._due
    assert [timer for _, _, timer in due if not timer.is_over] == []
    assert len(due) <= SPARE + 1


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.text(alphabet="GETPOS /v2:bufer HTTP/1.\r\nContent-Length: 03chunked;", max_size=200).map(str.encode),
    )
)
def test_any_bytes_at_the_http_port(shared: CloudTasksEmulator, data: bytes) -> None:
    place = urlsplit(shared.http_url)
    with socket.create_connection((str(place.hostname), int(place.port or 0)), timeout=5) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    assert answer[:9] in {b"", b"HTTP/1.1 "}
    assert requests.get(shared.certs_url, timeout=5).status_code == 200


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[Target]:
    target = Target()
    yield target
    target.close()


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.text(alphabet="HTP/1.0 2453\r\nContent-Length: chunked;Location/", max_size=200).map(str.encode),
    )
)
def test_any_bytes_from_a_target(shared: CloudTasksEmulator, fuzzed: Target, data: bytes) -> None:
    client = shared.client()
    fuzzed.seen.clear()
    fuzzed.script = [data]
    name = task_of(client, queue_of(client, retry_config={"max_attempts": 1}), fuzzed.url).name
    shared.wait_idle()
    assert [0 <= dispatch.status <= 999 for dispatch in shared.dispatches if dispatch.task == name] == [True]

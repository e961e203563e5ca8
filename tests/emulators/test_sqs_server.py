"""SQS on this machine, with the real client."""

from __future__ import annotations

import secrets
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from moto.sqs.models import sqs_backends

from cloudqueues import sqs_server
from cloudqueues.errors import ConfigError
from cloudqueues.sqs_lambda.queue import client
from cloudqueues.sqs_server import REGION, SqsServer


@pytest.fixture(scope="module")
def server():
    with SqsServer() as running:
        yield running


def name() -> str:
    return f"q-{secrets.token_hex(6)}"


def test_nothing_is_lost_between_requests_at_once(server):
    """Sends, receives and deletes of several clients; moto by itself loses messages here."""
    url = server.queue(name(), VisibilityTimeout=60)
    count, seen, full = 200, set(), threading.Event()

    def produce(part: int) -> None:
        sqs = client(server.endpoint_url, REGION)
        for n in range(count // 2):
            sqs.send_message(QueueUrl=url, MessageBody=f"{part}-{n}")
        sqs.close()

    def consume() -> None:
        sqs = client(server.endpoint_url, REGION)
        while not full.is_set():
            response = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            for message in response.get("Messages", ()):
                seen.add(message["Body"])
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            if len(seen) == count:
                full.set()
        sqs.close()

    with ThreadPoolExecutor(4) as pool:
        ended = [pool.submit(produce, 0), pool.submit(produce, 1), pool.submit(consume), pool.submit(consume)]
        for future in ended:
            future.result(60)
    assert len(seen) == count


@pytest.mark.parametrize("fifo", [False, True])
def test_a_long_poll_ends_with_a_message(server, fifo):
    """And other requests go on while it waits."""
    url = server.queue(name() + (".fifo" if fifo else ""))
    more = {"MessageGroupId": "g", "MessageDeduplicationId": "d"} if fifo else {}
    sqs = client(server.endpoint_url, REGION)
    with ThreadPoolExecutor(1) as pool:
        polling = pool.submit(sqs.receive_message, QueueUrl=url, WaitTimeSeconds=20)
        server.client.send_message(QueueUrl=url, MessageBody="x", **more)
        started = time.monotonic()
        assert polling.result(15)["Messages"][0]["Body"] == "x"
        assert time.monotonic() - started < 15
    sqs.close()


def test_a_long_poll_sees_a_lock_end(server):
    """Which no request tells of; and one of an empty queue ends empty."""
    url = server.queue(name(), VisibilityTimeout=1)
    server.client.send_message(QueueUrl=url, MessageBody="x")
    assert server.client.receive_message(QueueUrl=url)["Messages"]
    assert server.client.receive_message(QueueUrl=url, WaitTimeSeconds=10)["Messages"]
    assert "Messages" not in server.client.receive_message(QueueUrl=server.queue(name()), WaitTimeSeconds=1)


def test_a_group_whose_locks_end_together_keeps_its_order(server):
    """The group's first message comes first; from moto by itself, its last one."""
    url = server.queue(name() + ".fifo", VisibilityTimeout=1)
    for n in range(3):
        server.client.send_message(QueueUrl=url, MessageBody=str(n), MessageGroupId="g", MessageDeduplicationId=str(n))
    for _ in range(2):
        response = server.client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=10)
        assert [message["Body"] for message in response["Messages"]] == ["0", "1", "2"]


def test_locks_that_end_while_a_receive_looks_hold_their_group(server, monkeypatch):
    """Until the next look, which sees that all of them are over."""
    url = server.queue(name() + ".fifo", VisibilityTimeout=30)
    for n in range(3):
        server.client.send_message(QueueUrl=url, MessageBody=str(n), MessageGroupId="g", MessageDeduplicationId=str(n))
    server.client.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    count_locks = sqs_server._recount_locks

    def late() -> None:
        monkeypatch.undo()
        count_locks()
        for message in sqs_backends["123456789012"][REGION].get_queue(url.rpartition("/")[2])._messages:
            message.change_visibility(0)

    monkeypatch.setattr(sqs_server, "_recount_locks", late)
    again = server.client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=10)["Messages"]
    assert [message["Body"] for message in again] == ["0", "1", "2"]


def test_a_lock_that_was_ended_and_set_anew_holds_its_group(server):
    """A function that has lost the lock of a group's first message asks for its delay; moto by itself then delivers the
    second."""
    url = server.queue(name() + ".fifo", VisibilityTimeout=30)
    for n in range(2):
        server.client.send_message(QueueUrl=url, MessageBody=str(n), MessageGroupId="g", MessageDeduplicationId=str(n))
    messages = server.client.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    for n, seconds in ((0, 0), (0, 1), (1, 0)):
        handle = messages[n]["ReceiptHandle"]
        server.client.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=seconds)
    assert "Messages" not in server.client.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
    messages = server.client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=10)["Messages"]
    assert [message["Body"] for message in messages] == ["0", "1"]


def test_it_ends_and_starts_again():
    """No thread is left, and a second stop is harmless."""
    before = set(threading.enumerate())
    server = SqsServer()
    for _ in range(2):
        with server:
            assert server.queue(name()).startswith(server.endpoint_url)
        server.stop()
        with pytest.raises(ConfigError, match=r"start\(\) it"):
            assert server.endpoint_url
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name == "cloudqueues-sqs"]


def test_attributes_are_changed(server):
    """Creating a queue that exists changes its attributes."""
    same = name()
    url = server.queue(same, VisibilityTimeout=7)
    assert server.queue(same, VisibilityTimeout=9) == url
    response = server.client.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])
    assert response["Attributes"] == {"VisibilityTimeout": "9"}


def test_moto_is_not_installed(monkeypatch):
    """Then the fix is named."""
    monkeypatch.setitem(sys.modules, "moto.moto_server.werkzeug_app", None)
    with pytest.raises(ConfigError, match=r"pip install 'cloudqueues\[sqs-lambda\]'"):
        SqsServer().start()

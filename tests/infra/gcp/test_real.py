"""Output of the program, taken by the real client, a real queue of the emulator and the real framework."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import functions_framework
import pytest
from werkzeug.serving import make_server

from cloudqueues.cloudtasks import CloudTasksEmulator
from cloudqueues.pulumi import gcp
from handlers.orders.queue import ORDERS
from peeklock import send
from peeklock.registry import open_sender
from tests.infra.running import program

MAIN = """
import os
from handlers.orders.queue import ORDERS
from peeklock import cloudtasks, consumer

ran = []

@consumer(ORDERS, key="order_id")
def charge(order: dict) -> None:
    ran.append(order["order_id"])
    if order["order_id"] == "bad":
        raise ValueError("no")

handler = cloudtasks.bind(charge, certs_url=os.environ["CERTS_URL"])
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return program("gcp", tmp_path_factory.mktemp("dev"), "dev")


@pytest.fixture
def tasks() -> Iterator[CloudTasksEmulator]:
    with CloudTasksEmulator() as emulator:
        yield emulator


@pytest.fixture
def dead_letters(tmp_path) -> str:
    """An address in memory of this test's own."""
    return f"memory://{tmp_path.name}"


@pytest.fixture
def environment(recorded, tasks, dead_letters, monkeypatch):
    """The function's own, with its store and dead letters in memory."""
    service_config = recorded.named("shop-orders", "gcp:cloudfunctionsv2/function:Function").inputs["serviceConfig"]
    local_values = {
        "PEEKLOCK_STORE": dead_letters,
        "PEEKLOCK_ORDERS_DEAD_LETTER": dead_letters,
        "CLOUD_TASKS_EMULATOR_HOST": tasks.address,
        "CERTS_URL": tasks.certs_url,
    }
    for name, value in {**service_config["environmentVariables"], **local_values}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def port(environment, tmp_path) -> Iterator[int]:
    """Where the framework serves the function."""
    (tmp_path / "main.py").write_text(MAIN)
    app = functions_framework.create_app("handler", str(tmp_path / "main.py"))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def queue(recorded, tasks, port, **token):
    """Made from the program's inputs; it goes to this machine instead of the function's address."""
    inputs = dict(recorded.named("shop-orders", "gcp:cloudtasks/queue:Queue").inputs)
    target = dict(inputs["httpTarget"])
    target["uriOverride"] = {**target["uriOverride"], "scheme": "HTTP", "host": "127.0.0.1", "port": str(port)}
    target["oidcToken"] = {**target["oidcToken"], **token}
    kind = gcp.cloud(tasks).applied["gcp:cloudtasks/queue:Queue"]
    return kind.create({**inputs, "httpTarget": target})[0]


def test_a_task_is_sent_let_in_and_done(recorded, tasks, port):
    """The address names the queue, and the queue's token is the one that the function asks for."""
    assert f"cloudtasks://{queue(recorded, tasks, port)}?" in recorded.outputs["environment"]["PEEKLOCK_ORDERS_URL"]
    send(ORDERS, {"order_id": "o-1"}, id="o-1")
    tasks.wait_idle()
    assert [dispatch.status for dispatch in tasks.dispatches] == [204]


@pytest.mark.parametrize(
    "token",
    [{"serviceAccountEmail": "web@contoso-dev.iam.gserviceaccount.com"}, {"audience": "https://web.example.com"}],
)
def test_another_token_is_not(recorded, tasks, port, token):
    """Neither another account's nor one for another service."""
    queue(recorded, tasks, port, **token)
    send(ORDERS, {"order_id": "o-2"}, id="o-2")
    tasks.wait_for(bool)
    assert tasks.dispatches[0].status == 401


def test_a_failing_task_becomes_one_dead_letter(recorded, tasks, port, dead_letters):
    """After all its attempts: a delayed copy each, to the function's own address; the queue gives up none."""
    name = queue(recorded, tasks, port)
    send(ORDERS, {"order_id": "bad"}, id="bad")
    tasks.drain()
    assert [dispatch.status for dispatch in tasks.dispatches] == [204] * ORDERS.max_attempts
    assert [outgoing_message.lineage.id for outgoing_message in open_sender(dead_letters).outgoing_messages] == ["bad"]
    assert not list(tasks.client().list_tasks(parent=name))

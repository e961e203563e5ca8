"""A consumer bound to Cloud Tasks, its tokens checked and its delays tasks of their own, on the emulator."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import flask
import pytest
from werkzeug.serving import make_server

from peeklock import Message, Queue, cloudtasks, consumer
from peeklock.emulators.cloudtasks import CloudTasksEmulator
from peeklock.sending import send
from peeklock.stores.memory import MemoryStore
from peeklock.testing import Outbox
from tests.emulators.cloudtasks.support import ACCOUNT, HERE
from tests.support import environment

ORDERS = Queue("orders", max_attempts=3, first_delay=600, max_delay=3600)
NAME = f"{HERE}/queues/orders"
AUDIENCE = "https://orders.example.com"
Serve = Callable[[Callable[[Any], Any]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """An address under which a function of a Flask request answers."""
    servers = []

    def start(entry: Callable[[Any], Any]) -> str:
        app = flask.Flask("orders")
        app.add_url_rule("/", view_func=lambda: entry(flask.request), methods=["POST"])
        server = make_server("127.0.0.1", 0, app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


class World:
    """A handler behind the emulator, and what becomes of its messages."""

    def __init__(self, emulator: CloudTasksEmulator, serve: Serve, fails: int) -> None:
        self.attempts: list[tuple[str, int]] = []
        self.letters = Outbox()

        @consumer(ORDERS)
        def charge(order: dict[str, str], message: Message) -> None:
            self.attempts.append((order["order_id"], message.attempt))
            if message.attempt <= fails:
                raise ValueError("declined")

        self._entry: Any = None
        self.url = f"cloudtasks://{NAME}?target={serve(self._answer)}&service_account={ACCOUNT}&audience={AUDIENCE}"
        self._entry = cloudtasks.bind(
            charge,
            store=MemoryStore(),
            dead_letter=self.letters,
            queue=cloudtasks.from_url(self.url),
            audience=AUDIENCE,
            service_account=ACCOUNT,
            certs_url=emulator.certs_url,
        )
        emulator.client().create_queue(parent=HERE, queue={"name": NAME, "retry_config": {"max_attempts": -1}})

    def _answer(self, request: Any) -> Any:
        return self._entry(request)


def send_one(emulator: CloudTasksEmulator, serve: Serve, fails: int) -> World:
    """A message that is due in an hour, and all that follows from it."""
    world = World(emulator, serve, fails)
    with environment(CLOUD_TASKS_EMULATOR_HOST=emulator.address, PEEKLOCK_ORDERS_URL=world.url):
        send(ORDERS, {"order_id": "o-1"}, delay=3600)
        emulator.drain(30)
    return world


def test_a_delayed_message_is_handled_once(emulator: CloudTasksEmulator, serve: Serve) -> None:
    world = send_one(emulator, serve, fails=0)
    assert world.attempts == [("o-1", 1)]
    assert [one.status for one in emulator.dispatches] == [204]
    assert emulator.dispatches[0].when >= emulator.now - 60


def test_a_failure_comes_back_as_a_task_of_its_own(emulator: CloudTasksEmulator, serve: Serve) -> None:
    world = send_one(emulator, serve, fails=1)
    assert world.attempts == [("o-1", 1), ("o-1", 2)]
    assert [one.status for one in emulator.dispatches] == [204, 204]
    assert len({one.task for one in emulator.dispatches}) == 2


def test_what_always_fails_becomes_a_letter(emulator: CloudTasksEmulator, serve: Serve) -> None:
    world = send_one(emulator, serve, fails=99)
    assert [attempt for _, attempt in world.attempts] == [1, 2, 3]
    assert [parcel.attributes["peeklock-reason"] for parcel in world.letters.parcels] == ["exhausted"]


def test_a_request_without_a_token_is_turned_away(emulator: CloudTasksEmulator, serve: Serve) -> None:
    world = send_one(emulator, serve, fails=0)
    client = emulator.client()
    client.create_task(
        parent=NAME, task={"http_request": {"url": emulator.dispatches[0].url}, "retry_config": {"max_attempts": 1}}
    )
    emulator.wait_idle()
    assert emulator.dispatches[-1].status == 401
    assert len(world.attempts) == 1

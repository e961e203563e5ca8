"""Google's own Pub/Sub emulator, started when first asked for, and a topic of it that pushes to a consumer over HTTP."""

from __future__ import annotations

import functools
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import flask
import pytest
from google.cloud import pubsub_v1
from werkzeug.serving import make_server

from peeklock import Queue, consumer, pubsub
from peeklock.message import Message
from peeklock.platforms.pubsub import sender as pubsub_send
from peeklock.stores.memory import MemoryStore
from tests.stores.servers_cloud import sdk_folders, start
from tests.support import environment

JARS = "platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar"
SECONDS = 30.0
"""How long a delivery is waited for; it takes milliseconds."""
QUEUE = Queue("orders", max_attempts=3, timeout=5, first_delay=0.01, max_delay=0.02)


@functools.cache
def emulator() -> str:
    """Return the address of the emulator that PUBSUB_EMULATOR_HOST names, or else of one started here."""
    named = os.environ.get("PUBSUB_EMULATOR_HOST")
    if named:
        return named
    jars = [jar for folder in sdk_folders() for jar in folder.glob(JARS)]
    if not jars or not shutil.which("java"):
        pytest.fail(
            "the Pub/Sub emulator is not installed: apt-get install google-cloud-cli-pubsub-emulator, or gcloud components"
            " install pubsub-emulator; and java 17; or set PUBSUB_EMULATOR_HOST=127.0.0.1:PORT"
        )
    return f"127.0.0.1:{start('pubsub', 'java', '-Xmx512m', '-jar', str(jars[0]), '--host=127.0.0.1', '--port=PORT')}"


class World:
    """A topic, a subscription that pushes its messages to a consumer, and a topic for what becomes of the dead ones."""

    def __init__(self, clients: Any, do: Callable[[Message], None], queue: Queue) -> None:
        self.topic, self.dead = (f"projects/peeklock/topics/{kind}-{uuid.uuid4().hex}" for kind in ("orders", "dead"))
        self.runs: list[Message] = []
        """Starts of the handler."""
        self.done: list[Message] = []
        """Those of them that ended well, in the order of their ends."""
        self.statuses: list[int] = []
        """Status of the answer to each push."""
        self._clients = clients
        self._answered = threading.Condition()
        self._entry = pubsub.bind(
            consumer(queue)(self._handler(do)),
            store=MemoryStore(),
            dead_letter=pubsub.from_url(f"pubsub://{self.dead}"),
            unauthenticated=True,  # the emulator signs no token
        )

    def _handler(self, do: Callable[[Message], None]) -> Callable[[bytes, Message], None]:
        def handle(body: bytes, message: Message) -> None:
            self.runs.append(message)
            do(message)
            self.done.append(message)

        return handle

    def answer(self) -> tuple[str, int]:
        """The function of a Flask request."""
        text, status = self._entry(flask.request)
        with self._answered:
            self.statuses.append(status)
            self._answered.notify_all()
        return text, status

    def wait(self, count: int) -> list[int]:
        """The statuses of so many pushes, once they were answered."""
        with self._answered:
            assert self._answered.wait_for(lambda: len(self.statuses) >= count, SECONDS), f"{self.statuses}"
            return list(self.statuses)

    def create(self, url: str, settings: Mapping[str, Any]) -> None:
        publisher, subscriber = self._clients
        for topic in (self.topic, self.dead):
            publisher.create_topic(name=topic)
        subscriber.create_subscription(name=self._subscription(self.dead), topic=self.dead)
        push = {"push_endpoint": url} | settings.get("push_config", {})
        subscription = {"name": self._subscription(self.topic), "topic": self.topic, "ack_deadline_seconds": 10}
        subscriber.create_subscription(request={**subscription, **settings, "push_config": push})

    def delete(self) -> None:
        """Nothing is pushed any more."""
        self._clients[1].delete_subscription(subscription=self._subscription(self.topic))

    def _subscription(self, topic: str) -> str:
        return topic.replace("/topics/", "/subscriptions/")

    def dead_letters(self) -> list[Any]:
        """Those that are there."""
        pulled = self._clients[1].pull(subscription=self._subscription(self.dead), max_messages=10, timeout=SECONDS)
        return [received_message.message for received_message in pulled.received_messages]


@contextmanager
def pushed(do: Callable[[Message], None], queue: Queue = QUEUE, **settings: Any) -> Iterator[World]:
    """A world with the emulator, where a handler does this with each message. `settings`: of the subscription."""
    pubsub_send.client.forget()
    with environment(PUBSUB_EMULATOR_HOST=emulator()), pubsub_v1.SubscriberClient() as subscriber:
        publisher = pubsub_v1.PublisherClient()
        world = World((publisher, subscriber), do, queue)
        app = flask.Flask("orders")
        app.add_url_rule("/", view_func=world.answer, methods=["POST"])
        with _served(app) as url:
            world.create(url, settings)
            yield world
            world.delete()
        publisher.transport.close()
    pubsub_send.client.forget()


@contextmanager
def _served(app: flask.Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

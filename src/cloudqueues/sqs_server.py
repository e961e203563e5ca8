"""SQS on this machine: moto's, one request at a time.

moto keeps its messages in lists that it changes without a lock: two requests at once undo each other, and a message is
lost. So requests wait for each other here, and a long poll waits outside.
"""

from __future__ import annotations

import io
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

from cloudqueues.errors import ConfigError, missing

REGION = "eu-west-1"

RECEIVE = "AmazonSQS.ReceiveMessage"

POLL_AGAIN = 0.1
"""Seconds after which a long poll looks again: locks end and delays pass without any request."""

Response = tuple[str, list[tuple[str, str]], bytes]


class SerializedApplication:
    """A WSGI application around moto's."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._one_at_a_time = threading.Condition()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        with self._one_at_a_time:
            if environ.get("HTTP_X_AMZ_TARGET") == RECEIVE:
                status, headers, answer = self._receive(environ, body)
            else:
                status, headers, answer = self._forward(environ, body)
                self._one_at_a_time.notify_all()
        start_response(status, headers)
        return [answer]

    def _receive(self, environ: Mapping[str, Any], body: bytes) -> Response:
        asked = json.loads(body)
        until = time.monotonic() + int(asked.get("WaitTimeSeconds", 0))
        at_once = json.dumps({**asked, "WaitTimeSeconds": 0}).encode()
        while True:
            _recount_locks()
            answer = self._forward(environ, at_once)
            left = until - time.monotonic()
            if left <= 0 or b'"Messages"' in answer[2]:
                return answer
            self._one_at_a_time.wait(min(left, POLL_AGAIN))

    def _forward(self, environ: Mapping[str, Any], body: bytes) -> Response:
        told: list[Any] = []
        given = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        parts = self._application(given, lambda status, headers, *_: told.extend((status, headers)))
        answer = b"".join(parts)
        return told[0], told[1], answer


def _recount_locks() -> None:
    """moto keeps a list of the messages under a lock, which hold back the rest of their groups, and it goes astray: where
    the locks of a group end together it skips the first and delivers a later one; and it forgets a message whose lock was
    ended by hand and then set anew. So the list is made from the locks themselves, before each receive."""
    from moto.sqs.models import sqs_backends

    for account in sqs_backends.values():
        for backend in account.values():
            for queue in backend.queues.values():
                held = [one for one in queue._messages if not one.visible and one.approximate_receive_count > 0]  # noqa: SLF001 - moto shows the visible ones only
                queue._pending_messages = _LockedMessages(held)  # noqa: SLF001 - a property otherwise


class _LockedMessages(set[Any]):
    """What was under a lock when a receive began. A lock that ends meanwhile holds back its group until the next receive:
    the messages that were passed over come before this one."""

    def remove(self, _: Any, /) -> None:
        """Called for a message that is visible after all; the next count leaves it out."""


class SqsServer:
    """From `start` to `stop`, or within a `with`, at a free port of loopback. What moto holds is this process's: another
    server in it has the same queues."""

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._host = host
        self._port = port
        self._server: Any = None
        self._thread: threading.Thread | None = None
        self._client: Any = None

    def start(self) -> Self:
        """Start to serve. Raises ConfigError where moto is not installed, OSError where the port is taken."""
        try:
            from moto.moto_server.werkzeug_app import (
                DomainDispatcherApplication,
                MotoRequestHandler,
                create_backend_app,
            )
            from werkzeug.serving import make_server
        except ImportError as exc:
            raise missing(exc) from exc
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request otherwise
        application = SerializedApplication(DomainDispatcherApplication(create_backend_app))
        options: dict[str, Any] = {"threaded": True, "request_handler": MotoRequestHandler}
        with socket.create_server(
            (self._host, self._port), backlog=128
        ) as bound:  # werkzeug exits where a port is taken
            self._server = make_server(self._host, self._port, application, fd=bound.fileno(), **options)
        self._thread = threading.Thread(target=self._server.serve_forever, name="cloudqueues-sqs", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Also a second time."""
        thread, self._thread = self._thread, None
        if thread is not None:
            client, self._client = self._client, None
            if client is not None:
                client.close()
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def endpoint_url(self) -> str:
        if self._thread is None:
            raise ConfigError("the SQS server is not running: start() it, or use it in a with")
        return f"http://{self._host}:{self._server.port}"

    @property
    def client(self) -> Any:
        """A boto3 client of it."""
        if self._client is None:
            from cloudqueues.sqs_lambda.queue import client

            self._client = client(self.endpoint_url, REGION)
        return self._client

    def queue(self, name: str, **attributes: str | int) -> str:
        """Make a queue with its attributes, such as `VisibilityTimeout=2`, or give them to one that is there, and return
        its URL. A name that ends in `.fifo` makes a FIFO queue."""
        kind = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        url = str(self.client.create_queue(QueueName=name, Attributes=kind)["QueueUrl"])
        if attributes:
            given = {key: str(value) for key, value in attributes.items()}
            self.client.set_queue_attributes(QueueUrl=url, Attributes=given)
        return url

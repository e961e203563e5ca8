"""SQS on this machine: moto's, one request at a time.

moto changes its lists of messages without a lock, so that two requests at once undo each other and a message is lost.
Requests therefore wait for each other, except while a long poll waits for a message.
"""

from __future__ import annotations

import io
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

from cloudqueues.errors import ConfigError, missing
from cloudqueues.quotas.aws import LEAST_MESSAGE_BYTES, MESSAGE_BYTES
from cloudqueues.sqs_attributes import check_change, check_creation, check_keywords
from cloudqueues.sqs_checks import (
    Refused,
    Request,
    check_batch_size,
    check_message,
    check_queue_type,
    check_receive,
    check_size,
    size_of,
)
from cloudqueues.sqs_move_tasks import MoveTasks

REGION = "eu-west-1"

PREFIX = "AmazonSQS."
"""Beginning of the header that names the action, in the JSON protocol of SQS: the SDKs use no other since 2023."""

POLL_AGAIN = 0.1
"""Seconds between two receives of a long poll: locks end and delays pass without a request."""

Response = tuple[str, list[tuple[str, str]], bytes]
Action = Callable[[Mapping[str, Any], dict[str, Any]], Response]

logger = logging.getLogger("cloudqueues.sqs")


class SerializedApplication:
    """WSGI application that hands requests to moto's one at a time, and answers those that moto gets wrong itself."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._condition = threading.Condition()
        self._move_tasks = MoveTasks()
        self._actions: dict[str, Action] = {
            "CreateQueue": self._checked(check_creation),
            "SetQueueAttributes": self._checked(check_change),
            "SendMessage": self._send,
            "SendMessageBatch": self._send_batch,
            "ReceiveMessage": self._receive,
            "StartMessageMoveTask": lambda _, request: _json(self._move_tasks.start_task(request)),
            "ListMessageMoveTasks": lambda _, request: _json(self._move_tasks.list_tasks(request)),
            "CancelMessageMoveTask": lambda _, request: _json(self._move_tasks.cancel_task(request)),
        }

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        action = self._actions.get(target.removeprefix(PREFIX)) if target.startswith(PREFIX) else None
        with self._condition:
            try:
                response = action(environ, json.loads(body)) if action else self._forward(environ, body)
            except Refused as refused:
                response = _error(refused)
            except Exception as exc:  # noqa: BLE001 (moto's own, at whatever it does not expect)
                response = _failure(f"{target or environ.get('PATH_INFO')}: {type(exc).__name__}: {exc}")
            self._condition.notify_all()
        start_response(*response[:2])
        return [response[2]]

    def _checked(self, check: Callable[[Request], None]) -> Action:
        def forward(environ: Mapping[str, Any], request: dict[str, Any]) -> Response:
            check(request)
            return self._forward_json(environ, request)

        return forward

    def _send(self, environ: Mapping[str, Any], request: dict[str, Any]) -> Response:
        check_message(request)
        check_queue_type(request, str(request.get("QueueUrl")))
        self._check_sizes(environ, request, [request])
        return self._forward_json(environ, request)

    def _send_batch(self, environ: Mapping[str, Any], request: dict[str, Any]) -> Response:
        """Send the entries that can be sent, and list the others as failed."""
        check_batch_size(request["Entries"])
        self._check_sizes(environ, request, request["Entries"])
        accepted: list[dict[str, Any]] = []
        failed: list[dict[str, Any]] = []
        for entry in request["Entries"]:
            try:
                check_message(entry)
                check_queue_type(entry, str(request.get("QueueUrl")))
                accepted.append(entry)
            except Refused as refused:
                failed.append({"Id": entry["Id"], "SenderFault": True, "Code": refused.code, "Message": refused.text})
        if not failed:
            return self._forward_json(environ, request)
        status, headers, body = self._forward_json(environ, {**request, "Entries": accepted}) if accepted else _json({})
        if not status.startswith("200"):
            return status, headers, body
        answer = json.loads(body)
        return _json({**answer, "Failed": [*answer.get("Failed", ()), *failed]})

    def _check_sizes(self, environ: Mapping[str, Any], request: Request, messages: Sequence[Request]) -> None:
        """Check messages against the limit of their queue, which is asked for only where it can matter. Raises Refused."""
        if max(map(size_of, messages), default=0) <= LEAST_MESSAGE_BYTES:
            return
        question = {"QueueUrl": request.get("QueueUrl"), "AttributeNames": ["MaximumMessageSize"]}
        changed = {**environ, "HTTP_X_AMZ_TARGET": f"{PREFIX}GetQueueAttributes"}
        answer = json.loads(self._forward_json(changed, question)[2])
        largest = int(answer.get("Attributes", {}).get("MaximumMessageSize", MESSAGE_BYTES))
        for message in messages:
            check_size(message, largest)

    def _receive(self, environ: Mapping[str, Any], request: dict[str, Any]) -> Response:
        check_receive(request)
        until = time.monotonic() + int(request.get("WaitTimeSeconds", 0))
        at_once = {**request, "WaitTimeSeconds": 0}
        while True:
            _recount_locks()
            self._move_tasks.note_sources()
            response = self._forward_json(environ, at_once)
            left = until - time.monotonic()
            if left <= 0 or b'"Messages"' in response[2]:
                return response
            self._condition.wait(min(left, POLL_AGAIN))

    def _forward_json(self, environ: Mapping[str, Any], request: Mapping[str, Any]) -> Response:
        return self._forward(environ, json.dumps(request).encode())

    def _forward(self, environ: Mapping[str, Any], body: bytes) -> Response:
        started: list[Any] = []
        changed = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        parts = self._application(changed, lambda status, headers, *_: started.extend((status, headers)))
        content = b"".join(parts)
        return started[0], started[1], content


def _json(value: Mapping[str, Any], status: str = "200 OK", **headers: str) -> Response:
    content = json.dumps(value).encode()
    fixed = [("Content-Type", "application/x-amz-json-1.0"), ("Content-Length", str(len(content)))]
    return status, [*fixed, *headers.items()], content


def _error(refused: Refused) -> Response:
    """Return an error in the form of SQS, with the code that the older query protocol had.
    https://smithy.io/2.0/aws/protocols/aws-query-protocol.html#aws-protocols-awsquerycompatible-trait"""
    kind = f"com.amazonaws.sqs#{refused.code.rpartition('.')[2]}"
    headers = {"x-amzn-query-error": f"{refused.code};Sender", "X-Amzn-Errortype": kind}
    return _json({"__type": kind, "message": refused.text}, "400 Bad Request", **headers)


def _failure(text: str) -> Response:
    """Return the answer to a request that moto cannot serve. A werkzeug server would answer with a page of HTML.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html"""
    logger.error("%s", text)
    kind = "com.amazonaws.sqs#InternalFailure"
    return _json({"__type": kind, "message": text}, "500 Internal Server Error", **{"X-Amzn-Errortype": kind})


def _recount_locks() -> None:
    """Rebuild moto's list of locked messages, which hold back the rest of their groups, before each receive.

    moto's own list goes wrong: where the locks of a group end together, moto skips the first message and delivers a later
    one, and it forgets a message whose lock was ended by hand and then set again.
    """
    from moto.sqs.models import sqs_backends

    for account in sqs_backends.values():
        for backend in account.values():
            for queue in backend.queues.values():
                messages = queue._messages  # noqa: SLF001 - moto shows the visible ones only
                locked = [
                    message for message in messages if not message.visible and message.approximate_receive_count > 0
                ]
                queue._pending_messages = _LockedMessages(locked)  # noqa: SLF001 - a property otherwise


class _LockedMessages(set[Any]):
    """Messages that were locked when a receive began.

    A lock that ends meanwhile holds back its group until the next receive, since the messages that were skipped come first.
    """

    def remove(self, _: Any, /) -> None:
        """Do nothing: moto calls this for a message whose lock has ended meanwhile, and the next receive leaves it out."""


def _text(value: str | int) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class SqsServer:
    """SQS server, from `start` to `stop` or within a `with`. A `port` of 0 takes a free one.

    moto keeps its queues in the process, so that two servers in one process have the same queues.
    """

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
        """Stop serving; do nothing when it is stopped already."""
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
        """Client of this server, boto3's."""
        if self._client is None:
            from cloudqueues.sqs_lambda.queue import client

            self._client = client(self.endpoint_url, REGION)
        return self._client

    def queue(self, name: str, **attributes: str | int) -> str:
        """Create a queue with attributes, such as `VisibilityTimeout=2`, or set them on an existing queue, and return its URL.

        A name that ends in `.fifo` creates a FIFO queue. Raises ConfigError for an attribute that SQS does not have.
        """
        check_keywords(attributes)
        kind = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        url = str(self.client.create_queue(QueueName=name, Attributes=kind)["QueueUrl"])
        if attributes:
            texts = {key: _text(value) for key, value in attributes.items()}
            self.client.set_queue_attributes(QueueUrl=url, Attributes=texts)
        return url

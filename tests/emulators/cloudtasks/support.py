"""Test kit of the Cloud Tasks emulator: a target that answers by a script, and helpers for requests."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from google.api_core.exceptions import GoogleAPICallError
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2

from cloudqueues.background import Background

HERE = "projects/p/locations/l"
over_grpc = pytest.mark.parametrize("client", ["grpc"], indirect=True)
"""Marks tests of values that JSON cannot express, or that Google's client refuses over REST."""
ACCOUNT = "invoker@p.iam.gserviceaccount.com"
NO_QUEUE = "Queue does not exist. If you just created the queue, wait at least a minute for the queue to initialize."
_NUMBERS = itertools.count()

CONFIGURED: dict[str, Any] = {
    "rate_limits": {"max_dispatches_per_second": 10, "max_concurrent_dispatches": 5},
    "retry_config": {
        "max_attempts": 5,
        "max_retry_duration": {"seconds": 60},
        "min_backoff": {"seconds": 1},
        "max_backoff": {"seconds": 10},
        "max_doublings": 3,
    },
}


def rate_of(queue: Any) -> tuple[float, int, int]:
    rate = queue.rate_limits
    return rate.max_dispatches_per_second, rate.max_burst_size, rate.max_concurrent_dispatches


def retry_of(queue: Any) -> tuple[int, float, float, float, int]:
    retry = queue.retry_config
    duration, least, most = (
        span.total_seconds() if span else 0.0
        for span in (retry.max_retry_duration, retry.min_backoff, retry.max_backoff)
    )
    return retry.max_attempts, duration, least, most, retry.max_doublings


DEFAULT_RATE = (500.0, 100, 1000)
DEFAULT_RETRY = (100, 0.0, 0.1, 3600.0, 16)
TARGET_ERROR = "Error in parsing HttpTarget. "
GONE = (
    "NOT_FOUND: The task no longer exists, though a task with this name existed recently."
    " The task either successfully completed or was deleted."
)
EXISTED = (
    "ALREADY_EXISTS: The task cannot be created because a task with this name existed too recently."
    " For more information about task de-duplication see"
    " https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues.tasks/create"
    "#body.request_body.FIELDS.task."
)
TOMORROW = int(time.time()) + 86400
LATER: dict[str, Any] = {"schedule_time": {"seconds": TOMORROW, "nanos": 123456000}}


@dataclass(frozen=True)
class Seen:
    """Request at the target."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def url(self) -> Any:
        return urlsplit(self.path)

    def tasks(self, name: str) -> str | None:
        """Return a header of Cloud Tasks, by the end of its name."""
        return self.headers.get(f"x-cloudtasks-{name}".lower())


HANG = -1
"""Step that never answers."""


class Target:
    """HTTP server. Each step of its script is a status, HANG, raw bytes, or a function from the request to one of these;
    the last step is repeated."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.script: list[Any] = [200]
        self.headers: dict[str, str] = {}
        self._arrived = threading.Condition()
        self._background = Background("target")
        self._server = self._background.run(self._serve())
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    async def _serve(self) -> asyncio.Server:
        return await asyncio.start_server(self._connection, "127.0.0.1", 0, limit=2**21, backlog=1024)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            step = self._step(await _read(reader))
            if step == HANG:
                await reader.read()
            elif isinstance(step, bytes):
                writer.write(step)
            else:
                extra = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
                writer.write(f"HTTP/1.1 {step} X\r\n{extra}Content-Length: 0\r\n\r\n".encode())
            await writer.drain()
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    def _step(self, request: Seen) -> Any:
        with self._arrived:
            step = self.script[min(len(self.seen), len(self.script) - 1)]
            self.seen.append(request)
            self._arrived.notify_all()
        return step(request) if callable(step) else step

    def wait(self, count: int, timeout: float = 10) -> list[Seen]:
        """Wait for so many requests, and return them."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.seen) >= count, timeout), f"{len(self.seen)} came"
            return list(self.seen)

    def close(self) -> None:
        async def close() -> None:
            self._server.close()

        self._background.run(close())
        self._background.close()


async def _read(reader: asyncio.StreamReader) -> Seen:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")[:-4].split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    method, path, _ = first.split(" ")
    return Seen(method, path, headers, body)


def refused(call: Callable[[], Any]) -> GoogleAPICallError:
    try:
        call()
    except GoogleAPICallError as exc:
        return exc
    raise AssertionError("it was not refused")


def refusal(call: Callable[[], Any]) -> str:
    """Return the code and text of a refusal. Over REST they are read from the response: the client's exceptions mix them."""
    exc = refused(call)
    if isinstance(exc.response, requests.Response):
        error = exc.response.json()["error"]
        return f"{error['status']}: {error['message']}"
    code = exc.grpc_status_code
    return f"{code.name if code else None}: {exc.message}"


def details(call: Callable[[], Any]) -> list[Any]:
    """Return the typed details of a refusal."""
    exc = refused(call)
    if not isinstance(exc.response, requests.Response):
        return list(exc.details)
    status = json_format.ParseDict({"details": exc.details}, status_pb2.Status())
    return [_unpacked(detail) for detail in status.details]


def _unpacked(detail: Any) -> Any:
    message = getattr(error_details_pb2, detail.TypeName().rpartition(".")[2])()
    assert detail.Unpack(message)
    return message


def fresh(word: str = "q") -> str:
    """Return a queue's name that no other test uses."""
    return f"{HERE}/queues/{word}-{next(_NUMBERS)}"


def queue_of(client: Any, **settings: Any) -> Any:
    """Create a queue."""
    return client.create_queue(parent=HERE, queue={"name": fresh(), **settings})


def task_of(client: Any, queue: Any, url: str = "https://example.com/work", **fields: Any) -> Any:
    """Create a task; `http` are fields of its request."""
    http = {"url": url, **fields.pop("http", {})}
    view = fields.pop("view", 0)
    request = {"parent": queue.name, "task": {"http_request": http, **fields}, "response_view": view}
    return client.create_task(request=request)


def attempt_of(client: Any, name: str) -> tuple[int, int, int, str]:
    """Return the counts of dispatches and responses, and the status of the last attempt."""
    task = client.get_task(name=name)
    status = task.last_attempt.response_status
    return task.dispatch_count, task.response_count, status.code, status.message

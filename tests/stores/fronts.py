"""Proxies between a client and its server with injected faults: one for HTTP, and one for Firestore's gRPC.

The client speaks to it as to the service itself. `Faults` are used up by the requests in their order; then all is well.
"""

from __future__ import annotations

import http.client
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Fault(StrEnum):
    """Fault of a request."""

    NONE = "none"
    BUSY = "busy"
    """Throttled, and not made."""
    BROKEN = "broken"
    """The service has an error of its own, and has not made it."""
    LOST = "lost"
    """Made, and its answer is lost."""
    STALLED = "stalled"
    """Never answered, and not made."""
    PART = "part"
    """The first write of the request is throttled, the others are made (Firestore only)."""


class Front:
    """The faults to come, and the requests so far."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.port = 0
        self.requests: list[str] = []
        self.faults: deque[Fault] = deque()
        self.always: Fault | None = None
        """Instead of the faults, until it is None again."""
        self.over = threading.Event()
        self._lock = threading.Lock()

    def next(self, request: str) -> Fault:
        with self._lock:
            self.requests.append(request)
            if self.always is not None:
                return self.always
            return self.faults.popleft() if self.faults else Fault.NONE


HTTP_ERRORS = {Fault.BUSY: (503, "ServerBusy"), Fault.BROKEN: (500, "InternalError")}
# https://learn.microsoft.com/rest/api/storageservices/table-service-error-codes


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    front: Front


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.front.next(self.command)
        if fault is Fault.STALLED:
            self.server.front.over.wait(60)
            self.close_connection = True
        elif fault in HTTP_ERRORS:
            self.fail(*HTTP_ERRORS[fault])
        else:
            self.forward(body, lost=fault is Fault.LOST)

    do_GET = do_PUT = do_POST = do_DELETE = serve  # noqa: N815 - the names that http.server looks for

    def fail(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("x-ms-error-code", code)
        self.send_header("Retry-After", "1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def forward(self, body: bytes, *, lost: bool) -> None:
        server = http.client.HTTPConnection("127.0.0.1", self.server.front.target, timeout=30)
        server.request(self.command, self.path, body, dict(self.headers.items()))
        answer = server.getresponse()
        content = answer.read()
        server.close()
        if lost:
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def http_front(port: int) -> Iterator[Front]:
    """Before an HTTP server of this machine."""
    server = _Server(("127.0.0.1", 0), _Handler)
    front = server.front = Front(port)
    front.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield front
    finally:
        front.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def grpc_front(port: int, listen: int = 0) -> Iterator[Front]:
    """Before the Firestore emulator; on a port that is free, unless one is named."""
    import grpc

    front = Front(port)
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    handler = grpc.method_handlers_generic_handler(
        "google.firestore.v1.Firestore",
        {
            "BatchWrite": grpc.unary_unary_rpc_method_handler(_batch_write(front, channel)),
            "BatchGetDocuments": grpc.unary_stream_rpc_method_handler(_batch_get(front, channel)),
        },
    )
    server = grpc.server(ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((handler,))
    front.port = server.add_insecure_port(f"127.0.0.1:{listen}")
    server.start()
    try:
        yield front
    finally:
        front.over.set()
        server.stop(None).wait(10)
        channel.close()


def _batch_write(front: Front, channel: Any) -> Any:
    from google.cloud.firestore_v1.types import BatchWriteRequest, BatchWriteResponse

    call = channel.unary_unary("/google.firestore.v1.Firestore/BatchWrite")

    def handle(request: bytes, context: Any) -> bytes:
        fault = _meet(front, "write", context)
        if fault is Fault.PART:
            return _without_first(request, lambda rest: call(rest, timeout=30, metadata=_metadata(context)))
        answer: bytes = call(request, timeout=30, metadata=_metadata(context))
        if fault is Fault.LOST:
            context.abort(_codes().UNAVAILABLE, "Socket closed")
        return answer

    def _without_first(request: bytes, send: Any) -> bytes:
        asked = BatchWriteRequest.pb().FromString(request)
        del asked.writes[0]
        response = BatchWriteResponse.pb().FromString(send(asked.SerializeToString()))
        whole = BatchWriteResponse.pb()()
        whole.status.add(code=8, message="Too many writes")
        whole.write_results.add()
        whole.MergeFrom(response)
        data: bytes = whole.SerializeToString()
        return data

    return handle


def _batch_get(front: Front, channel: Any) -> Any:
    call = channel.unary_stream("/google.firestore.v1.Firestore/BatchGetDocuments")

    def handle(request: bytes, context: Any) -> Iterator[bytes]:
        fault = _meet(front, "read", context)
        yield from call(request, timeout=30, metadata=_metadata(context))
        if fault is Fault.LOST:
            context.abort(_codes().UNAVAILABLE, "Socket closed")

    return handle


def _meet(front: Front, request: str, context: Any) -> Fault:
    fault = front.next(request)
    if fault is Fault.STALLED:
        front.over.wait(60)
    if fault in (Fault.STALLED, Fault.BROKEN):
        context.abort(_codes().INTERNAL, "An internal error occurred")
    if fault is Fault.BUSY:
        context.abort(_codes().RESOURCE_EXHAUSTED, "Quota exceeded")
    return fault


def _metadata(context: Any) -> list[tuple[str, str]]:
    return [(name, value) for name, value in context.invocation_metadata() if name == "authorization"]


def _codes() -> Any:
    import grpc

    return grpc.StatusCode

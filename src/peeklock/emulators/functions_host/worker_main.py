"""The worker's process: the real worker library of Azure Functions, and the messages of its host.

It is run as a file and imports nothing of peeklock, so that an app finds in it what it finds at Azure. What comes and
goes has the names and the form (proto3's JSON mapping) of `StreamingMessage`, each as four bytes of length and JSON:
https://github.com/Azure/azure-functions-language-worker-protobuf
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import ctypes
import importlib
import json
import logging
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

HEADER = struct.Struct("!I")
PR_SET_PDEATHSIG = 1
OWN_LOGGERS = ("azure.functions", "azure_functions_runtime", "asyncio")
"""Whose records below a warning are the system's own, which a host does not show."""

invocation: ContextVar[str] = ContextVar("invocation", default="")


class Channel:
    """The way to the host and back. The host's end is the end of this process, whatever runs in it."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.set_inheritable(False)  # else a handler's own subprocess would hold it open
        self._sending = threading.Lock()

    def send(self, kind: str, content: dict[str, Any]) -> None:
        data = json.dumps({kind: content}).encode()
        with self._sending, contextlib.suppress(OSError):  # the host is gone: so are we, soon
            self._socket.sendall(HEADER.pack(len(data)) + data)

    def listen(self, heard: Callable[[dict[str, Any]], object]) -> None:
        """In a thread, so that an end is seen even while the loop is blocked."""
        while (header := self._exactly(HEADER.size)) and (data := self._exactly(*HEADER.unpack(header))):
            heard(json.loads(data))
        os.killpg(0, signal.SIGKILL)  # with all that handlers have started

    def _exactly(self, size: int) -> bytes:
        """Nothing once the host has closed it."""
        data = bytearray()
        while len(data) < size:
            with contextlib.suppress(ConnectionError):
                more = self._socket.recv(size - len(data))
                if more:
                    data += more
                    continue
            return b""
        return bytes(data)


class Typed:
    """A `TypedData`: its one value under the name of its kind, as the worker library looks at it."""

    def __init__(self, content: dict[str, Any]) -> None:
        self._kind: str | None = None
        for kind, value in content.items():
            self._kind = KINDS.get(kind, kind)
            setattr(self, self._kind, _value(kind, value))

    def WhichOneof(self, _: str) -> str | None:  # noqa: N802 - protobuf's name
        return self._kind


KINDS = {
    "collectionBytes": "collection_bytes",
    "collectionSint64": "collection_sint64",
    "collectionString": "collection_string",
}
"""Names in JSON that are others in the message."""


def _value(kind: str, value: Any) -> Any:
    match kind:
        case "bytes":
            return base64.b64decode(value)
        case "collectionBytes":
            return SimpleNamespace(bytes=[base64.b64decode(one) for one in value["bytes"]])
        case "collectionSint64":
            return SimpleNamespace(sint64=[int(one) for one in value["sint64"]])
        case "collectionString":
            return SimpleNamespace(string=value["string"])
        case _:
            return value


class Bound:
    """A `ParameterBinding`."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.name: str = content["name"]
        self.data = Typed(content["data"])

    def WhichOneof(self, _: str) -> str:  # noqa: N802 - protobuf's name
        return "data"


class _Status(SimpleNamespace):
    Failure, Success = 0, 1


class _BindingInfo(SimpleNamespace):
    undefined, out, inout = 0, 1, 2


PROTOS = SimpleNamespace(
    BindingInfo=_BindingInfo,
    FunctionLoadResponse=SimpleNamespace,
    FunctionMetadataResponse=SimpleNamespace,
    InvocationResponse=SimpleNamespace,
    RpcException=SimpleNamespace,
    RpcFunctionMetadata=SimpleNamespace,
    RpcRetryOptions=SimpleNamespace,
    StatusResult=_Status,
    WorkerInitResponse=SimpleNamespace,
    WorkerMetadata=SimpleNamespace,
)


class Records(logging.Handler):
    """Log records go to the host, as those of the real worker do."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(logging.INFO)
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.WARNING and record.name.startswith(OWN_LOGGERS):
            return
        told = {"category": record.name, "level": record.levelname, "message": self.format(record)}
        self._channel.send("rpcLog", {"invocationId": _invocation(), **told})


def _invocation() -> str:
    """The one that this code runs in: a thread knows it by the library, a coroutine by its context."""
    return _library().invocation_id_cv.get() or invocation.get()


def _library() -> Any:
    """Microsoft's worker, once it is asked for: what it imports takes most of the start."""
    return importlib.import_module("azure_functions_runtime")


class Dispatcher:
    """Answers the host's messages by the library's own entries."""

    def __init__(self, channel: Channel, host: str) -> None:
        self._channel = channel
        self._host = host
        self._running: set[asyncio.Task[None]] = set()
        self._answers: dict[str, Callable[[dict[str, Any]], Awaitable[None]]] = {
            "workerInitRequest": self._init,
            "functionsMetadataRequest": self._metadata,
            "functionLoadRequest": self._load,
            "invocationRequest": self._invoke,
        }

    async def serve(self, inbox: asyncio.Queue[dict[str, Any]]) -> None:
        """Until the host says that it is over."""
        while "workerTerminate" not in (message := await inbox.get()):
            ((kind, content),) = message.items()
            task = asyncio.create_task(self._answer(kind, content))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _answer(self, kind: str, content: dict[str, Any]) -> None:
        await self._answers[kind](content)

    async def _init(self, content: dict[str, Any]) -> None:
        library = _library()
        asked = SimpleNamespace(capabilities={}, function_app_directory=content["functionAppDirectory"])
        library.start_threadpool_executor()
        answer = await library.worker_init_request(
            SimpleNamespace(
                request=SimpleNamespace(worker_init_request=asked), properties={"host": self._host, "protos": PROTOS}
            )
        )
        self._channel.send("workerInitResponse", {"result": _result(answer), "capabilities": answer.capabilities})

    async def _metadata(self, _: dict[str, Any]) -> None:
        library = _library()
        answer = await library.functions_metadata_request(SimpleNamespace())
        registry = library.handle_event._functions  # noqa: SLF001 - nothing public says who takes message actions
        found: list[Any] = answer.function_metadata_results or []
        results: list[dict[str, Any]] = [
            {
                "name": one.name,
                "functionId": one.function_id,
                "rawBindings": one.raw_bindings,
                "settles": registry.get_function(one.function_id).settlement_client_arg is not None,
            }
            for one in found
        ]
        self._channel.send("functionMetadataResponse", {"functionMetadataResults": results})

    async def _load(self, content: dict[str, Any]) -> None:
        library = _library()
        asked = SimpleNamespace(function_id=content["functionId"])
        answer = await library.function_load_request(
            SimpleNamespace(request=SimpleNamespace(function_load_request=asked))
        )
        self._channel.send("functionLoadResponse", {"functionId": answer.function_id, "result": _result(answer)})

    async def _invoke(self, content: dict[str, Any]) -> None:
        library = _library()
        invocation.set(content["invocationId"])
        asked = SimpleNamespace(
            invocation_id=content["invocationId"],
            function_id=content["functionId"],
            input_data=[Bound(one) for one in content["inputData"]],
            trigger_metadata={name: Typed(value) for name, value in content["triggerMetadata"].items()},
            trace_context=SimpleNamespace(
                trace_parent=content["traceContext"]["traceParent"], trace_state="", attributes={}
            ),
            retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
        )
        answer = await library.invocation_request(SimpleNamespace(request=SimpleNamespace(invocation_request=asked)))
        self._channel.send("invocationResponse", {"invocationId": answer.invocation_id, "result": _result(answer)})


def _result(answer: Any) -> dict[str, Any]:
    result = answer.result
    if result.status == _Status.Success:
        return {"status": "Success"}
    return {
        "status": "Failure",
        "exception": {"message": result.exception.message, "stackTrace": result.exception.stack_trace},
    }


def _die_with(parent: int) -> None:
    """Where the system can end a process with its parent, it does so at once; else the channel's end does it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.killpg(0, signal.SIGKILL)


async def _main(options: argparse.Namespace) -> None:
    channel = Channel(options.channel)
    inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def heard(message: dict[str, Any]) -> None:
        loop.call_soon_threadsafe(inbox.put_nowait, message)

    logging.getLogger().addHandler(Records(channel))
    logging.getLogger().setLevel(logging.INFO)
    threading.Thread(target=channel.listen, args=(heard,), name="host", daemon=True).start()
    await Dispatcher(channel, options.host).serve(inbox)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--app", required=True)
    parser.add_argument("--channel", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    known, _ = parser.parse_known_args()  # the others are the real worker's, which libraries in it read
    _die_with(known.parent)
    os.chdir(known.app)
    sys.path.insert(0, known.app)
    asyncio.run(_main(known))

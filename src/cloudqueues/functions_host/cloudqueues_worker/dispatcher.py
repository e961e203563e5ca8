"""Dispatcher of the host's messages to the worker library's entry points."""

from __future__ import annotations

import asyncio
import importlib
import logging
import traceback
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

from .channel import Channel
from .typed_data import PROTOS, ParameterBinding, Status, TypedData

OWN_LOGGERS = ("azure.functions", "azure_functions_runtime", "asyncio")
"""Loggers whose records below a warning are the system's own, which a host does not show."""

invocation: ContextVar[str] = ContextVar("invocation", default="")


class Records(logging.Handler):
    """Handler that sends log records to the host, as the real worker does."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(logging.INFO)
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.WARNING and record.name.startswith(OWN_LOGGERS):
            return
        fields = {"category": record.name, "level": record.levelname, "message": self.format(record)}
        self._channel.send("rpcLog", {"invocationId": _invocation(), **fields})


def _invocation() -> str:
    """Return the id of the running invocation: of a thread from the library, of a coroutine from its context."""
    return _library().invocation_id_cv.get() or invocation.get()


def _library() -> Any:
    """Import Microsoft's worker at its first use: its imports take most of the start."""
    return importlib.import_module("azure_functions_runtime")


class Dispatcher:
    """Answers each message in a task of its own."""

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
        """Answer messages until the host sends workerTerminate."""
        while "workerTerminate" not in (message := await inbox.get()):
            ((kind, content),) = message.items()
            task = asyncio.create_task(self._answer(kind, content))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _answer(self, kind: str, content: dict[str, Any]) -> None:
        """Answer a message. An error outside a function ends the process: the host would wait for its answer without end."""
        try:
            await self._answers[kind](content)
        except Exception:  # noqa: BLE001 - every error is printed
            traceback.print_exc()
            raise SystemExit(1) from None

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
        registry = library.handle_event._functions  # noqa: SLF001 - nothing public tells which functions take message actions
        functions: list[Any] = answer.function_metadata_results or []
        results: list[dict[str, Any]] = [
            {
                "name": function.name,
                "functionId": function.function_id,
                "rawBindings": function.raw_bindings,
                "settles": registry.get_function(function.function_id).settlement_client_arg is not None,
            }
            for function in functions
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
            input_data=[ParameterBinding(binding) for binding in content["inputData"]],
            trigger_metadata={name: TypedData(value) for name, value in content["triggerMetadata"].items()},
            trace_context=SimpleNamespace(
                trace_parent=content["traceContext"]["traceParent"], trace_state="", attributes={}
            ),
            retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
        )
        answer = await library.invocation_request(SimpleNamespace(request=SimpleNamespace(invocation_request=asked)))
        self._channel.send("invocationResponse", {"invocationId": answer.invocation_id, "result": _result(answer)})


def _result(answer: Any) -> dict[str, Any]:
    result = answer.result
    if result.status == Status.Success:
        return {"status": "Success"}
    return {
        "status": "Failure",
        "exception": {"message": result.exception.message, "stackTrace": result.exception.stack_trace},
    }

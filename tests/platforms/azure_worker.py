"""The real Python worker of Azure Functions, driven as its host would: index an app, then invoke its functions."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from azure_functions_runtime import handle_event, loader, native_invocation
from azure_functions_runtime.bindings.datumdef import Datum
from azure_functions_runtime.bindings.meta import load_binding_registry
from azure_functions_runtime.utils.threadpool import start_threadpool_executor

PROTOS = SimpleNamespace(BindingInfo=SimpleNamespace(inout=2, out=1, undefined=0))


def _index(path: Path) -> list[Any]:
    """Index the app in its folder, as the host starts the worker, as if it were the process's first app."""
    sys.modules.pop(path.stem, None)
    sys.path.insert(0, str(path.parent))
    try:
        functions: list[Any] = loader.index_function_app(str(path))
    finally:
        sys.path.remove(str(path.parent))
    return functions


class Worker:
    """One function app in the worker. What the worker would refuse at start-up is raised here."""

    def __init__(self, app: Any = None, path: Path | None = None) -> None:
        load_binding_registry()
        start_threadpool_executor()
        functions = _index(path) if path else app.get_functions()
        self.functions: dict[str, Any] = {}
        self.bindings: dict[str, list[str]] = {}
        for function in functions:
            info = handle_event._functions.add_indexed_function(function=function, protos=PROTOS)
            self.functions[info.name] = info
            self.bindings[info.name] = function.get_raw_bindings()

    def invoke(self, name: str, data: tuple[Any, str], metadata: dict[str, tuple[Any, str]]) -> tuple[bool, str]:
        """Return whether the host would complete, and the error for which it would abandon."""
        typed = {key: Datum(*value) for key, value in metadata.items()}
        inputs = [("messages", Datum(*data))]
        function_id = self.functions[name].function_id
        answer = asyncio.run(native_invocation.invocation_request_native("i-1", function_id, inputs, typed))
        return bool(answer[0]), str(answer[3] or "")

"""Short pauses of the Azure SDK, so that tests do not wait for them.

The SDK sleeps 50 ms between two frames while it opens a link, and closing a client waits for its keep-alive thread, which
sleeps a second at a time. Neither depends on the server. `make sdk-tests` and the end-to-end tests leave the SDK as it is.
"""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest

SHARE, LONGEST = 0.05, 0.02
"""Share of a pause that is left, and its longest time in seconds."""
SYNC = ("_servicebus_sender", "_servicebus_receiver", "_session_browser", "_pyamqp.client")
ASYNC = (
    "aio._servicebus_sender_async",
    "aio._servicebus_receiver_async",
    "aio._session_browser_async",
    "_pyamqp.aio._client_async",
)


class _Module:
    """A module whose `sleep` is short; the rest is the module's own."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def sleep(self, seconds: float) -> Any:
        return self._module.sleep(min(SHARE * seconds, LONGEST))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


@contextmanager
def short_pauses() -> Iterator[None]:
    """Cut the SDK's pauses within."""
    with pytest.MonkeyPatch.context() as patch:
        for names, attribute, module in ((SYNC, "time", time), (ASYNC, "asyncio", asyncio)):
            for name in names:
                patch.setattr(importlib.import_module(f"azure.servicebus.{name}"), attribute, _Module(module))
        yield

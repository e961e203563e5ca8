"""Execution environment of a function: a process with its runtime API, reused until it ends."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from cloudqueues.sqs_lambda.process import FunctionProcess, environment, launch
from cloudqueues.sqs_lambda.runtime_api import InvocationResult, RuntimeApi, RuntimeEvent
from cloudqueues.sqs_lambda.settings import Settings

INIT_SECONDS = 10.0
"""Time limit for a function's imports, in seconds. https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html"""

Ending = Literal["answered", "error", "timeout", "exit", "killed", "init"]


class InitError(Exception):
    """Raised when a function cannot be loaded; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxRun:
    """End of an invocation."""

    ending: Ending
    answer: bytes = b""
    """Response of the function, if there is one."""
    error: str | None = None
    duration: float = 0.0
    """Duration in seconds, without the start of the environment."""


class Sandbox:
    """Execution environment of the function with this ARN."""

    def __init__(self, settings: Settings, arn: str, on_line: Callable[[str], None]) -> None:
        self.init_seconds = 0.0
        """Duration of the start in seconds, until the function was loaded and asked for an event."""
        self._settings = settings
        self._arn = arn
        self._on_line = on_line
        self._api = RuntimeApi()
        self._process: FunctionProcess | None = None

    async def start(self) -> None:
        """Start the process, and wait until the function is loaded. Raises InitError."""
        began = time.monotonic()
        try:
            process = await self._launch()
        except (OSError, ValueError) as exc:
            raise InitError(f"the function was not started: {exc}") from exc
        if not await self._ready(process, INIT_SECONDS):
            status = f"exit status {process.exited.result()}" if process.exited.done() else f"over {INIT_SECONDS:g} s"
            raise InitError(self._api.init_error or f"the function was not initialised: {status}")
        self.init_seconds = time.monotonic() - began

    async def usable(self) -> bool:
        """Return True if the environment can take an event. Its process may have ended since the last event."""
        assert self._process is not None
        return await self._ready(self._process, INIT_SECONDS)

    async def invoke(self, request_id: str, event: bytes, kill_after: float | None = None) -> SandboxRun:
        """Run the function. The environment can be reused only if the function answered.

        `kill_after`: seconds after which the process is killed at the latest; the answer is lost then.
        """
        assert self._process is not None
        began = time.monotonic()
        limit = self._settings.timeout.total_seconds()
        posted = self._api.dispatch(self._runtime_event(request_id, event, limit))
        either: set[asyncio.Future[Any]] = {posted, self._process.exited}
        await asyncio.wait(
            either,
            timeout=limit if kill_after is None else min(limit, kill_after),
            return_when=asyncio.FIRST_COMPLETED,
        )
        duration = time.monotonic() - began
        if kill_after is not None:
            await self.close()
            return SandboxRun(ending="killed", error="killed by a fault", duration=duration)
        if posted.done():
            return _run(posted.result(), duration)
        return await self._lost(duration)

    async def close(self) -> None:
        """Kill the process; do nothing when it is dead."""
        if self._process is not None:
            await self._process.kill()
        await self._api.close()

    async def _launch(self) -> FunctionProcess:
        settings = self._settings
        environ = environment(
            await self._api.start(),
            name=settings.function_name,
            handler=settings.handler,
            memory=settings.memory,
            region=settings.region,
            cwd=settings.cwd,
            endpoint=settings.endpoint_url,
        )
        self._process = await launch(settings.handler, {**environ, **settings.environ}, settings.cwd, self._on_line)
        return self._process

    async def _ready(self, process: FunctionProcess, seconds: float) -> bool:
        asked = asyncio.create_task(self._api.asked.wait())
        try:
            await asyncio.wait({asked, process.exited}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
        return self._api.asked.is_set() and process.alive

    async def _lost(self, duration: float) -> SandboxRun:
        assert self._process is not None
        exited = not self._process.alive
        await self.close()
        if exited:
            status = self._process.exited.result()
            return SandboxRun(ending="exit", error=f"Runtime.ExitError: exit status {status}", duration=duration)
        limit = self._settings.timeout.total_seconds()
        return SandboxRun(ending="timeout", error=f"Task timed out after {limit:.2f} seconds", duration=duration)

    def _runtime_event(self, request_id: str, event: bytes, limit: float) -> RuntimeEvent:
        now = time.time()
        root = uuid.uuid4().hex
        headers = {
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Deadline-Ms": str(int((now + limit) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": self._arn,
            "Lambda-Runtime-Trace-Id": f"Root=1-{int(now):08x}-{root[:24]};Parent={root[16:]};Sampled=0",
        }
        return RuntimeEvent(request_id=request_id, event=event, headers=headers)


def _run(posted: InvocationResult, duration: float) -> SandboxRun:
    if posted.kind == "error":
        return SandboxRun(ending="error", error=posted.error, duration=duration)
    return SandboxRun(ending="answered", answer=posted.body, duration=duration)

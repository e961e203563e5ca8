"""Execution environments of a function: a warm one where one is idle, else a new one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from cloudqueues.sqs_lambda.sandbox import InitError, Sandbox, SandboxRun


class SandboxPool:
    """Pool of as many environments as there are concurrent invocations."""

    def __init__(self, make: Callable[[], Sandbox]) -> None:
        self._make = make
        self._all: set[Sandbox] = set()
        self._idle: list[Sandbox] = []
        self._starting: list[asyncio.Task[Sandbox]] = []

    def provision(self, count: int) -> None:
        """Start environments beforehand. One that fails is started again with an event, which then reports its error."""
        self._starting += [asyncio.create_task(self._start()) for _ in range(count)]

    async def invoke(self, request_id: str, event: bytes, kill_after: float | None) -> tuple[SandboxRun, float | None]:
        """Return the run, and the seconds that the start of its environment took, or None for a warm one."""
        sandbox = await self._warm()
        if sandbox is not None:
            return await self._run(sandbox, request_id, event, kill_after), None
        try:
            sandbox = await self._start()
        except InitError as exc:
            return SandboxRun(ending="init", error=str(exc)), None
        return await self._run(sandbox, request_id, event, kill_after), sandbox.init_seconds

    async def close(self) -> None:
        for starting in self._starting:
            starting.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        await asyncio.gather(*(self._discard(sandbox) for sandbox in list(self._all)))

    async def _start(self) -> Sandbox:
        """Start a new environment. Raises InitError."""
        sandbox = self._make()
        self._all.add(sandbox)
        try:
            await sandbox.start()
        except InitError:
            await self._discard(sandbox)
            raise
        return sandbox

    async def _warm(self) -> Sandbox | None:
        """Return the environment that was used last, so that the others stay idle; else one that was provisioned."""
        while not self._idle and self._starting:
            with suppress(InitError):
                self._idle.append(await self._starting.pop())
        while self._idle:
            sandbox = self._idle.pop()
            if await sandbox.usable():
                return sandbox
            await self._discard(sandbox)
        return None

    async def _run(self, sandbox: Sandbox, request_id: str, event: bytes, kill_after: float | None) -> SandboxRun:
        run = await sandbox.invoke(request_id, event, kill_after)
        if run.ending in {"answered", "error"}:
            self._idle.append(sandbox)
        else:
            await self._discard(sandbox)
        return run

    async def _discard(self, sandbox: Sandbox) -> None:
        await sandbox.close()
        self._all.discard(sandbox)

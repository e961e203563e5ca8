"""Supervisor of the worker process: starts another when one has ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from cloudqueues.errors import ConfigError
from cloudqueues.functions_host.worker import Command, EmitLine, Worker

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
"""Seconds between attempts to start a worker whose app has become broken."""


class WorkerSupervisor:
    """Keeps one worker running for as long as the host runs."""

    def __init__(self, command: Command, emit_line: EmitLine) -> None:
        self.starts = 0
        self._command = command
        self._emit_line = emit_line
        self._worker: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> Sequence[Mapping[str, Any]]:
        """Start the first worker and return the app's functions. Raises ConfigError for an app that the worker refuses."""
        worker = await self._start()
        self._watch = asyncio.create_task(self._restart_when_ended(worker))
        return worker.functions

    async def _start(self) -> Worker:
        worker = await Worker.start(self._command, self._emit_line)
        self.starts += 1
        self._worker.set_result(worker)
        return worker

    async def worker(self) -> Worker:
        """Return the running worker, or wait for the next one."""
        return await asyncio.shield(self._worker)

    def send_kill(self, worker: Worker) -> None:
        """Kill a worker. `worker()` returns its successor from now on."""
        self._retire(worker)
        worker.send_kill()

    def _retire(self, worker: Worker) -> None:
        if self._worker.done() and self._worker.result() is worker:
            self._worker = asyncio.get_running_loop().create_future()

    async def _restart_when_ended(self, worker: Worker) -> None:
        while True:
            await worker.ended.wait()
            self._retire(worker)
            await worker.kill()
            worker = await self._restart()

    async def _restart(self) -> Worker:
        pause = FIRST_PAUSE
        while True:
            try:
                return await self._start()
            except (ConfigError, OSError) as exc:
                self._emit_line("log", f"ERROR the worker could not be started again: {exc}")
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    async def stop(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        if self._worker.done():
            await self._worker.result().stop()

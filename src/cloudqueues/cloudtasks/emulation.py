"""Running emulator: its parts, in the event loop that they belong to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Self

from cloudqueues.cloudtasks import grpc_server, oidc
from cloudqueues.cloudtasks.calls import Caller
from cloudqueues.cloudtasks.dispatch import Dispatcher
from cloudqueues.cloudtasks.errors import invalid
from cloudqueues.cloudtasks.methods import methods_of
from cloudqueues.cloudtasks.operations import Batches
from cloudqueues.cloudtasks.rest import Rest, refusal
from cloudqueues.cloudtasks.service import Service
from cloudqueues.cloudtasks.state import State
from cloudqueues.faults import Faults
from cloudqueues.http1.server import HttpServer, Limits
from cloudqueues.timeline import Timeline

MAX_BODY = grpc_server.MAX_MESSAGE * 3 // 2
"""Bytes of an HTTP request's body: as much as gRPC takes, with the tasks' bodies in base64."""


class Emulation:
    """Parts of the emulator. All methods but the constructor run in the loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, faults: Faults) -> None:
        self._loop = loop
        self._waiters: set[asyncio.Future[None]] = set()
        self.timeline = Timeline(loop)
        self.state = State(self.timeline.now)
        self.dispatcher = Dispatcher(self.timeline, oidc.sign, self._changed)
        self.dispatcher.faults = faults
        service = Service(self.state, self.dispatcher, self.timeline.now)
        batches = Batches(self.state, self.timeline.now, service.create_task, service.remove_task)
        caller = Caller(self.timeline, self.dispatcher, self._changed)
        methods = methods_of(service, batches)
        rest = Rest(self.state, service.create_task, methods, caller)
        self._http = HttpServer(rest.answer, lambda malformed: refusal(invalid(str(malformed))), Limits(body=MAX_BODY))
        self._handlers = grpc_server.handlers(methods, caller)
        self._grpc: Any = None
        self.port = self.http_port = 0

    @classmethod
    async def open(cls, host: str, port: int, http_port: int, faults: Faults) -> Self:
        """Start the servers on both ports. Raises OSError for a port that is taken."""
        self = cls(asyncio.get_running_loop(), faults)
        self.http_port = await self._http.listen(host, http_port)
        try:
            self._grpc, self.port = await grpc_server.serve(host, port, self._handlers)
        except BaseException:
            await self._http.close()
            raise
        return self

    async def close(self) -> None:
        await self._http.close()
        await self._grpc.stop(None)
        self._grpc = None  # gRPC's own thread ends with the last server
        await self.dispatcher.stop()
        self.timeline.close()

    def _changed(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds, which is checked after each call and each attempt."""
        while not condition():
            waiter = self._loop.create_future()
            self._waiters.add(waiter)
            await waiter

    def left(self) -> list[str]:
        """Return the names of the tasks in queues that run."""
        return [name for queue in self.state.queues.values() if not queue.paused for name in queue.tasks]

    def scheduled(self) -> str:
        """Return a hint where all tasks that are left wait for their time, which the emulator's clock has not reached; else
        an empty text."""
        due = None if self.dispatcher.running else self.dispatcher.next_due()
        seconds = 0.0 if due is None else due - self.timeline.now()
        return (
            f"; the first is due in {seconds:.0f} s of the emulator's time: call advance({seconds:.0f})"
            if seconds >= 1
            else ""
        )

    def is_idle(self) -> bool:
        """Return True when no attempt is under way and no running queue has a task."""
        return not self.dispatcher.running and not any(
            queue.tasks for queue in self.state.queues.values() if not queue.paused
        )

    async def drain(self) -> None:
        """Move the time to the next due task, until none is left."""
        while True:
            await self.until(lambda: not self.dispatcher.running)
            due = self.dispatcher.next_due()
            if due is None:
                return
            self.timeline.advance(max(due - self.timeline.now(), 0.0))
            await asyncio.sleep(0)

"""Listeners: they receive a trigger's messages and invoke its function, as often at a time as `host.json` allows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from cloudqueues.functions_host.connections import Connections
from cloudqueues.functions_host.host_context import HostContext
from cloudqueues.functions_host.invoker import Invoker
from cloudqueues.functions_host.lock_renewal import LockRenewal
from cloudqueues.functions_host.locked_messages import LockedMessage, MessageReceiver
from cloudqueues.functions_host.triggers import Trigger

WAIT = 60.0
"""Seconds for which a receiver waits for a message before it asks again."""

PAUSE = 0.5
"""Seconds before a receiver that failed is replaced."""

CONNECTING = 0.5
"""Seconds for which a receiver that connects is not cancelled: the SDK would leave a socket open."""

PATIENCE = 2.0
"""Seconds between two cancellations of a receiver: the SDK may swallow one."""

T = TypeVar("T")


class Listener:
    """Listens for one trigger. Opens another receiver when all that it has are busy, up to its limit."""

    def __init__(self, context: HostContext, connections: Connections, trigger: Trigger) -> None:
        self._context = context
        self._connections = connections
        self._trigger = trigger
        self._invoker = Invoker(context, trigger)
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy: set[asyncio.Task[None]] = set()
        self._waiting: dict[asyncio.Task[None], float] = {}
        """Tasks that may be cancelled, and the time from which on."""
        self._ending = False
        options = context.options
        self._limit = 1 if trigger.many else options.sessions if trigger.sessions else options.calls
        self._most = options.batch if trigger.many else options.calls_per_session if trigger.sessions else 1

    def start(self) -> None:
        self._grow()

    def _grow(self) -> None:
        """Start another receiver when all are busy, so that one always waits for messages."""
        if not self._ending and len(self._busy) == len(self._tasks) < self._limit:
            task = asyncio.get_running_loop().create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self) -> None:
        while not self._ending:
            receiver = self._connections.receiver(self._trigger)
            try:
                await self._serve(receiver)
            except Exception as exc:  # noqa: BLE001 - whatever the SDK raises: the next receiver may succeed
                await self._failed(exc)
            finally:
                self._busy.discard(_me())
                await self._close(receiver)

    async def _failed(self, exc: Exception) -> None:
        from azure.servicebus.exceptions import OperationTimeoutError

        if self._trigger.sessions and isinstance(exc, OperationTimeoutError):
            return  # no session is free
        self._context.emit_line("log", f"ERROR {self._trigger.function}: {type(exc).__name__}: {exc}")
        if not self._ending:
            await self._cancellable(asyncio.sleep(PAUSE))

    async def _close(self, receiver: MessageReceiver) -> None:
        try:
            await receiver.close()
        except Exception as exc:  # noqa: BLE001 - as above, and it is closed all the same
            self._context.emit_line("log", f"WARNING {self._trigger.function}: a receiver did not close: {exc}")

    async def _serve(self, receiver: MessageReceiver) -> None:
        """Receive and invoke until the host or the receiver's session ends."""
        if self._trigger.sessions:
            await self._cancellable(receiver.open(), after=CONNECTING)
            await self._serve_session(receiver)
            return
        await receiver.open()
        while not self._ending:
            await self._cancellable(self._context.supervisor.worker())
            messages = await self._cancellable(receiver.receive(self._most, WAIT))
            if messages:
                await self._invoke(receiver, messages)
                self._busy.discard(_me())

    async def _serve_session(self, receiver: MessageReceiver) -> None:
        def until() -> datetime:
            locked_until: datetime = receiver.session.locked_until_utc
            return locked_until

        renewal = LockRenewal(self._context, until, lambda: receiver.renew(None))
        if not self._trigger.many:  # locks of batches are not renewed
            renewal.start()
        try:
            while not self._ending and not receiver.release:
                await self._cancellable(self._context.supervisor.worker())
                messages = await self._cancellable(self._receive_while_held(receiver))
                if not messages:
                    return
                await self._invoke(receiver, messages)
        finally:
            renewal.stop()

    async def _receive_while_held(self, receiver: MessageReceiver) -> list[Any]:
        """Receive from a session; return nothing when it stays idle for too long, in the host's own time."""
        idle = self._context.options.session_idle
        receiving = asyncio.ensure_future(receiver.receive(self._most, idle))
        timeout = asyncio.ensure_future(self._context.timeline.sleep(idle))
        try:
            await asyncio.wait({receiving, timeout}, return_when=asyncio.FIRST_COMPLETED)
            return receiving.result() if receiving.done() else []
        finally:
            for task in (receiving, timeout):
                task.cancel()
            await asyncio.gather(receiving, timeout, return_exceptions=True)

    async def _invoke(self, receiver: MessageReceiver, messages: Sequence[Any]) -> None:
        """Invoke the function. Messages that arrive while the host ends are abandoned, as by the real host."""
        locked_messages = [LockedMessage(message, receiver) for message in messages]
        if self._ending:
            await asyncio.gather(*(locked_message.abandon() for locked_message in locked_messages))
            return
        self._busy.add(_me())
        self._grow()
        if self._trigger.many:
            await self._invoker.run(locked_messages)
        else:
            await asyncio.gather(*(self._invoke_one(locked_message) for locked_message in locked_messages))

    async def _invoke_one(self, locked_message: LockedMessage) -> None:
        if locked_message.receiver.session is not None:
            await self._invoker.run([locked_message])
            return

        def until() -> datetime:
            locked_until: datetime = locked_message.message.locked_until_utc
            return locked_until

        renewal = LockRenewal(self._context, until, locked_message.renew)
        renewal.start()
        try:
            await self._invoker.run([locked_message])
        finally:
            renewal.stop()

    # -- the end

    async def _cancellable(self, work: Awaitable[T], after: float = 0.0) -> T:
        self._waiting[_me()] = time.monotonic() + after
        try:
            return await work
        finally:
            del self._waiting[_me()]

    async def drain(self) -> None:
        """Receive nothing more, and wait for the invocations that run."""
        self._ending = True
        cancelled: dict[asyncio.Task[None], float] = {}
        while self._tasks:
            now = time.monotonic()
            for task, since in self._waiting.items():
                if since <= now and cancelled.get(task, 0.0) + PATIENCE <= now:
                    task.cancel()
                    cancelled[task] = now
            await asyncio.wait(self._tasks, timeout=0.1)

    def cancel(self) -> None:
        """Cancel the tasks that `drain` waits for."""
        for task in self._tasks:
            task.cancel()


def _me() -> asyncio.Task[None]:
    task = asyncio.current_task()
    assert task is not None
    return task

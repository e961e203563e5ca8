"""From receivers to invocations: as many at a time as `host.json` allows, a message, a batch or a session each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from cloudqueues.functions_host.bus import Bus
from cloudqueues.functions_host.invoking import Invoker
from cloudqueues.functions_host.lent import Lane, Lent
from cloudqueues.functions_host.renewal import Renewal
from cloudqueues.functions_host.settings import Trigger
from cloudqueues.functions_host.world import World

WAIT = 60.0
"""Seconds that a receiver waits for a message before it asks again."""

PAUSE = 0.5
"""Seconds before a receiver that failed is replaced."""

CONNECTING = 0.5
"""Seconds in which a receiver connects. The SDK leaves a socket behind when it is cancelled meanwhile."""

PATIENCE = 2.0
"""Seconds in which a receiver that was cancelled closes; the SDK may also overlook it."""

T = TypeVar("T")


class Pump:
    """Of one trigger. It opens another receiver when all that it has are busy, up to its limit."""

    def __init__(self, world: World, bus: Bus, trigger: Trigger) -> None:
        self._world = world
        self._bus = bus
        self._trigger = trigger
        self._invoker = Invoker(world, trigger)
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy: set[asyncio.Task[None]] = set()
        self._waiting: dict[asyncio.Task[None], float] = {}
        """Those that may be cancelled, and from when on."""
        self._ending = False
        options = world.options
        self._limit = 1 if trigger.many else options.sessions if trigger.sessions else options.calls
        self._most = options.batch if trigger.many else options.calls_per_session if trigger.sessions else 1

    def start(self) -> None:
        self._grow()

    def _grow(self) -> None:
        """So that one receiver waits for messages while the others are busy."""
        if not self._ending and len(self._busy) == len(self._tasks) < self._limit:
            task = asyncio.get_running_loop().create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self) -> None:
        while not self._ending:
            lane = self._bus.lane(self._trigger)
            try:
                await self._serve(lane)
            except Exception as exc:  # noqa: BLE001 - whatever the SDK raises: the next receiver may do better
                await self._failed(exc)
            finally:
                self._busy.discard(_me())
                await self._close(lane)

    async def _failed(self, exc: Exception) -> None:
        from azure.servicebus.exceptions import OperationTimeoutError

        if self._trigger.sessions and isinstance(exc, OperationTimeoutError):
            return  # no session is free
        self._world.heard("log", f"ERROR {self._trigger.function}: {type(exc).__name__}: {exc}")
        if not self._ending:
            await self._cancellable(asyncio.sleep(PAUSE))

    async def _close(self, lane: Lane) -> None:
        try:
            await lane.close()
        except Exception as exc:  # noqa: BLE001 - as above, and it is closed all the same
            self._world.heard("log", f"WARNING {self._trigger.function}: a receiver did not close: {exc}")

    async def _serve(self, lane: Lane) -> None:
        """Until the host ends, or the lane's session does."""
        if self._trigger.sessions:
            await self._cancellable(lane.open(), after=CONNECTING)
            await self._serve_session(lane)
            return
        await lane.open()
        while not self._ending:
            await self._cancellable(self._world.keeper.worker())
            messages = await self._cancellable(lane.receive(self._most, WAIT))
            if messages:
                await self._invoke(lane, messages)
                self._busy.discard(_me())

    async def _serve_session(self, lane: Lane) -> None:
        def until() -> datetime:
            found: datetime = lane.session.locked_until_utc
            return found

        renewal = Renewal(self._world, until, lambda: lane.renew(None))
        if not self._trigger.many:  # locks of batches are not renewed
            renewal.start()
        try:
            while not self._ending and not lane.release:
                await self._cancellable(self._world.keeper.worker())
                messages = await self._cancellable(self._receive_while_held(lane))
                if not messages:
                    return
                await self._invoke(lane, messages)
        finally:
            renewal.stop()

    async def _receive_while_held(self, lane: Lane) -> list[Any]:
        """Nothing when the session had no message for so long, in the host's own time."""
        idle = self._world.options.session_idle
        asked = asyncio.ensure_future(lane.receive(self._most, idle))
        over = asyncio.ensure_future(self._world.pause(idle))
        try:
            await asyncio.wait({asked, over}, return_when=asyncio.FIRST_COMPLETED)
            return asked.result() if asked.done() else []
        finally:
            for task in (asked, over):
                task.cancel()
            await asyncio.gather(asked, over, return_exceptions=True)

    async def _invoke(self, lane: Lane, messages: Sequence[Any]) -> None:
        """A message that comes while the host ends goes back, as it does in the real one."""
        lents = [Lent(message, lane) for message in messages]
        if self._ending:
            await asyncio.gather(*(lent.abandon() for lent in lents))
            return
        self._busy.add(_me())
        self._grow()
        if self._trigger.many:
            await self._invoker.run(lents)
        else:
            await asyncio.gather(*(self._invoke_one(lent) for lent in lents))

    async def _invoke_one(self, lent: Lent) -> None:
        if lent.lane.session is not None:
            await self._invoker.run([lent])
            return

        def until() -> datetime:
            found: datetime = lent.message.locked_until_utc
            return found

        renewal = Renewal(self._world, until, lent.renew)
        renewal.start()
        try:
            await self._invoker.run([lent])
        finally:
            renewal.stop()

    # -- the end

    async def _cancellable(self, work: Awaitable[T], after: float = 0.0) -> T:
        self._waiting[_me()] = time.monotonic() + after
        try:
            return await work
        finally:
            del self._waiting[_me()]

    async def wind_down(self) -> None:
        """Receive no more, and wait for the invocations that run."""
        self._ending = True
        asked: dict[asyncio.Task[None], float] = {}
        while self._tasks:
            now = time.monotonic()
            for task, since in self._waiting.items():
                if since <= now and asked.get(task, 0.0) + PATIENCE <= now:
                    task.cancel()
                    asked[task] = now
            await asyncio.wait(self._tasks, timeout=0.1)

    def cancel(self) -> None:
        """Give up what `wind_down` waits for."""
        for task in self._tasks:
            task.cancel()


def _me() -> asyncio.Task[None]:
    task = asyncio.current_task()
    assert task is not None
    return task

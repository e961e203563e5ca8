"""One event: handed to the worker, and settled by how that ended.

Who settles what is read from `ServiceBusListener` and the SDK's `ReceiverManager`: what succeeded is completed if the
function asks for that, what failed is abandoned in any case, and what the function has settled itself is left alone.
https://github.com/Azure/azure-sdk-for-net/blob/main/sdk/servicebus/Microsoft.Azure.WebJobs.Extensions.ServiceBus/src/Listeners/ServiceBusListener.cs
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cloudqueues.functions_host import body, metadata
from cloudqueues.functions_host.history import Invocation, Outcome
from cloudqueues.functions_host.lent import Lent
from cloudqueues.functions_host.settings import Trigger
from cloudqueues.functions_host.worker import Answer, Worker, WorkerEnded
from cloudqueues.functions_host.world import World

KILL_WITHIN = 0.2
"""Seconds after its start that a function is killed at most; most often after a few milliseconds, in its middle."""

KILL_SPREAD = 1000.0
"""How much sooner it may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    id: str = ""
    outcome: Outcome
    error: str
    duration: float


class Invoker:
    """Of one function."""

    def __init__(self, world: World, trigger: Trigger) -> None:
        self._world = world
        self._trigger = trigger

    async def run(self, lents: Sequence[Lent]) -> None:
        """Never raises because of the function, the worker or a lock."""
        self._world.history.begin()
        try:
            await self._deliver(lents)
        finally:
            self._world.history.end()

    async def _deliver(self, lents: Sequence[Lent]) -> None:
        key = _key(self._trigger, lents)
        by_token = {lent.token: lent for lent in lents}
        content = self._content(lents)
        self._world.desk.add(by_token)
        try:
            if self._world.hits("lose_lock", *key):
                await self._lose(lents)
            ended = await self._invoke(content, key)
            await self._settle(lents, ok=ended.outcome == "ok")
        finally:
            self._world.desk.remove(by_token)
        self._record(lents, ended, [lent.became for lent in lents])
        if self._world.hits("duplicate", *key):
            self._record(lents, await self._invoke(content, key), ["none" for _ in lents])

    def _content(self, lents: Sequence[Lent]) -> dict[str, Any] | Ended:
        """The invocation request, or how it ended before there was one."""
        trigger = self._trigger
        try:
            given = body.given([lent.body for lent in lents], trigger)
        except body.Unbindable as exc:
            return Ended(outcome="failed", error=f"Unbindable: {exc}", duration=0.0)
        session = lents[0].lane.session
        setting = metadata.Setting(
            function=trigger.function,
            namespace=self._world.namespace,
            locked_until=session.locked_until_utc if session is not None else None,
        )
        messages = [lent.message for lent in lents]
        told = metadata.of_many(messages, setting) if trigger.many else metadata.of_one(messages[0], setting)
        return {
            "inputData": [{"name": trigger.argument, "data": given}],
            "triggerMetadata": body.overlaid(told, given),
            "traceContext": {"traceParent": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"},
        }

    # -- the worker

    async def _invoke(self, content: dict[str, Any] | Ended, key: tuple[object, ...]) -> Ended:
        if isinstance(content, Ended):
            return content
        worker, name = await self._world.keeper.worker(), str(uuid.uuid4())
        start = time.monotonic()
        stop = self._limit(worker)
        try:
            asked = asyncio.ensure_future(worker.invoke(self._trigger.function, name, content))
            if self._world.hits("kill", *key):
                await self._kill(worker, asked, key)
            error = (await asked).error
            await self._answer_late(worker, key)
        except WorkerEnded as exc:
            return Ended(id=name, outcome="killed", error=str(exc), duration=time.monotonic() - start)
        finally:
            stop()
        return Ended(id=name, outcome="failed" if error else "ok", error=error, duration=time.monotonic() - start)

    def _limit(self, worker: Worker) -> Callable[[], None]:
        """The host's functionTimeout ends the worker; returns what calls that off."""
        seconds = self._world.options.timeout
        return (
            self._world.after(seconds, lambda: self._world.keeper.strike(worker))
            if seconds < float("inf")
            else lambda: None
        )

    async def _kill(self, worker: Worker, asked: asyncio.Future[Answer], key: tuple[object, ...]) -> None:
        """In the middle of the function, or at the latest when it has ended and its answer is on the way."""
        wait = KILL_WITHIN / KILL_SPREAD ** self._world.faults.draw("kill_at", *key)
        await asyncio.wait({asked}, timeout=wait)
        self._world.keeper.strike(worker)
        with contextlib.suppress(WorkerEnded):
            await asked
        raise WorkerEnded("the worker was killed on purpose")

    async def _answer_late(self, worker: Worker, key: tuple[object, ...]) -> None:
        """The function is done; its answer comes late, or never, with the worker's connection."""
        if self._world.hits("delay", *key):
            await self._world.pause(self._world.faults.delay_s * self._world.faults.draw("delay_s", *key))
        if self._world.hits("drop", *key):
            self._world.keeper.strike(worker)
            raise WorkerEnded("the worker's answer was lost on purpose")

    # -- the queue

    async def _lose(self, lents: Sequence[Lent]) -> None:
        """The messages go back while the function runs, a session with all of them."""
        lane = lents[0].lane
        if lane.session is not None:
            lane.release = True
            await lane.close()
        for lent in lents:
            if lane.session is None:
                await self._try(lent, lent.abandon)
            lent.became = "lost"

    async def _settle(self, lents: Sequence[Lent], *, ok: bool) -> None:
        for lent in lents:
            if lent.became != "none":
                continue
            if not ok:
                await self._try(lent, lent.abandon)
            elif self._trigger.auto_complete:
                await self._try(lent, lent.complete)

    async def _try(self, lent: Lent, act: Callable[[], Any]) -> None:
        try:
            await act()
        except Exception as exc:  # noqa: BLE001 - whatever the SDK raises: the message comes back when its lock ends
            lent.became = "lost"
            self._world.heard("log", f"WARNING message {lent.message.message_id!r} could not be settled: {exc}")

    def _record(self, lents: Sequence[Lent], ended: Ended, settled: Sequence[Any]) -> None:
        self._world.history.add(
            Invocation(
                function=self._trigger.function,
                id=ended.id or str(uuid.uuid4()),
                message_ids=tuple(str(lent.message.message_id or "") for lent in lents),
                attempt=max(metadata.delivery(lent.message) for lent in lents),
                outcome=ended.outcome,
                error=ended.error,
                duration=ended.duration,
                settled=tuple(settled),
            )
        )


def _key(trigger: Trigger, lents: Sequence[Lent]) -> tuple[object, ...]:
    """What faults are drawn by: the same for the same message in each run."""
    first = lents[0].message
    return trigger.function, first.message_id or first.sequence_number, metadata.delivery(first)

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

from cloudqueues.functions_host import metadata, trigger_input
from cloudqueues.functions_host.history import Invocation, Outcome
from cloudqueues.functions_host.host_context import HostContext
from cloudqueues.functions_host.locked_messages import LockedMessage
from cloudqueues.functions_host.settings import Trigger
from cloudqueues.functions_host.worker import Answer, Worker, WorkerEnded

KILL_WITHIN = 0.2
"""Seconds after its start that a function is killed at most; most often after a few milliseconds, in its middle."""

KILL_SPREAD = 1000.0
"""How much sooner it may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationResult:
    id: str = ""
    outcome: Outcome
    error: str
    duration: float


class Invoker:
    """Of one function."""

    def __init__(self, context: HostContext, trigger: Trigger) -> None:
        self._context = context
        self._trigger = trigger

    async def run(self, locked_messages: Sequence[LockedMessage]) -> None:
        """Never raises because of the function, the worker or a lock."""
        self._context.history.begin()
        try:
            await self._deliver(locked_messages)
        finally:
            self._context.history.end()

    async def _deliver(self, locked_messages: Sequence[LockedMessage]) -> None:
        key = _key(self._trigger, locked_messages)
        by_token = {locked_message.token: locked_message for locked_message in locked_messages}
        content = self._content(locked_messages)
        self._context.locks.add(by_token)
        try:
            if self._context.hits("lose_lock", *key):
                await self._lose(locked_messages)
            ended = await self._invoke(content, key)
            await self._settle(locked_messages, ok=ended.outcome == "ok")
        finally:
            self._context.locks.remove(by_token)
        self._record(locked_messages, ended, [locked_message.settlement for locked_message in locked_messages])
        if self._context.hits("duplicate", *key):
            self._record(locked_messages, await self._invoke(content, key), ["none" for _ in locked_messages])

    def _content(self, locked_messages: Sequence[LockedMessage]) -> dict[str, Any] | InvocationResult:
        """The invocation request, or how it ended before there was one."""
        trigger = self._trigger
        try:
            encoded = trigger_input.encode([locked_message.body for locked_message in locked_messages], trigger)
        except trigger_input.BindingError as exc:
            return InvocationResult(outcome="failed", error=f"Unbindable: {exc}", duration=0.0)
        session = locked_messages[0].receiver.session
        invocation_context = metadata.InvocationContext(
            function=trigger.function,
            namespace=self._context.namespace,
            locked_until=session.locked_until_utc if session is not None else None,
        )
        messages = [locked_message.message for locked_message in locked_messages]
        values = (
            metadata.batch_metadata(messages, invocation_context)
            if trigger.many
            else metadata.message_metadata(messages[0], invocation_context)
        )
        return {
            "inputData": [{"name": trigger.argument, "data": encoded}],
            "triggerMetadata": trigger_input.merge_body_properties(values, encoded),
            "traceContext": {"traceParent": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"},
        }

    # -- the worker

    async def _invoke(self, content: dict[str, Any] | InvocationResult, key: tuple[object, ...]) -> InvocationResult:
        if isinstance(content, InvocationResult):
            return content
        worker, name = await self._context.supervisor.worker(), str(uuid.uuid4())
        start = time.monotonic()
        stop = self._limit(worker)
        try:
            asked = asyncio.ensure_future(worker.invoke(self._trigger.function, name, content))
            if self._context.hits("kill", *key):
                await self._kill(worker, asked, key)
            error = (await asked).error
            await self._answer_late(worker, key)
        except WorkerEnded as exc:
            return InvocationResult(id=name, outcome="killed", error=str(exc), duration=time.monotonic() - start)
        finally:
            stop()
        return InvocationResult(
            id=name, outcome="failed" if error else "ok", error=error, duration=time.monotonic() - start
        )

    def _limit(self, worker: Worker) -> Callable[[], None]:
        """The host's functionTimeout ends the worker; returns what calls that off."""
        seconds = self._context.options.timeout
        return (
            self._context.after(seconds, lambda: self._context.supervisor.send_kill(worker))
            if seconds < float("inf")
            else lambda: None
        )

    async def _kill(self, worker: Worker, asked: asyncio.Future[Answer], key: tuple[object, ...]) -> None:
        """In the middle of the function, or at the latest when it has ended and its answer is on the way."""
        wait = KILL_WITHIN / KILL_SPREAD ** self._context.faults.draw("kill_at", *key)
        await asyncio.wait({asked}, timeout=wait)
        self._context.supervisor.send_kill(worker)
        with contextlib.suppress(WorkerEnded):
            await asked
        raise WorkerEnded("the worker was killed on purpose")

    async def _answer_late(self, worker: Worker, key: tuple[object, ...]) -> None:
        """The function is done; its answer comes late, or never, with the worker's connection."""
        if self._context.hits("delay", *key):
            await self._context.pause(self._context.faults.delay_s * self._context.faults.draw("delay_s", *key))
        if self._context.hits("drop", *key):
            self._context.supervisor.send_kill(worker)
            raise WorkerEnded("the worker's answer was lost on purpose")

    # -- the queue

    async def _lose(self, locked_messages: Sequence[LockedMessage]) -> None:
        """The messages go back while the function runs, a session with all of them."""
        receiver = locked_messages[0].receiver
        if receiver.session is not None:
            receiver.release = True
            await receiver.close()
        for locked_message in locked_messages:
            if receiver.session is None:
                await self._try(locked_message, locked_message.abandon)
            locked_message.settlement = "lost"

    async def _settle(self, locked_messages: Sequence[LockedMessage], *, ok: bool) -> None:
        for locked_message in locked_messages:
            if locked_message.settlement != "none":
                continue
            if not ok:
                await self._try(locked_message, locked_message.abandon)
            elif self._trigger.auto_complete:
                await self._try(locked_message, locked_message.complete)

    async def _try(self, locked_message: LockedMessage, act: Callable[[], Any]) -> None:
        try:
            await act()
        except Exception as exc:  # noqa: BLE001 - whatever the SDK raises: the message comes back when its lock ends
            locked_message.settlement = "lost"
            self._context.emit_line(
                "log", f"WARNING message {locked_message.message.message_id!r} could not be settled: {exc}"
            )

    def _record(
        self, locked_messages: Sequence[LockedMessage], ended: InvocationResult, settled: Sequence[Any]
    ) -> None:
        self._context.history.add(
            Invocation(
                function=self._trigger.function,
                id=ended.id or str(uuid.uuid4()),
                message_ids=tuple(str(locked_message.message.message_id or "") for locked_message in locked_messages),
                attempt=max(metadata.delivery(locked_message.message) for locked_message in locked_messages),
                outcome=ended.outcome,
                error=ended.error,
                duration=ended.duration,
                settled=tuple(settled),
            )
        )


def _key(trigger: Trigger, locked_messages: Sequence[LockedMessage]) -> tuple[object, ...]:
    """What faults are drawn by: the same for the same message in each run."""
    first = locked_messages[0].message
    return trigger.function, first.message_id or first.sequence_number, metadata.delivery(first)

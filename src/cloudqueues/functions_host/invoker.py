"""Invocation of a function for one message or batch, and settlement by its result.

The rules were read from `ServiceBusListener` and the SDK's `ReceiverManager`: a success is completed if the
function has automatic completion, a failure is always abandoned, and messages that the function settled are left alone.
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
from cloudqueues.functions_host.triggers import Trigger
from cloudqueues.functions_host.worker import Answer, Worker, WorkerEnded

KILL_WITHIN = 0.2
"""Longest time in seconds from a function's start to its injected kill; most are killed after a few milliseconds."""

KILL_SPREAD = 1000.0
"""Factor by which the kill may come sooner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationResult:
    """Outcome of one call of the worker."""

    id: str = ""
    outcome: Outcome
    error: str
    duration: float


class Invoker:
    """Invokes one function."""

    def __init__(self, context: HostContext, trigger: Trigger) -> None:
        self._context = context
        self._trigger = trigger

    async def run(self, messages: Sequence[LockedMessage]) -> None:
        """Invoke the function and settle its messages. Errors of the function, the worker or a lock are never raised."""
        self._context.history.begin()
        try:
            await self._deliver(messages)
        finally:
            self._context.history.end()

    async def _deliver(self, messages: Sequence[LockedMessage]) -> None:
        key = _key(self._trigger, messages)
        by_token = {message.token: message for message in messages}
        content = self._content(messages)
        self._context.locks.add(by_token)
        try:
            if self._context.hits("lose_lock", *key):
                await self._lose(messages)
            result = await self._invoke(content, key)
            await self._settle(messages, ok=result.outcome == "ok")
        finally:
            self._context.locks.remove(by_token)
        self._record(messages, result, [message.settlement for message in messages])
        if self._context.hits("duplicate", *key):
            self._record(messages, await self._invoke(content, key), ["none" for _ in messages])

    def _content(self, messages: Sequence[LockedMessage]) -> dict[str, Any] | InvocationResult:
        """Return the invocation request, or the failure where the bodies cannot be bound."""
        trigger = self._trigger
        try:
            encoded = trigger_input.encode([message.body for message in messages], trigger)
        except trigger_input.BindingError as exc:
            return InvocationResult(outcome="failed", error=f"BindingError: {exc}", duration=0.0)
        session = messages[0].receiver.session
        invocation_context = metadata.InvocationContext(
            function=trigger.function,
            namespace=self._context.namespace,
            locked_until=session.locked_until_utc if session is not None else None,
        )
        sdk_messages = [message.message for message in messages]
        values = (
            metadata.batch_metadata(sdk_messages, invocation_context)
            if trigger.many
            else metadata.message_metadata(sdk_messages[0], invocation_context)
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
            answering = asyncio.ensure_future(worker.invoke(self._trigger.function, name, content))
            if self._context.hits("kill", *key):
                await self._kill(worker, answering, key)
            error = (await answering).error
            await self._answer_late(worker, key)
        except WorkerEnded as exc:
            return InvocationResult(id=name, outcome="killed", error=str(exc), duration=time.monotonic() - start)
        finally:
            stop()
        return InvocationResult(
            id=name, outcome="failed" if error else "ok", error=error, duration=time.monotonic() - start
        )

    def _limit(self, worker: Worker) -> Callable[[], None]:
        """Start the functionTimeout, which kills the worker; return the function that cancels it."""
        seconds = self._context.options.timeout
        if seconds == float("inf"):
            return lambda: None
        return self._context.timeline.after(seconds, lambda: self._context.supervisor.send_kill(worker)).cancel

    async def _kill(self, worker: Worker, answering: asyncio.Future[Answer], key: tuple[object, ...]) -> None:
        """Kill the worker in the middle of the function, or at the latest when it has answered."""
        wait = KILL_WITHIN / KILL_SPREAD ** self._context.faults.draw("kill_at", *key)
        await asyncio.wait({answering}, timeout=wait)
        self._context.supervisor.send_kill(worker)
        with contextlib.suppress(WorkerEnded):
            await answering
        raise WorkerEnded("the worker was killed on purpose")

    async def _answer_late(self, worker: Worker, key: tuple[object, ...]) -> None:
        """Delay the answer of a function that is done, or lose it together with the worker."""
        if self._context.hits("delay", *key):
            await self._context.timeline.sleep(
                self._context.faults.delay_s * self._context.faults.draw("delay_s", *key)
            )
        if self._context.hits("drop", *key):
            self._context.supervisor.send_kill(worker)
            raise WorkerEnded("the worker's answer was lost on purpose")

    # -- the queue

    async def _lose(self, messages: Sequence[LockedMessage]) -> None:
        """Give the locks up while the function runs: the session's with all its messages, or each message's."""
        receiver = messages[0].receiver
        if receiver.session is not None:
            receiver.release = True
            await receiver.close()
        for message in messages:
            if receiver.session is None:
                await self._try(message, message.abandon)
            message.settlement = "lost"

    async def _settle(self, messages: Sequence[LockedMessage], *, ok: bool) -> None:
        for message in messages:
            if message.settlement != "none":
                continue
            if not ok:
                await self._try(message, message.abandon)
            elif self._trigger.auto_complete:
                await self._try(message, message.complete)

    async def _try(self, message: LockedMessage, act: Callable[[], Any]) -> None:
        try:
            await act()
        except Exception as exc:  # noqa: BLE001 - whatever the SDK raises: the message is delivered again when its lock ends
            message.settlement = "lost"
            self._context.emit_line(
                "log", f"WARNING message {message.message.message_id!r} could not be settled: {exc}"
            )

    def _record(self, messages: Sequence[LockedMessage], result: InvocationResult, settled: Sequence[Any]) -> None:
        self._context.history.add(
            Invocation(
                function=self._trigger.function,
                id=result.id or str(uuid.uuid4()),
                message_ids=tuple(str(message.message.message_id or "") for message in messages),
                attempt=max(metadata.delivery_count(message.message) for message in messages),
                outcome=result.outcome,
                error=result.error,
                duration=result.duration,
                settled=tuple(settled),
            )
        )


def _key(trigger: Trigger, messages: Sequence[LockedMessage]) -> tuple[object, ...]:
    """Return the key that faults are drawn by: the same for the same delivery in each run."""
    first = messages[0].message
    return trigger.function, first.message_id or first.sequence_number, metadata.delivery_count(first)

"""Endpoint of an Azure Functions trigger: from the trigger's argument to the answer to the host."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from peeklock.binding.bind import Binding
from peeklock.binding.settling import left_of
from peeklock.errors import ConfigError
from peeklock.message import Message
from peeklock.platforms.servicebus.receive import receive
from peeklock.platforms.servicebus.settle import HostSettlement, NativeDeadLetterSender
from peeklock.quotas.azure import LOCK_SECONDS

_SETTING = re.compile("%([^%]+)%")
# https://learn.microsoft.com/azure/azure-functions/functions-bindings-expressions-patterns#binding-expressions---app-settings

MAX_LOCK = timedelta(seconds=LOCK_SECONDS)
# The longest lock. A batch's locks are not renewed; a single message's lock is renewed this long unless host.json says
# otherwise. https://learn.microsoft.com/azure/service-bus-messaging/message-transfers-locks-settlement

DEFAULT_LOCK = timedelta(minutes=1)
# Azure's default; source as for MAX_LOCK.


class Endpoint:
    """Endpoint of a binding for the host's events."""

    def __init__(
        self,
        binding: Binding,
        *,
        batch: bool,
        sessions: bool,
        hold: timedelta,
        can_settle: bool,
        entity: str,
        subscribed: bool,
        own: str,
    ) -> None:
        """Configure the endpoint.

        - `entity`: the queue or subscription, in which `%NAME%` stands for an app setting.
        - `own`: the queue or topic to which dead letters must not go; empty where senders may be in another namespace.
        """
        self.binding = binding
        self.batch = batch
        self.sessions = sessions
        self.hold = hold
        self.can_settle = can_settle
        self.entity = entity
        self.subscribed = subscribed
        self.own = own

    def enter(self, event: Any, actions: Any) -> None:
        """Handle an event and return to complete it. Raises Redeliver to abandon it."""
        settlement, messages, changes = self._open(event, actions)
        settled = self.binding.run(messages, settlement.lock, **changes)
        settlement.finish(settled)
        wait = settlement.wait(settled)
        if wait:
            time.sleep(wait)
        settlement.give_back(settled)

    async def enter_async(self, event: Any, actions: Any) -> None:
        """Handle an event on the caller's event loop, as `enter` does."""
        import asyncio

        settlement, messages, changes = self._open(event, actions)
        settled = await self.binding.run_async(messages, settlement.lock, **changes)
        if self.can_settle:
            await asyncio.to_thread(settlement.finish, settled)  # actions are blocking calls
        wait = settlement.wait(settled)
        if wait:
            await asyncio.sleep(wait)
        if self.can_settle:
            await asyncio.to_thread(settlement.give_back, settled)
        else:
            settlement.give_back(settled)

    def _open(self, event: Any, actions: Any) -> tuple[HostSettlement, Sequence[Message], dict[str, Any]]:
        began = time.monotonic()
        bound = self.binding.bound()
        if self.batch and not self.can_settle and bound.store is None:
            raise ConfigError(
                f"queue {self.binding.queue.name!r}: batch=True needs a store, since the host abandons a batch only as a"
                " whole; set PEEKLOCK_STORE or pass store=, or pass actions= where the worker has message actions"
            )
        if self.can_settle and actions is None:
            raise ConfigError("the worker passed no message actions; use Python 3.13 or newer, or leave actions= out")
        lock = left_of(self.binding.lock(DEFAULT_LOCK if self.batch else None), began)
        native_sender = NativeDeadLetterSender(actions)
        settlement = HostSettlement(
            bound.clock,
            lock=lock,
            longest=MAX_LOCK if lock is None else lock,
            hold=self.hold,
            native_sender=native_sender,
        )
        changes = {"dead_letters": native_sender} if isinstance(bound.dead_letters, NativeDeadLetterSender) else {}
        self.binding.check_dead_letter(_resolved(self.own).lower())
        queue, entity = self.binding.queue.name, _resolved(self.entity)
        messages = receive(event, queue, sessions=self.sessions, entity=entity, subscribed=self.subscribed)
        return settlement, messages, changes


def _resolved(name: str) -> str:
    """Return a name with the app settings that `%NAME%` stands for."""
    return _SETTING.sub(lambda match: os.environ.get(match[1], match[0]), name)

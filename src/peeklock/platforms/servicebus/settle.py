"""Settling of an event's messages: by message actions, or else by returning and raising."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from peeklock.binding.settling import Settling
from peeklock.engine.bound_consumer import RESERVE
from peeklock.errors import ConfigError, Redeliver, SendError, because
from peeklock.observability.observer import Settled, log_event
from peeklock.outgoing import DETAIL, REASON, OutgoingMessage, cut, legible
from peeklock.timing.clock import Clock

EXTENSION = "azurefunctions-extensions-bindings-servicebus"
# https://learn.microsoft.com/azure/azure-functions/functions-bindings-service-bus-trigger

MAX_DESCRIPTION = 4096
# https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas

MAX_DOUBLINGS = 10


class NativeDeadLetterSender:
    """Dead-letters by the host's message action. The message is settled then, and must not be settled again."""

    def __init__(self, actions: Any) -> None:
        self.actions = actions
        self.settled: set[int] = set()

    def send(self, outgoing_messages: Sequence[OutgoingMessage], /) -> Sequence[SendError | None]:
        return [self._send(outgoing) for outgoing in outgoing_messages]

    def _send(self, outgoing: OutgoingMessage) -> SendError | None:
        raw = outgoing.origin.raw if outgoing.origin is not None else None
        reason = cut(legible(str(outgoing.attributes.get(REASON, ""))), MAX_DESCRIPTION)
        detail = cut(legible(str(outgoing.attributes.get(DETAIL, ""))), MAX_DESCRIPTION)
        try:
            self.actions.deadletter(raw, reason, detail)
        except Exception as exc:  # noqa: BLE001 - any exception of the worker: the message may or may not be dead-lettered
            return because(SendError(f"deadletter: {type(exc).__name__}: {exc}"), exc)
        self.settled.add(id(raw))
        return None


class HostSettlement:
    """Settlement of one event within its time limit."""

    def __init__(
        self,
        clock: Clock,
        *,
        lock: timedelta | None,
        longest: timedelta,
        hold: timedelta,
        native_sender: NativeDeadLetterSender,
    ) -> None:
        """`lock`: the lock's duration; None where it is not known. `longest`: the time after which it has certainly ended."""
        self.lock = lock
        self._clock = clock
        self._hold = hold
        self._limit = clock.monotonic() + longest.total_seconds()
        self._native_sender = native_sender
        self._settling = Settling(clock, self._limit, calls=0)

    @property
    def _actions(self) -> Any:
        return self._native_sender.actions

    def finish(self, settled: Sequence[Settled]) -> None:
        """Complete the finished messages, before any wait, during which their locks could end and bring them back."""
        if self._actions is None:
            return
        self._settling = Settling(self._clock, self._limit, calls=len(settled))
        for settlement in settled:
            if settlement.outcome.finished and id(settlement.message.raw) not in self._native_sender.settled:
                self._act(self._actions.complete, settlement)

    def wait(self, settled: Sequence[Settled]) -> float:
        """Return the seconds to hold the messages that must come back, within their lock."""
        left = self._limit - RESERVE.total_seconds() - self._clock.monotonic()
        return max(min(wanted_hold(settled), self._hold.total_seconds(), left), 0.0)

    def give_back(self, settled: Sequence[Settled]) -> None:
        """Abandon the messages that must come back. Without actions the host settles all alike: raises Redeliver."""
        back = [settlement for settlement in settled if not settlement.outcome.finished]
        if self._actions is not None:
            for settlement in back:
                self._act(self._actions.abandon, settlement)
        elif back:
            first = back[0].message.id
            raise Redeliver(f"{len(back)} of {len(settled)} messages must come back, the first is {first!r}")

    def _act(self, action: Any, settlement: Settled) -> None:
        """Settle one message. A failure, or no answer in time, is logged only: the message comes back when its lock ends."""
        try:
            self._settling.call(functools.partial(action, settlement.message.raw))
        except Exception as exc:  # noqa: BLE001 - any exception of the worker; the others must be settled
            details = {
                "queue": settlement.message.queue,
                "message_id": settlement.message.id,
                "error": type(exc).__name__,
            }
            log_event("peeklock.settle_failed %s", details, error=exc)


def wanted_hold(settled: Sequence[Settled]) -> float:
    """Return the seconds after which messages should come back: the longest delay, or without one, longer at each delivery."""
    return max(
        (
            2.0 ** min(settlement.message.delivery - 1, MAX_DOUBLINGS)
            if settlement.outcome.delay is None
            else settlement.outcome.delay.total_seconds()
            for settlement in settled
            if not settlement.outcome.finished
        ),
        default=0.0,
    )


def actions_class(actions: bool | type) -> type | None:  # noqa: FBT001 - it is `bind`'s own argument
    """Return the annotation that makes the worker pass message actions; None without actions. Raises ConfigError where the class is
    missing."""
    if actions is False:
        return None
    if isinstance(actions, type):
        return actions
    try:
        from azurefunctions.extensions.bindings.servicebus import ServiceBusMessageActions
    except ImportError as exc:
        raise ConfigError(
            f"actions=True: {exc.name or exc} is not installed: pip install {EXTENSION}, for Python 3.13 or newer"
        ) from exc
    actions_type: type = ServiceBusMessageActions
    return actions_type

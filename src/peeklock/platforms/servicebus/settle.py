"""Telling the host how a visit ended: by message actions, or by returning and raising."""

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
    """Dead-letters by the host's own action. The message is settled then, and must not be settled again."""

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
        except Exception as exc:  # noqa: BLE001 - whatever the worker raises: not known to be there
            return because(SendError(f"deadletter: {type(exc).__name__}: {exc}"), exc)
        self.settled.add(id(raw))
        return None


class HostSettlement:
    """One event at the door: the time that it has, and its settling."""

    def __init__(
        self,
        clock: Clock,
        *,
        lock: timedelta | None,
        longest: timedelta,
        hold: timedelta,
        native_sender: NativeDeadLetterSender,
    ) -> None:
        """`lock`: as far as it is known. `longest`: the time after which it is certainly over."""
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
        """Complete what is finished, before anything is waited for: a lock that ends meanwhile would bring it back."""
        if self._actions is None:
            return
        self._settling = Settling(self._clock, self._limit, calls=len(settled))
        for one in settled:
            if one.outcome.finished and id(one.message.raw) not in self._native_sender.settled:
                self._act(self._actions.complete, one)

    def wait(self, settled: Sequence[Settled]) -> float:
        """Seconds to hold what must come back, within the lock."""
        left = self._limit - RESERVE.total_seconds() - self._clock.monotonic()
        return max(min(wanted(settled), self._hold.total_seconds(), left), 0.0)

    def give_back(self, settled: Sequence[Settled]) -> None:
        """Abandon the others. Without actions the host listens to one word for all: raises Redeliver."""
        back = [one for one in settled if not one.outcome.finished]
        if self._actions is not None:
            for one in back:
                self._act(self._actions.abandon, one)
        elif back:
            first = back[0].message.id
            raise Redeliver(f"{len(back)} of {len(settled)} messages must come back, the first is {first!r}")

    def _act(self, action: Any, one: Settled) -> None:
        """A failure, or no answer in time, is logged and no more: the message's lock runs out, and it comes back."""
        try:
            self._settling.call(functools.partial(action, one.message.raw))
        except Exception as exc:  # noqa: BLE001 - whatever the worker raises; the others must be settled
            told = {"queue": one.message.queue, "message_id": one.message.id, "error": type(exc).__name__}
            log_event("peeklock.settle_failed %s", told, error=exc)


def wanted(settled: Sequence[Settled]) -> float:
    """Seconds until what comes back should: its delay, or where it has none, longer with each delivery."""
    return max(
        (
            2.0 ** min(one.message.delivery - 1, MAX_DOUBLINGS)
            if one.outcome.delay is None
            else one.outcome.delay.total_seconds()
            for one in settled
            if not one.outcome.finished
        ),
        default=0.0,
    )


def actions_class(actions: bool | type) -> type | None:  # noqa: FBT001 - it is `bind`'s own argument
    """The class by whose annotation the worker knows that a function settles. Raises ConfigError where it is missing."""
    if actions is False:
        return None
    if isinstance(actions, type):
        return actions
    try:
        from azurefunctions.extensions.bindings.servicebus import ServiceBusMessageActions
    except ImportError as exc:
        raise ConfigError(
            f"actions=True: {exc.name or exc} is not installed: pip install {EXTENSION}; it needs the worker of Python"
            " 3.13 or newer"
        ) from exc
    found: type = ServiceBusMessageActions
    return found

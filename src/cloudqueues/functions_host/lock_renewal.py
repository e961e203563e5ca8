"""Renewal of a lock for as long as a function runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from cloudqueues.functions_host.host_context import HostContext
from cloudqueues.timeline import Timer

MARGIN = 10.0
"""Seconds before its end at which a lock is renewed, or half of the time left; as by the .NET SDK."""


class LockRenewal:
    """Renews a lock before it ends, until `stop` or the limit of `host.json`."""

    def __init__(
        self, context: HostContext, until: Callable[[], datetime], renew: Callable[[], Awaitable[None]]
    ) -> None:
        self._context = context
        self._until = until
        self._renew = renew
        self._over = context.timeline.now() + context.options.renew_for
        self._timer: Timer | None = None
        self._stopped = False

    def start(self) -> None:
        self._schedule(self._context.timeline.now())

    def _schedule(self, now: float) -> None:
        left = max((self._until() - datetime.now(UTC)).total_seconds(), 0.0)
        due = now + left - min(left / 2, MARGIN)
        if due < self._over:
            self._timer = self._context.timeline.at(due, lambda: self._context.spawn(self._renew_and_schedule(due)))

    async def _renew_and_schedule(self, due: float) -> None:
        """Renew, and plan the next renewal by `due`, even when the time was moved past it."""
        try:
            await self._renew()
        except Exception as exc:  # noqa: BLE001 - whatever the SDK raises: the lock is lost, and settling fails
            if not self._stopped:
                self._context.emit_line("log", f"WARNING a lock could not be renewed: {exc}")
            return
        if not self._stopped:
            self._schedule(due)

    def stop(self) -> None:
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

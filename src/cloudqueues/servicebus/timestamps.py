"""When an entity was created, changed and used."""

from __future__ import annotations

from cloudqueues.servicebus.context import BrokerContext


class Timestamps:
    """Seconds since 1970, by the clocks of the clients."""

    def __init__(self, context: BrokerContext) -> None:
        self._context = context
        self._created = self._updated = context.now()
        self._accessed: float | None = None

    def another(self) -> Timestamps:
        """Return those of something that is created now."""
        return Timestamps(self._context)

    def update(self) -> None:
        """Note that the settings were changed now."""
        self._updated = self._context.now()

    def access(self) -> None:
        """Note that a message was sent or received now."""
        self._accessed = self._context.now()

    @property
    def created(self) -> float:
        return self._created - self._context.clock_offset

    @property
    def updated(self) -> float:
        return self._updated - self._context.clock_offset

    @property
    def accessed(self) -> float | None:
        """None while no message was sent or received."""
        return None if self._accessed is None else self._accessed - self._context.clock_offset

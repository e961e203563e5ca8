"""Times of an entity's creation, last change and last access."""

from __future__ import annotations

from cloudqueues.servicebus.context import BrokerContext


class Timestamps:
    """Timestamps of an entity, in seconds since 1970 by the clients' clocks."""

    def __init__(self, context: BrokerContext) -> None:
        self._context = context
        self._created = self._updated = context.now()
        self._accessed: float | None = None

    def another(self) -> Timestamps:
        """Return the timestamps of something that is created now."""
        return Timestamps(self._context)

    def update(self) -> None:
        """Record a change of the settings."""
        self._updated = self._context.now()

    def access(self) -> None:
        """Record that a message was sent or received."""
        self._accessed = self._context.now()

    @property
    def created(self) -> float:
        return self._created - self._context.clock_offset

    @property
    def updated(self) -> float:
        return self._updated - self._context.clock_offset

    @property
    def accessed(self) -> float | None:
        """Time of the last message sent or received, or None."""
        return None if self._accessed is None else self._accessed - self._context.clock_offset

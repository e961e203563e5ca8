"""When an entity was created, changed and used."""

from __future__ import annotations

from cloudqueues.servicebus.world import World


class Times:
    """Seconds since 1970, by the clocks of the clients."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._created = self._updated = world.now()
        self._accessed: float | None = None

    def another(self) -> Times:
        """Return those of something that is created now."""
        return Times(self._world)

    def update(self) -> None:
        """Note that the settings were changed now."""
        self._updated = self._world.now()

    def access(self) -> None:
        """Note that a message was sent or received now."""
        self._accessed = self._world.now()

    @property
    def created(self) -> float:
        return self._created - self._world.ahead

    @property
    def updated(self) -> float:
        return self._updated - self._world.ahead

    @property
    def accessed(self) -> float | None:
        """None while no message was sent or received."""
        return None if self._accessed is None else self._accessed - self._world.ahead

"""A host between a load of its app and the next: a worker, a client of the Service Bus, and a pump for each trigger."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from cloudqueues.errors import ConfigError
from cloudqueues.faults import Faults
from cloudqueues.functions_host.bus import Bus
from cloudqueues.functions_host.history import History
from cloudqueues.functions_host.keeper import Keeper
from cloudqueues.functions_host.pumps import Pump
from cloudqueues.functions_host.settings import Trigger, host_options, triggers
from cloudqueues.functions_host.worker import Command, Heard
from cloudqueues.functions_host.world import World
from cloudqueues.timeline import Timeline

LAST_WAIT = 5.0
"""Seconds for settling what a killed worker leaves."""


class Life:
    def __init__(self, world: World, bus: Bus, found: Sequence[Trigger]) -> None:
        self.world = world
        self.functions = tuple(trigger.function for trigger in found)
        self._bus = bus
        self._pumps = [Pump(world, bus, trigger) for trigger in found]

    @classmethod
    async def begin(
        cls,
        command: Command,
        *,
        servicebus: str,
        given: Mapping[str, str],
        faults: Faults,
        history: History,
        heard: Heard,
    ) -> Life:
        """Raises ConfigError."""
        _check_script(command)
        options = host_options(command.app)
        bus = Bus(servicebus, given, options)
        keeper = Keeper(command, heard)
        world = World(
            timeline=Timeline(asyncio.get_running_loop()),
            faults=faults,
            options=options,
            keeper=keeper,
            history=history,
            heard=heard,
            namespace=bus.namespace,
        )
        try:
            functions = await keeper.start()
            found, others = triggers(functions, options, command.environ)
            _check_actions(functions, command)
        except BaseException:
            await keeper.stop()
            raise
        for name in others:
            heard("log", f"WARNING function {name!r} has no Service Bus trigger, and is not run here")
        life = cls(world, bus, found)
        for pump in life._pumps:
            pump.start()
        return life

    async def advance(self, seconds: float) -> None:
        self.world.timeline.advance(seconds)
        while self.world.chores:
            await asyncio.wait(set(self.world.chores))

    async def kill(self) -> None:
        worker = await self.world.keeper.worker()
        self.world.keeper.strike(worker)
        await worker.ended.wait()

    async def end(self, grace: float) -> None:
        """Nothing of it is left then: no process, no connection."""
        winding = asyncio.gather(*(pump.wind_down() for pump in self._pumps))
        await asyncio.wait({winding}, timeout=grace)
        await self.world.keeper.stop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(winding), LAST_WAIT)
        for pump in self._pumps:
            pump.cancel()
        await winding
        self.world.timeline.close()
        await self._bus.close()


def _check_script(command: Command) -> None:
    """Without it the worker finds no functions, and says nothing."""
    script = command.app / command.environ.get("PYTHON_SCRIPT_FILE_NAME", "function_app.py")
    if not script.is_file():
        raise ConfigError(f"{script} is not there: give the folder of a function app of the Python v2 model")


def _check_actions(functions: Sequence[Mapping[str, Any]], command: Command) -> None:
    wanting = [str(one["name"]) for one in functions if one["settles"]]
    if wanting and not command.settlement_port:
        raise ConfigError(f"function {wanting[0]!r} takes message actions, which need grpcio: pip install grpcio")

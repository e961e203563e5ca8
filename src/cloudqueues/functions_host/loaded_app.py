"""A host between a load of its app and the next: a worker, a client of the Service Bus, and a pump for each trigger."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from cloudqueues.errors import ConfigError
from cloudqueues.faults import Faults
from cloudqueues.functions_host.connections import Connections
from cloudqueues.functions_host.history import History
from cloudqueues.functions_host.host_context import HostContext
from cloudqueues.functions_host.listeners import Listener
from cloudqueues.functions_host.settings import Trigger, host_options, triggers
from cloudqueues.functions_host.supervisor import WorkerSupervisor
from cloudqueues.functions_host.worker import Command, EmitLine
from cloudqueues.timeline import Timeline

LAST_WAIT = 5.0
"""Seconds for settling what a killed worker leaves."""


class LoadedApp:
    def __init__(self, context: HostContext, bus: Connections, found: Sequence[Trigger]) -> None:
        self.context = context
        self.functions = tuple(trigger.function for trigger in found)
        self._connections = bus
        self._listeners = [Listener(context, bus, trigger) for trigger in found]

    @classmethod
    async def begin(
        cls,
        command: Command,
        *,
        servicebus: str,
        given: Mapping[str, str],
        faults: Faults,
        history: History,
        emit_line: EmitLine,
    ) -> LoadedApp:
        """Raises ConfigError."""
        _check_script(command)
        options = host_options(command.app)
        bus = Connections(servicebus, given, options)
        supervisor = WorkerSupervisor(command, emit_line)
        context = HostContext(
            timeline=Timeline(asyncio.get_running_loop()),
            faults=faults,
            options=options,
            supervisor=supervisor,
            history=history,
            emit_line=emit_line,
            namespace=bus.namespace,
        )
        try:
            functions = await supervisor.start()
            found, others = triggers(functions, options, command.environ)
            _check_actions(functions, command)
        except BaseException:
            await supervisor.stop()
            raise
        for name in others:
            emit_line("log", f"WARNING function {name!r} has no Service Bus trigger, and is not run here")
        loaded_app = cls(context, bus, found)
        for listener in loaded_app._listeners:
            listener.start()
        return loaded_app

    async def advance(self, seconds: float) -> None:
        self.context.timeline.advance(seconds)
        while self.context.timer_tasks:
            await asyncio.wait(set(self.context.timer_tasks))

    async def kill(self) -> None:
        worker = await self.context.supervisor.worker()
        self.context.supervisor.send_kill(worker)
        await worker.ended.wait()

    async def end(self, grace: float) -> None:
        """Nothing of it is left then: no process, no connection."""
        winding = asyncio.gather(*(listener.drain() for listener in self._listeners))
        await asyncio.wait({winding}, timeout=grace)
        await self.context.supervisor.stop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(winding), LAST_WAIT)
        for listener in self._listeners:
            listener.cancel()
        await winding
        self.context.timeline.close()
        await self._connections.close()


def _check_script(command: Command) -> None:
    """Without it the worker finds no functions, and says nothing."""
    script = command.app / command.environ.get("PYTHON_SCRIPT_FILE_NAME", "function_app.py")
    if not script.is_file():
        raise ConfigError(f"{script} is not there: give the folder of a function app of the Python v2 model")


def _check_actions(functions: Sequence[Mapping[str, Any]], command: Command) -> None:
    wanting = [str(one["name"]) for one in functions if one["settles"]]
    if wanting and not command.settlement_port:
        raise ConfigError(f"function {wanting[0]!r} takes message actions, which need grpcio: pip install grpcio")

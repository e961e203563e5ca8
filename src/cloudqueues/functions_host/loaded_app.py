"""Function app from its load to its end: a worker, connections to Service Bus, and a listener for each trigger."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from cloudqueues.errors import ConfigError
from cloudqueues.faults import Faults
from cloudqueues.functions_host.app_settings import is_disabled
from cloudqueues.functions_host.connections import Connections
from cloudqueues.functions_host.history import History
from cloudqueues.functions_host.host_context import HostContext
from cloudqueues.functions_host.listeners import Listener
from cloudqueues.functions_host.settings import host_options
from cloudqueues.functions_host.supervisor import WorkerSupervisor
from cloudqueues.functions_host.triggers import Trigger, triggers
from cloudqueues.functions_host.worker import Command, EmitLine
from cloudqueues.timeline import Timeline

LAST_WAIT = 5.0
"""Seconds for settling the messages of a worker that was killed."""


class LoadedApp:
    """Runs the listeners of one load; a reload makes another."""

    def __init__(self, context: HostContext, connections: Connections, enabled: Sequence[Trigger]) -> None:
        self.context = context
        self.functions = tuple(trigger.function for trigger in enabled)
        self._connections = connections
        self._listeners = [Listener(context, connections, trigger) for trigger in enabled]

    @classmethod
    async def load(
        cls,
        command: Command,
        *,
        servicebus: str,
        environ: Mapping[str, str],
        faults: Faults,
        history: History,
        emit_line: EmitLine,
    ) -> LoadedApp:
        """Start the worker and the listeners. `environ`: the settings that a connection string is looked up in. Raises ConfigError."""
        _check_script(command)
        options = host_options(command.app, command.environ)
        connections = Connections(servicebus, environ, options)
        supervisor = WorkerSupervisor(command, emit_line)
        context = HostContext(
            timeline=Timeline(asyncio.get_running_loop()),
            faults=faults,
            options=options,
            supervisor=supervisor,
            history=history,
            emit_line=emit_line,
            namespace=connections.namespace,
        )
        try:
            functions = await supervisor.start()
            service_bus, rest = triggers(functions, options, command.environ)
            _check_actions(functions, command)
        except BaseException:
            await supervisor.stop()
            raise
        for name in rest:
            emit_line("log", f"WARNING function {name!r} has no Service Bus trigger, and is not run here")
        enabled = [trigger for trigger in service_bus if not is_disabled(trigger.function, command.environ)]
        for trigger in service_bus:
            if trigger not in enabled:
                emit_line("log", f"WARNING function {trigger.function!r} is disabled by its application setting")
        loaded_app = cls(context, connections, enabled)
        for listener in loaded_app._listeners:
            listener.start()
        return loaded_app

    async def advance(self, seconds: float) -> None:
        """Move the time, and wait for what timers have started."""
        self.context.timeline.advance(seconds)
        while self.context.timer_tasks:
            await asyncio.wait(set(self.context.timer_tasks))

    async def kill(self) -> None:
        """Kill the worker, and wait for its end."""
        worker = await self.context.supervisor.worker()
        self.context.supervisor.send_kill(worker)
        await worker.ended.wait()

    async def close(self, grace: float) -> None:
        """Let invocations end for `grace` seconds, then end the worker and the connections."""
        draining = asyncio.gather(*(listener.drain() for listener in self._listeners))
        await asyncio.wait({draining}, timeout=grace)
        await self.context.supervisor.stop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(draining), LAST_WAIT)
        for listener in self._listeners:
            listener.cancel()
        await draining
        self.context.timeline.close()
        await self._connections.close()


def _check_script(command: Command) -> None:
    """Raise ConfigError for a folder without the script: the worker would find no functions, without an error."""
    script = command.app / command.environ.get("PYTHON_SCRIPT_FILE_NAME", "function_app.py")
    if not script.is_file():
        raise ConfigError(f"{script} is missing: give the folder of a function app of the Python v2 model")


def _check_actions(functions: Sequence[Mapping[str, Any]], command: Command) -> None:
    using_actions = [str(function["name"]) for function in functions if function["settles"]]
    if using_actions and not command.settlement_port:
        raise ConfigError(f"function {using_actions[0]!r} takes message actions, which need grpcio: pip install grpcio")

"""Public Functions host: runs an app's folder in a background thread, on any Service Bus."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from cloudqueues.background import Background, BackgroundEmulator
from cloudqueues.callbacks import call_logged
from cloudqueues.errors import ConfigError
from cloudqueues.faults import NO_FAULTS, Faults
from cloudqueues.functions_host.app_settings import local_settings
from cloudqueues.functions_host.history import History, Invocation
from cloudqueues.functions_host.loaded_app import LoadedApp
from cloudqueues.functions_host.locked_messages import LockRegistry
from cloudqueues.functions_host.settlement import SettlementServer
from cloudqueues.functions_host.worker import Command

CONNECTIONS = ("AzureWebJobsServiceBus", "PEEKLOCK_SERVICEBUS")
"""App settings that functions find the Service Bus by: the host's default, and peeklock's."""

LINES = 200
"""Lines of the worker and the host that are remembered."""

GRACE = 5.0

_log = logging.getLogger(__name__)


class FunctionsHost(BackgroundEmulator):
    """Azure's Functions host for one app: receives, invokes, settles. From `start` to `stop`, or within a `with`.

    - `app`: the folder of `function_app.py` and `host.json`.
    - `servicebus`: the connection string for all triggers whose `connection` is not in `environ`.
    - `environ`: app settings, over this process's own environment and the `Values` of the app's `local.settings.json`; with
      PYTHONPATH for modules outside the folder.
    - `inherit`: False for an `environ` that is the worker's whole environment, without `servicebus` and local settings.
    - `faults`: `kill`, `drop`, `delay`, `duplicate` and `lose_lock` of invocations.
    - `host`, `port`: where the settlement service listens; 0 takes a free port.
    - `grace`: seconds for which running invocations may go on when the host stops or reloads, before the worker is killed.

    Needs azure-servicebus, azure-functions, azure-functions-runtime, for message actions grpcio, and a POSIX system.
    """

    name = "Functions host"

    def __init__(
        self,
        app: Path | str,
        *,
        servicebus: str,
        environ: Mapping[str, str] | None = None,
        inherit: bool = True,
        faults: Faults = NO_FAULTS,
        host: str = "127.0.0.1",
        port: int = 0,
        grace: float = GRACE,
    ) -> None:
        self._app = Path(app).resolve()
        self._servicebus = servicebus
        self._environ = dict(environ or {})
        self._inherit = inherit
        self._faults = faults
        self._address = f"{host}:{port}"
        self._grace = grace
        self._history = History()
        self._lines: deque[tuple[str, str]] = deque(maxlen=LINES)
        self._listeners: list[Callable[[str, str], object]] = []
        self._settlement: SettlementServer | None = None
        self._loaded_app: LoadedApp | None = None

    # -- start and stop

    def start(self) -> Self:
        """Return once the functions are found and their receivers started. Raises ConfigError, with the worker's words,
        for an app that the worker refuses."""
        return super().start()

    def _open(self, background: Background) -> None:
        if importlib.util.find_spec("grpc") is not None:
            self._settlement = SettlementServer(background, self._locks, self._address)
        self._begin(background)

    def _close(self, background: Background) -> None:
        self._end(background)
        settlement, self._settlement = self._settlement, None
        if settlement is not None:
            settlement.stop()

    def reload(self) -> None:
        """Start a new worker with the present code and `host.json`, after running invocations had `grace` to end. Raises
        ConfigError when the worker refuses them: then nothing is received until another reload."""
        background = self._loop()
        self._end(background)
        self._begin(background)

    def _begin(self, background: Background) -> None:
        port = self._settlement.port if self._settlement is not None else 0
        command = Command(app=self._app, environ=self._settings(), settlement_port=port)
        self._loaded_app = background.run(
            LoadedApp.load(
                command,
                servicebus=self._servicebus,
                environ=self._environ,
                faults=self._faults,
                history=self._history,
                emit_line=self._emit_line,
            )
        )

    def _end(self, background: Background) -> None:
        loaded_app, self._loaded_app = self._loaded_app, None
        if loaded_app is not None:
            background.run(loaded_app.close(self._grace))

    def _settings(self) -> dict[str, str]:
        own = {"FUNCTIONS_WORKER_RUNTIME": "python", "PYTHONUNBUFFERED": "1"}
        if not self._inherit:
            return {**own, **self._environ}
        connections = dict.fromkeys(CONNECTIONS, self._servicebus)
        return {**local_settings(self._app), **os.environ, **connections, **own, **self._environ}

    def _locks(self) -> LockRegistry:
        return self._loaded_app.context.locks if self._loaded_app is not None else LockRegistry()

    def _alive(self) -> tuple[Background, LoadedApp]:
        background = self._loop()
        if self._loaded_app is None:
            raise ConfigError("the Functions host has no worker since its reload failed: reload() it again")
        return background, self._loaded_app

    # -- state

    @property
    def functions(self) -> tuple[str, ...]:
        """Names of the functions with a Service Bus trigger that are not disabled."""
        return self._loaded_app.functions if self._loaded_app is not None else ()

    @property
    def worker_pid(self) -> int:
        """Process id of the worker; waits while one is started."""
        background, loaded_app = self._alive()
        return background.run(loaded_app.context.supervisor.worker()).pid

    @property
    def worker_starts(self) -> int:
        """Count of workers since the start or the last reload."""
        return self._alive()[1].context.supervisor.starts

    @property
    def invocations(self) -> Sequence[Invocation]:
        """Invocations that ended, in that order, over all reloads."""
        return self._history.finished()

    @property
    def lines(self) -> Sequence[tuple[str, str]]:
        """Last lines of the worker and the host: `stdout`, `stderr` or `log`, and the text."""
        return tuple(self._lines)

    def on_invocation(self, callback: Callable[[Invocation], object]) -> None:
        """Call a function with each invocation once it is settled. It runs in the host's thread, so it has to be quick and
        cannot use the host."""
        self._history.subscribe(callback)

    def on_line(self, callback: Callable[[str, str], object]) -> None:
        """Call a function with each line as in `lines`, in the host's thread."""
        self._listeners.append(callback)

    def _emit_line(self, stream: str, line: str) -> None:
        self._lines.append((stream, line))
        for listener in tuple(self._listeners):
            call_logged(_log, "on_line", listener, stream, line)

    def wait_for(self, condition: Callable[[Sequence[Invocation]], bool], timeout: float = 30) -> Sequence[Invocation]:
        """Wait until a condition holds for the invocations that ended. Raises TimeoutError after so many seconds."""
        self._history.wait(condition, timeout)
        return self.invocations

    def wait_count(self, count: int, timeout: float = 30) -> Sequence[Invocation]:
        """Wait until at least so many invocations have ended. Raises TimeoutError."""
        return self.wait_for(lambda ended: len(ended) >= count, timeout)

    def wait_idle(self, timeout: float = 30) -> None:
        """Wait until nothing runs and nothing has arrived for 0.3 s: the host cannot know what a queue will deliver. Raises
        TimeoutError."""
        self._history.wait_idle(timeout)

    # -- for tests

    def advance(self, seconds: float) -> None:
        """Move the host's time forward: due locks are renewed, idle sessions end, functions time out. Move it before the
        time of the Service Bus, whose locks would end first."""
        background, loaded_app = self._alive()
        background.run(loaded_app.advance(seconds))

    def kill(self) -> None:
        """Kill the worker with the functions that run; another is started."""
        background, loaded_app = self._alive()
        background.run(loaded_app.kill())

    @property
    def faults(self) -> Faults:
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        """Replace the faults from the next delivery on."""
        self._faults = faults
        if self._loaded_app is not None:
            self._loaded_app.context.faults = faults

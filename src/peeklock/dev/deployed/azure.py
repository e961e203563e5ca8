"""Azure: one Service Bus namespace, and a Functions host for each function app that the program made."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from cloudqueues.functions_host import FunctionsHost
from cloudqueues.functions_host.settings import host_options
from cloudqueues.pulumi import azure
from cloudqueues.pulumi.resources import Cloud
from cloudqueues.servicebus import ServiceBusEmulator
from peeklock.dev.azure_worker import check_installed
from peeklock.dev.deployed.azure_state import RENDERED, App, apps, entry, opened
from peeklock.dev.deployed.local_context import Function, LocalContext, Resource, file
from peeklock.errors import ConfigError
from peeklock.platforms.servicebus.client import CONNECTION

NAMESPACE = "__fullyQualifiedNamespace"
"""Ends the name of a setting that connects by identity; the setting without it is a connection string, and comes first.
https://learn.microsoft.com/azure/azure-functions/functions-bindings-service-bus#connections"""

STORE, TABLES = "PEEKLOCK_STORE", "tables"

TELEMETRY = "APPLICATIONINSIGHTS_CONNECTION_STRING"
NOWHERE = (
    "InstrumentationKey=00000000-0000-0000-0000-000000000000;"
    "IngestionEndpoint=http://127.0.0.1:9/;LiveEndpoint=http://127.0.0.1:9/"
)
"""A connection string that Azure Monitor's SDKs take, to a port where nobody listens."""

PACKAGES = Path(".python_packages", "lib", "site-packages")
"""Of a bundle, beside its code.
https://learn.microsoft.com/azure/azure-functions/functions-reference-python#publishing-to-azure"""

_DISABLED = re.compile(r"AzureWebJobs\..+\.Disabled")
"""https://learn.microsoft.com/azure/azure-functions/disable-function"""


class AzureRunner:
    """A host here stands for all instances of its app (`maximumInstanceCount`): a function's concurrency is that of one.

    An app starts in a folder of its own with its `function_app.py` and `host.json`, and imports all the rest from `here`.
    The host itself tells it FUNCTIONS_WORKER_RUNTIME, as Azure's does, and PYTHONUNBUFFERED.
    """

    platform = "servicebus"

    def __init__(self, here: LocalContext, folder: Path) -> None:
        """`folder`: the Pulumi program's. Raises ConfigError where Azure's worker is not installed."""
        check_installed()
        self.emulator = ServiceBusEmulator()
        self._local = here
        self._folder = folder
        self._hosts: list[FunctionsHost] = []

    def open(self) -> Cloud:
        self.emulator.start()
        return azure.cloud(self.emulator)

    def functions(self, resources: Sequence[Resource]) -> list[Function]:
        """Once it is open: the namespace has an address then."""
        return [self._function(one) for one in apps(resources, self._folder)]

    def _function(self, app: App) -> Function:
        with opened(app) as package:
            options = host_options(package, app.settings)
            return Function(
                name=app.name,
                entry=entry(package),
                environment=app.settings,
                timeout=options.timeout,
                batch=options.batch,
                concurrency=options.calls,
                consuming=not any(
                    _DISABLED.fullmatch(name) and value.lower() in {"true", "1"} for name, value in app.settings.items()
                ),
                changed=self._changed(app),
            )

    def _changed(self, app: App) -> dict[str, str]:
        changed = dict.fromkeys(_connections(app.settings), self.emulator.connection_string)
        if STORE in app.settings:
            changed[STORE] = self._store(app)
        if TELEMETRY in app.settings:
            changed[TELEMETRY] = NOWHERE
        return changed

    def _store(self, app: App) -> str:
        """A file for each table. Raises ConfigError for a store elsewhere."""
        url = urlsplit(app.settings[STORE])
        if url.scheme != TABLES:
            raise ConfigError(
                f"function app {app.name!r}: {STORE}={app.settings[STORE]!r} is not on this machine, and only a table"
                " (tables://ACCOUNT/TABLE) is replaced by a file; give this stack a table"
            )
        return f"sqlite://{file(self._local.state.resolve(), app.settings[STORE])}.db"

    def serve(self, resources: Sequence[Resource], base: Mapping[str, str]) -> None:
        self._stop()
        try:
            for app in apps(resources, self._folder):
                function = self._function(app)
                if function.consuming:
                    self._hosts.append(self._host(app, function, base).start())
        except BaseException:
            self._stop()
            raise

    def _host(self, app: App, function: Function, base: Mapping[str, str]) -> FunctionsHost:
        host = FunctionsHost(
            self._placed(app),
            servicebus=self.emulator.connection_string,
            environ=self._local.environment(base, function, self._local.code.resolve() / PACKAGES),
            inherit=False,
        )
        host.on_line(lambda _, line: self._local.on_line(self.platform, line))
        return host

    def _placed(self, app: App) -> Path:
        """The app's own folder, with what is in its package now."""
        folder = self._local.state / "functions" / app.name
        folder.mkdir(parents=True, exist_ok=True)
        with opened(app) as package:
            for file in RENDERED:
                (folder / file).write_bytes((package / file).read_bytes())
        return folder

    def variables(self) -> Mapping[str, str]:
        return {CONNECTION: self.emulator.connection_string}

    def _stop(self) -> None:
        """All at once: each waits for what it runs."""
        hosts, self._hosts = self._hosts, []
        with ThreadPoolExecutor() as pool:
            for stopped in [pool.submit(one.stop) for one in hosts]:
                stopped.result()

    def close(self) -> None:
        self._stop()
        self.emulator.stop()


def _connections(settings: Mapping[str, str]) -> set[str]:
    """Settings for a connection string of Service Bus: those that are one, and those that an identity stands for."""
    named = {name.removesuffix(NAMESPACE) for name in settings if name.endswith(NAMESPACE)}
    return named | {name for name, value in settings.items() if value.startswith("Endpoint=sb://")}

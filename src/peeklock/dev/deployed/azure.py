"""Azure: one Service Bus namespace, and a Functions host for each function app that the program made."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from cloudqueues.functions_host import FunctionsHost
from cloudqueues.functions_host.settings import host_options
from cloudqueues.pulumi import azure
from cloudqueues.pulumi.resources import Cloud
from cloudqueues.servicebus import ServiceBusEmulator
from peeklock.dev.azure_worker import check_installed
from peeklock.dev.deployed.azure_state import RENDERED, App, apps, consumer, opened
from peeklock.dev.deployed.local_context import Function, LocalContext, Resource, local_file
from peeklock.dev.functions import RunningFunctions
from peeklock.dev.servicebus import PLATFORM, client_variables, functions_host
from peeklock.errors import ConfigError

NAMESPACE = "__fullyQualifiedNamespace"
"""Suffix of a setting that connects by identity; the setting without it is a connection string, and takes precedence.
https://learn.microsoft.com/azure/azure-functions/functions-bindings-service-bus#connections"""

STORE, TABLES = "PEEKLOCK_STORE", "tables"

TELEMETRY = "APPLICATIONINSIGHTS_CONNECTION_STRING"
NOWHERE = (
    "InstrumentationKey=00000000-0000-0000-0000-000000000000;"
    "IngestionEndpoint=http://127.0.0.1:9/;LiveEndpoint=http://127.0.0.1:9/"
)
"""A connection string that Azure Monitor's SDKs take, to a port where nobody listens."""

PACKAGES = Path(".python_packages", "lib", "site-packages")
"""Folder of a bundle's packages, beside its code.
https://learn.microsoft.com/azure/azure-functions/functions-reference-python#publishing-to-azure"""

_DISABLED = re.compile(r"AzureWebJobs\..+\.Disabled")
"""https://learn.microsoft.com/azure/azure-functions/disable-function"""


class AzureRunner:
    """A host for each app, in place of all its instances (`maximumInstanceCount`): a function's concurrency is that of one.

    An app starts in a folder of its own with its `function_app.py` and `host.json`, and imports all the rest from the code of
    the local context. The host itself sets FUNCTIONS_WORKER_RUNTIME, as Azure's does, and PYTHONUNBUFFERED.
    """

    platform = PLATFORM

    def __init__(self, local: LocalContext, folder: Path) -> None:
        """`folder`: folder of the Pulumi program. Raises ConfigError where Azure's worker is not installed."""
        check_installed()
        self.emulator = ServiceBusEmulator()
        self._local = local
        self._folder = folder
        self._running = RunningFunctions()

    def open(self) -> Cloud:
        self.emulator.start()
        return azure.cloud(self.emulator)

    def functions(self, resources: Sequence[Resource]) -> list[Function]:
        """Return the functions; only after `open`, since the namespace has an address then."""
        return [self._function(app) for app in apps(resources, self._folder)]

    def _function(self, app: App) -> Function:
        with opened(app) as package:
            options, handler = host_options(package, app.settings), consumer(package)
            return Function(
                name=app.name,
                entry=".".join(handler) if handler else RENDERED[0],
                environment=app.settings,
                timeout=options.timeout,
                batch=options.batch,
                concurrency=options.calls,
                consuming=not any(
                    _DISABLED.fullmatch(name) and value.lower() in {"true", "1"} for name, value in app.settings.items()
                ),
                changed=self._changed(app),
                target=":".join(handler) if handler else None,
                search_path=(self._local.code.resolve() / PACKAGES,),
            )

    def _changed(self, app: App) -> dict[str, str]:
        changed = dict.fromkeys(_connections(app.settings), self.emulator.connection_string)
        if STORE in app.settings:
            changed[STORE] = self._store(app)
        if TELEMETRY in app.settings:
            changed[TELEMETRY] = NOWHERE
        return changed

    def _store(self, app: App) -> str:
        """Return the address of the file that stands for a table. Raises ConfigError for another store."""
        url = urlsplit(app.settings[STORE])
        if url.scheme != TABLES:
            raise ConfigError(
                f"function app {app.name!r}: {STORE}={app.settings[STORE]!r} is not on this machine, and only a table"
                " (tables://ACCOUNT/TABLE) is replaced by a file; give this stack a table"
            )
        return f"sqlite://{local_file(self._local.state.resolve(), app.settings[STORE])}.db"

    def serve(self, resources: Sequence[Resource], base: Mapping[str, str]) -> None:
        pairs = [(app, self._function(app)) for app in apps(resources, self._folder)]
        self._running.replace([self._host(app, function, base) for app, function in pairs if function.consuming])

    def _host(self, app: App, function: Function, base: Mapping[str, str]) -> FunctionsHost:
        environ = self._local.environment(base, function, *function.search_path)
        return functions_host(self._placed(app), self.emulator, environ, self._local.on_line, inherit=False)

    def _placed(self, app: App) -> Path:
        """Return the app's own folder, with the rendered files of its package as it is now."""
        folder = self._local.state / "functions" / app.name
        folder.mkdir(parents=True, exist_ok=True)
        with opened(app) as package:
            for name in RENDERED:
                (folder / name).write_bytes((package / name).read_bytes())
        return folder

    def variables(self) -> Mapping[str, str]:
        return client_variables(self.emulator)

    def close(self) -> None:
        self._running.stop()
        self.emulator.stop()


def _connections(settings: Mapping[str, str]) -> set[str]:
    """Return the names of settings that connect to Service Bus, by a connection string or by an identity."""
    named = {name.removesuffix(NAMESPACE) for name in settings if name.endswith(NAMESPACE)}
    return named | {name for name, value in settings.items() if value.startswith("Endpoint=sb://")}

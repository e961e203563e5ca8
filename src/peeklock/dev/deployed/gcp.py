"""Google Cloud: the Cloud Tasks emulator, which the program is applied to, and functions-framework for each function.

Queues and tasks keep the addresses that the program gave them: the emulator connects to this machine for those of the
program's functions, and to nothing else. So hosts, audiences and tokens are the program's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from cloudqueues.cloudtasks import CloudTasksEmulator
from cloudqueues.pulumi import gcp
from cloudqueues.pulumi.resources import Cloud
from peeklock.bundle.project import load
from peeklock.dev.cloudtasks import PLATFORM, Target, free_port
from peeklock.dev.deployed import gcp_state
from peeklock.dev.deployed.gcp_state import Service
from peeklock.dev.deployed.local_context import Function, LocalContext, Resource
from peeklock.dev.functions import RunningFunctions
from peeklock.errors import ConfigError
from peeklock.redaction import shown

MAIN = "main.py"
"""File at the bundle's root. https://cloud.google.com/functions/docs/writing#directory-structure-python"""

LOOPBACK, HTTP = frozenset({"127.0.0.1", "localhost", "::1"}), 80

MOST = 4
"""Processes of a function: a laptop's share of what the platform would start. Requests beyond them wait their turn."""


class GcpRunner:
    """A framework for each function, with a process for each instance that it may have, up to `MOST`. Where an instance
    takes one request at a time, it is killed at the function's time-out; else the dispatch deadline, a little later, is
    what ends the wait for an answer."""

    platform = PLATFORM

    def __init__(self, local: LocalContext, _folder: Path) -> None:
        self._local = local
        self._tasks = CloudTasksEmulator()
        self._ports: dict[str, int] = {}
        """Ports of the functions that run, by name."""
        self._routes: Mapping[str, int] = {}
        self._running = RunningFunctions()

    def open(self) -> Cloud:
        self._tasks.start().route = self._route
        return gcp.cloud(self._tasks)

    def functions(self, resources: Sequence[Resource]) -> list[Function]:
        queues = gcp_state.queues(resources)
        return [
            self._function(service, queues, consuming=not gcp_state.paused(resources, service))
            for service in gcp_state.services(resources)
        ]

    def _function(self, service: Service, queues: frozenset[str], *, consuming: bool) -> Function:
        """Return a function. A task is a request, and one message."""
        return Function(
            name=service.name,
            entry=f"main.{service.entry}",
            environment=service.environment,
            timeout=service.timeout,
            batch=1,
            concurrency=service.instances * service.parallel,
            consuming=consuming,
            changed={
                **gcp_state.replaced(service.environment, self._local.state, queues),
                **_server_settings(service),
                "CLOUD_TASKS_EMULATOR_HOST": self._tasks.address,
                "PEEKLOCK_CERTS_URL": self._tasks.certs_url,
            },
            reached=dict.fromkeys(service.urls, f"http://127.0.0.1:{self._port(service.name)}"),
            target=f"main:{service.entry}",
            search_path=(_main(self._local.code).parent,),
        )

    def _port(self, name: str) -> int:
        if name not in self._ports:
            self._ports[name] = free_port()
        return self._ports[name]

    def serve(self, resources: Sequence[Resource], base: Mapping[str, str]) -> None:
        services, before = gcp_state.services(resources), self._ports
        self._ports = {}  # others than those of the functions that still run
        try:
            functions = self.functions(resources)
            pairs = zip(services, functions, strict=True)
            targets = [self._target(service.entry, function, base) for service, function in pairs]
            self._running.replace(targets, switch=partial(self._switch, services))
        except BaseException:
            self._ports = before
            raise

    def _switch(self, services: Sequence[Service]) -> None:
        self._routes = {url: self._port(service.name) for service in services for url in service.urls}

    def _target(self, entry: str, function: Function, base: Mapping[str, str]) -> Target:
        return Target(
            str(_main(self._local.code)),
            entry,
            self._port(function.name),
            self._local.environment(base, function),
            cwd=self._local.code,
            on_line=partial(self._local.on_line, self.platform),
        )

    def _route(self, url: str) -> tuple[str, int] | None:
        """Return host and port for a task's address: those of the function that has it, or of something else on this machine;
        None refuses the task. Called in the emulator's thread."""
        parts = urlsplit(url)
        for address, port in self._routes.items():
            at = urlsplit(address)
            if parts.hostname == at.hostname and f"{parts.path}/".startswith(f"{at.path.rstrip('/')}/"):
                return "127.0.0.1", port
        if parts.hostname in LOOPBACK:
            return parts.hostname, parts.port or HTTP
        self._local.on_line(self.platform, f"refused: a task is for {shown(url)}, which is no function of this stack")
        return None

    def variables(self) -> Mapping[str, str]:
        return {"CLOUD_TASKS_EMULATOR_HOST": self._tasks.address}

    def close(self) -> None:
        self._running.stop()
        self._tasks.stop()


def _server_settings(service: Service) -> dict[str, str]:
    """Return the framework's variables. An instance is a worker; its requests at once are threads, as they are in the cloud.
    https://github.com/GoogleCloudPlatform/functions-framework-python/blob/main/src/functions_framework/_http/gunicorn.py"""
    threads = {} if "THREADS" in service.environment else {"THREADS": str(service.parallel)}
    return {
        **threads,
        "WORKERS": str(min(service.instances, MOST)),
        "CLOUD_RUN_TIMEOUT_SECONDS": str(service.timeout),
    }


def _main(code: Path) -> Path:
    """Return the file with the functions: at a bundle's root; in a project, in the folder that becomes it. Raises
    ConfigError."""
    is_project = (code / "pyproject.toml").is_file()
    root = load(code, "gcp").root if is_project else None
    file = code / (root or ".") / MAIN
    if not file.is_file():
        raise ConfigError(
            f"no {MAIN} in {file.parent}: its folder is `root` of [tool.peeklock.bundle.gcp] in pyproject.toml"
        )
    return file

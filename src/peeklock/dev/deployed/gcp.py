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
from cloudqueues.errors import CloudqueuesError
from cloudqueues.pulumi import gcp
from cloudqueues.pulumi.resources import Cloud
from peeklock.bundle.project import load
from peeklock.dev.cloudtasks import Target, free_port
from peeklock.dev.deployed import gcp_state
from peeklock.dev.deployed.gcp_state import Service
from peeklock.dev.deployed.local_context import Function, LocalContext, Resource
from peeklock.errors import ConfigError, PeeklockError
from peeklock.redaction import shown

MAIN = "main.py"
"""At the bundle's root. https://cloud.google.com/functions/docs/writing#directory-structure-python"""

LOOPBACK, HTTP = frozenset({"127.0.0.1", "localhost", "::1"}), 80

MOST = 4
"""Processes of a function: a laptop's share of what the platform would start. Requests beyond them wait their turn."""


class GcpRunner:
    """A framework for each function, with a process for each instance that it may have, up to `MOST`. Where an instance
    takes one request at a time, it is killed at the function's time-out; else the dispatch deadline, a little later, is
    what ends the wait for an answer."""

    platform = "cloudtasks"

    def __init__(self, here: LocalContext, _folder: Path) -> None:
        self._local = here
        self._tasks = CloudTasksEmulator()
        self._ports: dict[str, int] = {}
        """By a function's name, for as long as this runs."""
        self._routes: Mapping[str, int] = {}
        self._targets: list[Target] = []

    def open(self) -> Cloud:
        self._tasks.start().route = self._route
        return gcp.cloud(self._tasks)

    def functions(self, resources: Sequence[Resource]) -> list[Function]:
        made = gcp_state.queues(resources)
        return [
            self._function(one, made, consuming=not gcp_state.paused(resources, one))
            for one in gcp_state.services(resources)
        ]

    def _function(self, service: Service, made: frozenset[str], *, consuming: bool) -> Function:
        """A task is a request, and one message."""
        return Function(
            name=service.name,
            entry=f"main.{service.entry}",
            environment=service.environment,
            timeout=service.timeout,
            batch=1,
            concurrency=service.instances * service.parallel,
            consuming=consuming,
            changed={
                **gcp_state.moved(service.environment, self._local.state, made),
                **_served(service),
                "CLOUD_TASKS_EMULATOR_HOST": self._tasks.address,
                "PEEKLOCK_CERTS_URL": self._tasks.certs_url,
            },
            reached=dict.fromkeys(service.urls, f"http://127.0.0.1:{self._port(service.name)}"),
        )

    def _port(self, name: str) -> int:
        if name not in self._ports:
            self._ports[name] = free_port()
        return self._ports[name]

    def serve(self, resources: Sequence[Resource], base: Mapping[str, str]) -> None:
        self._stop()
        services, functions = gcp_state.services(resources), self.functions(resources)
        self._routes = {url: self._port(one.name) for one in services for url in one.urls}
        try:
            for service, function in zip(services, functions, strict=True):
                self._targets.append(self._target(service.entry, function, base))
            for target in self._targets:
                target.wait()
        except (PeeklockError, CloudqueuesError):
            self._stop()
            raise

    def _target(self, entry: str, one: Function, base: Mapping[str, str]) -> Target:
        return Target(
            _main(self._local.code),
            entry,
            self._port(one.name),
            self._local.environment(base, one),
            cwd=self._local.code,
            on_line=partial(self._local.on_line, self.platform),
        )

    def _route(self, url: str) -> tuple[str, int] | None:
        """To the function whose address it is, or to what is on this machine anyway. Called in the emulator's thread."""
        parts = urlsplit(url)
        for known, port in self._routes.items():
            at = urlsplit(known)
            if parts.hostname == at.hostname and f"{parts.path}/".startswith(f"{at.path.rstrip('/')}/"):
                return "127.0.0.1", port
        if parts.hostname in LOOPBACK:
            return parts.hostname, parts.port or HTTP
        self._local.on_line(self.platform, f"refused: a task is for {shown(url)}, which is no function of this stack")
        return None

    def variables(self) -> Mapping[str, str]:
        return {"CLOUD_TASKS_EMULATOR_HOST": self._tasks.address}

    def _stop(self) -> None:
        while self._targets:
            self._targets.pop().stop()

    def close(self) -> None:
        self._stop()
        self._tasks.stop()


def _served(service: Service) -> dict[str, str]:
    """What the framework goes by. An instance is a worker; its requests at once are threads, as they are in the cloud.
    https://github.com/GoogleCloudPlatform/functions-framework-python/blob/main/src/functions_framework/_http/gunicorn.py"""
    threads = {} if "THREADS" in service.environment else {"THREADS": str(service.parallel)}
    return {
        **threads,
        "WORKERS": str(min(service.instances, MOST)),
        "CLOUD_RUN_TIMEOUT_SECONDS": str(service.timeout),
    }


def _main(code: Path) -> str:
    """The file with the functions: at a bundle's root; in a project, in the folder that will be it. Raises ConfigError."""
    is_project = (code / "pyproject.toml").is_file()
    root = load(code, "gcp").root if is_project else None
    file = code / (root or ".") / MAIN
    if not file.is_file():
        raise ConfigError(
            f"no {MAIN} in {file.parent}: its folder is `root` of [tool.peeklock.bundle.gcp] in pyproject.toml"
        )
    return str(file)

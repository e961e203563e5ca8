"""Google Cloud: the Cloud Tasks emulator, which the program is applied to, and functions-framework for each function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from peeklock.bundle.project import load
from peeklock.dev.cloudtasks import Target, free_port
from peeklock.dev.deployed import gcp_state
from peeklock.dev.deployed.gcp_keys import Keys
from peeklock.dev.deployed.gcp_state import Service
from peeklock.dev.deployed.place import Function, Here, Resource
from peeklock.emulators.cloudtasks import CloudTasksEmulator
from peeklock.emulators.pulumi import gcp
from peeklock.emulators.pulumi.kinds import Cloud
from peeklock.errors import ConfigError, PeeklockError

MAIN = "main.py"
"""At the bundle's root. https://cloud.google.com/functions/docs/writing#directory-structure-python"""

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

MOST_WORKERS = 32
"""Processes of a function: a program may ask for a thousand instances, and this is one machine."""


class GcpDeployed:
    """A function's instances are the framework's processes. Its queue keeps the address that the program gave it, and the
    emulator sends to this machine what is sent there: so what `pulumi refresh` finds is what was made."""

    platform = "cloudtasks"

    def __init__(self, here: Here, _folder: Path) -> None:
        self._here = here
        self._tasks = CloudTasksEmulator(route=self._route)
        self._keys = Keys(here.state)
        self._ports: dict[str, int] = {}
        self._routes: Mapping[str, str] = {}
        self._targets: list[Target] = []

    def open(self) -> Cloud:
        self._keys.start()
        return gcp.cloud(self._tasks.start())

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
            entry=service.entry,
            environment=service.environment,
            timeout=service.timeout,
            batch=1,
            concurrency=service.instances * service.parallel,
            consuming=consuming,
            changed={
                **gcp_state.moved(service.environment, self._here.state, made),
                **self._keys.variables(service.environment),
                **_served(service),
                "CLOUD_TASKS_EMULATOR_HOST": self._tasks.address,
            },
            reached=dict.fromkeys(service.urls, self._url(service.name)),
        )

    def _url(self, name: str) -> str:
        """Of a function, the same for as long as this runs."""
        return f"http://127.0.0.1:{self._ports.setdefault(name, free_port())}"

    def serve(self, resources: Sequence[Resource], base: Mapping[str, str]) -> None:
        self._stop()
        wanted = self.functions(resources)
        self._routes = {url: here for one in wanted for url, here in one.reached.items()}
        self._keys.onward(base.get("HTTPS_PROXY"))
        try:
            main = _main(self._here.code) if wanted else ""
            self._targets.extend(self._target(one, main, base) for one in wanted)
            for target in self._targets:
                target.wait()
        except PeeklockError:
            self._stop()
            raise

    def _target(self, one: Function, main: str, base: Mapping[str, str]) -> Target:
        return Target(
            main,
            one.entry,
            self._ports[one.name],
            {**base, "PYTHONPATH": self._here.path(base), **one.environment, **one.changed},
            cwd=self._here.code,
            on_line=partial(self._here.on_line, self.platform),
        )

    def _route(self, url: str) -> str:
        """Where a task's URL leads: called in the emulator's thread."""
        for known, here in self._routes.items():
            if url == known or url.startswith((f"{known}/", f"{known}?")):
                return here + url.removeprefix(known)
        if urlsplit(url).hostname in LOOPBACK:
            return url
        self._here.on_line(self.platform, f"refused: a task is for {url}, which is no function of this stack")
        return ""

    def variables(self) -> Mapping[str, str]:
        return {"CLOUD_TASKS_EMULATOR_HOST": self._tasks.address}

    def _stop(self) -> None:
        while self._targets:
            self._targets.pop().stop()

    def close(self) -> None:
        self._stop()
        self._tasks.stop()
        self._keys.close()


def _served(service: Service) -> dict[str, str]:
    """What the framework goes by. An instance is a worker; its requests at once are threads, as they are in the cloud.
    https://github.com/GoogleCloudPlatform/functions-framework-python/blob/main/src/functions_framework/_http/gunicorn.py"""
    threads = {} if "THREADS" in service.environment else {"THREADS": str(service.parallel)}
    return {
        **threads,
        "WORKERS": str(min(service.instances, MOST_WORKERS)),
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

"""Google Cloud: a Cloud Tasks queue is the emulator's, a function of Cloud Run runs under functions-framework.

Queues and tasks keep the addresses that the program gave them: the emulator connects to this machine for those of the
program's functions, and to nothing else. So hosts, audiences and tokens are the program's own.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from peeklock.dev.cloudtasks import Target, free_port
from peeklock.dev.deployed.place import Function, Here, Resource
from peeklock.emulators.cloudtasks import CloudTasksEmulator
from peeklock.emulators.pulumi import gcp
from peeklock.emulators.pulumi.kinds import Cloud
from peeklock.errors import ConfigError, PeeklockError

FUNCTION = "gcp:cloudfunctionsv2/function:Function"

MOST = 4
"""Processes of a function: a laptop's share of what the platform would start. Requests beyond them wait their turn."""

TIMEOUT, INSTANCES, REQUESTS = 60, 100, 1
"""Google's own, where a program says nothing; the time-out in seconds.
https://cloud.google.com/functions/docs/reference/rest/v2/projects.locations.functions#ServiceConfig"""

FILES = {"firestore": "sqlite://{}.db", "pubsub": "file://{}.jsonl"}
"""What stands for an address of a scheme whose emulator is not at hand: a file of the same name."""

MAIN = "main.py"
"""Where the build looks for functions. https://cloud.google.com/run/docs/write-functions#directory-structure-python"""


class GcpDeployed:
    """A framework for each function, with a process for each instance that it may have, up to `MOST`. Where an instance
    takes one request at a time, it is killed at the function's time-out; else the dispatch deadline, a little later, is
    what ends the wait for an answer."""

    platform = "cloudtasks"

    def __init__(self, here: Here, folder: Path) -> None:  # noqa: ARG002 (other clouds read files of the program)
        self._here = here
        self._emulator = CloudTasksEmulator()
        self._ports: dict[str, int] = {}
        self._targets: list[Target] = []

    def open(self) -> Cloud:
        self._emulator.start()
        self._emulator.route = self._route
        return gcp.cloud(self._emulator)

    def _route(self, url: str) -> tuple[str, int] | None:
        """To the function whose address it is."""
        parts = urlsplit(url)
        for address, port in self._ports.items():
            at = urlsplit(address)
            if parts.hostname == at.hostname and f"{parts.path}/".startswith(f"{at.path.rstrip('/')}/"):
                return "127.0.0.1", port
        return None

    def functions(self, resources: Sequence[Resource]) -> list[Function]:
        return [self._function(one["inputs"]) for one in _made(resources)]

    def _function(self, inputs: Mapping[str, Any]) -> Function:
        service = inputs.get("serviceConfig", {})
        environment = service.get("environmentVariables", {})
        requests, instances = (
            service.get(name, default)
            for name, default in (("maxInstanceRequestConcurrency", REQUESTS), ("maxInstanceCount", INSTANCES))
        )
        return Function(
            name=inputs["name"],
            entry=f"{MAIN}:{_entry(inputs)}",
            environment=environment,
            timeout=service.get("timeoutSeconds", TIMEOUT),
            batch=1,
            concurrency=instances * requests,
            changed={
                "WORKERS": str(min(instances, MOST)),
                "CLOUD_RUN_TIMEOUT_SECONDS": str(service.get("timeoutSeconds", TIMEOUT)),  # as the platform says it
                "CLOUD_TASKS_EMULATOR_HOST": self._emulator.address,
                "PEEKLOCK_CERTS_URL": self._emulator.certs_url,
                **{name: made for name, value in environment.items() if (made := self._file(value))},
            },
        )

    def _file(self, value: str) -> str | None:
        """Instead of an address of a service that has no emulator here."""
        scheme, _, rest = value.partition("://")
        if scheme not in FILES:
            return None
        return FILES[scheme].format(self._here.state.resolve() / f"{scheme}-{rest.replace('/', '-')}")

    def serve(self, resources: Sequence[Resource], base: Mapping[str, str]) -> None:
        self._stop()
        try:
            for one in _made(resources):
                self._start(one, base)
            for target in self._targets:
                target.wait()
        except PeeklockError:
            self._stop()
            raise

    def _start(self, one: Resource, base: Mapping[str, str]) -> None:
        wanted = self._function(one["inputs"])
        port = free_port()
        self._ports |= dict.fromkeys(_addresses(one), port)
        environ = {**base, "PYTHONPATH": self._here.path(base), **wanted.environment, **wanted.changed}
        target = Target(
            str(self._main()),
            _entry(one["inputs"]),
            port,
            environ,
            cwd=self._here.code,
            on_line=partial(self._here.on_line, self.platform),
        )
        self._targets.append(target)

    def _main(self) -> Path:
        """At the root of an unzipped bundle; in a project, at the root of what its bundle is made of."""
        for folder in (self._here.code, self._here.code / self._root()):
            if (folder / MAIN).is_file():
                return folder / MAIN
        raise ConfigError(
            f"no {MAIN} in {self._here.code}, where Google looks for functions; say where it lies, as root = ... in"
            " [tool.peeklock.bundle.gcp] of pyproject.toml"
        )

    def _root(self) -> str:
        file = self._here.code / "pyproject.toml"
        table = tomllib.loads(file.read_text("utf-8")) if file.is_file() else {}
        return str(table.get("tool", {}).get("peeklock", {}).get("bundle", {}).get("gcp", {}).get("root", ""))

    def variables(self) -> Mapping[str, str]:
        return {"CLOUD_TASKS_EMULATOR_HOST": self._emulator.address}

    def _stop(self) -> None:
        self._ports.clear()
        while self._targets:
            self._targets.pop().stop()

    def close(self) -> None:
        self._stop()
        self._emulator.stop()


def _made(resources: Sequence[Resource]) -> list[Resource]:
    return sorted((one for one in resources if one["type"] == FUNCTION), key=lambda one: str(one["inputs"]["name"]))


def _entry(inputs: Mapping[str, Any]) -> str:
    """Raises ConfigError for a function that no Python runs."""
    build = inputs.get("buildConfig", {})
    if not str(build.get("runtime", "")).startswith("python") or not build.get("entryPoint"):
        raise ConfigError(
            f"function {inputs['name']}: only functions in Python, with an entry point, run on this machine; leave it out of"
            " this stack"
        )
    return str(build["entryPoint"])


def _addresses(one: Resource) -> Iterator[str]:
    """By which it is called: the one that follows from its name, and those that the platform tells.
    https://cloud.google.com/functions/docs/calling/http#url"""
    inputs, outputs = one["inputs"], one.get("outputs", {})
    yield f"https://{inputs['location']}-{inputs['project']}.cloudfunctions.net/{inputs['name']}"
    told = (outputs.get("url"), outputs.get("serviceConfig", {}).get("uri"))
    yield from (str(each) for each in told if each)

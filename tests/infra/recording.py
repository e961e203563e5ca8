"""Runs a Pulumi program in this process, and says what it registered.

No engine, no provider, no network: what the program would tell the engine is recorded, and answered with invented ids
and outputs (cloudqueues.pulumi.fake_outputs). `preview=True` leaves the outputs unknown, as the first real preview
does: code that must know them breaks here too.

    recorded = run_program(ROOT / "infra" / "aws", "dev")
    for one in recorded.of("aws:sqs/queue:Queue"):
        assert recorded.depends(one, other)

A file that a program reads by a relative path is found from the program's folder. One program runs at a time, because
working directory and modules are the process's.
"""

from __future__ import annotations

import asyncio
import json
import os
import runpy
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import empty_pb2
from pulumi.runtime import configure, set_all_config
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.settings import Settings
from pulumi.runtime.stack import run_in_stack

from cloudqueues.pulumi import fake_outputs
from cloudqueues.pulumi.resources import unknown_beyond
from cloudqueues.pulumi.wire import plain, readable, struct

STACK = "pulumi:pulumi:Stack"

Answers = Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """One resource as the program told it to the engine. URNs are whole; tuples are sorted."""

    type: str
    name: str
    urn: str
    custom: bool
    read: bool
    """Looked up with a `get`: the engine would never change it."""
    inputs: Mapping[str, Any]
    """Inputs as on the wire (camelCase), whole numbers as int, assets as `{"$archive": path}`; for a read one, its `id`
    too."""
    parent: str
    dependencies: tuple[str, ...] = ()
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    protect: bool = False
    retain_on_delete: bool = False
    aliases: tuple[str, ...] = ()
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    delete_before_replace: bool = False
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Registrations of a program, sorted by URN and without the stack itself, and its exports."""

    registrations: tuple[Registration, ...]
    outputs: Mapping[str, Any]
    log: tuple[str, ...]
    """Messages to the user: warnings and errors."""

    def of(self, type_: str) -> tuple[Registration, ...]:
        """All of one type."""
        return tuple(registration for registration in self.registrations if registration.type == type_)

    def named(self, name: str, type_: str | None = None) -> Registration:
        """The only one of that name. Raises LookupError if there is none, or there are several."""
        matches = [
            registration
            for registration in self.registrations
            if registration.name == name and type_ in {None, registration.type}
        ]
        if len(matches) != 1:
            existing = ", ".join(
                sorted({f"{registration.name} ({registration.type})" for registration in self.registrations})
            )
            raise LookupError(f"{len(matches)} resources are called {name!r}; there are {existing}")
        return matches[0]

    def depends(self, registration: Registration, on: Registration) -> bool:
        """Return whether the engine would make `on` first, directly or through others."""
        return on.urn in self.closure(registration)

    def closure(self, registration: Registration) -> frozenset[str]:
        """URNs of all that must exist before it."""
        by_urn = {each.urn: each for each in self.registrations}
        urns: set[str] = set()
        waiting = list(registration.dependencies)
        while waiting:
            if (urn := waiting.pop()) not in urns:
                urns.add(urn)
                waiting += by_urn[urn].dependencies if urn in by_urn else ()
        return frozenset(urns)


_ONE_AT_A_TIME = threading.RLock()


def run_program(
    folder: Path,
    stack: str,
    *,
    config: Mapping[str, Any] | None = None,
    preview: bool = False,
    answers: Answers | None = None,
) -> Recorded:
    """Runs `folder`'s program for a stack, configured by its `Pulumi.<stack>.yaml` and then by `config`.

    `config` has the same shape as the file's `config`: names without a colon are the project's. `answers` add to what
    the program may ask a cloud: `{"aws:sqs/getQueue:getQueue": lambda asked: {...}}`. Raises whatever the program raises,
    and LookupError for a question that has no answer.
    """
    project = yaml.safe_load((folder / "Pulumi.yaml").read_text(encoding="utf-8"))["name"]
    chosen = configuration(project, {**_of_stack(folder, stack), **(config or {})})
    monitor = Monitor(project, stack, preview=preview, answers={**fake_outputs.FUNCTIONS, **(answers or {})})
    with _ONE_AT_A_TIME, _no_warnings_of_an_sdk(), _inside(folder):
        _in_a_thread(lambda: _run(lambda: runpy.run_path(str(folder), run_name="__main__"), monitor, chosen))
    return monitor.recorded()


def run_function(
    program: Callable[[], Any],
    *,
    config: Mapping[str, Any] | None = None,
    preview: bool = False,
    answers: Answers | None = None,
) -> Recorded:
    """Run a function as `run_program` runs a program; the project is `test`, the stack `dev`. An answer of the type
    `pulumi:pulumi:StackReference` has the `outputs` of the other stack."""
    monitor = Monitor("test", "dev", preview=preview, answers={**fake_outputs.FUNCTIONS, **(answers or {})})
    with _ONE_AT_A_TIME, _no_warnings_of_an_sdk():
        _in_a_thread(lambda: _run(program, monitor, configuration("test", config or {})))
    return monitor.recorded()


def configuration(project: str, config: Mapping[str, Any]) -> dict[str, str]:
    """Return the configuration as the engine hands it to a program: whole names, and text; JSON for what is no text."""
    return {
        name if ":" in name else f"{project}:{name}": value if isinstance(value, str) else json.dumps(value)
        for name, value in config.items()
    }


class Monitor:
    """Stand-in for the engine's resource monitor; its methods are called from several threads."""

    def __init__(self, project: str, stack: str, *, preview: bool, answers: Answers) -> None:
        self.project, self.stack, self.preview, self.answers = project, stack, preview, answers
        self._found: dict[str, Registration] = {}
        self._outputs: dict[str, Any] = {}
        self._log: list[str] = []

    def recorded(self) -> Recorded:
        registrations = tuple(self._found[urn] for urn in sorted(self._found))
        return Recorded(registrations=registrations, outputs=self._outputs, log=tuple(self._log))

    def GetDeploymentInfo(self, request):  # noqa: N802
        """Alias specifications only: without the other features the runtime sends plain values, which read better."""
        return resource_pb2.DeploymentInfo(supportedFeatures=[resource_pb2.RESOURCE_MONITOR_FEATURE_ALIAS_SPECS])

    def RegisterResource(self, request):  # noqa: N802
        urn = self._urn(request)
        if request.type == STACK:
            return resource_pb2.RegisterResourceResponse(urn=urn)
        inputs = readable(plain(request.object))
        self._keep(_registration(request, urn, inputs))
        if not request.custom:
            return resource_pb2.RegisterResourceResponse(urn=urn, object=request.object)
        id_, state = self._state(request, request.object)
        if self.preview:
            state = unknown_beyond(plain(request.object), state)
            return resource_pb2.RegisterResourceResponse(urn=urn, object=struct(state))
        return resource_pb2.RegisterResourceResponse(urn=urn, id=id_, object=struct(state))

    def ReadResource(self, request):  # noqa: N802
        urn = self._urn(request)
        inputs = readable(plain(request.properties))
        self._keep(_read(request, urn, {**inputs, "id": request.id}))
        _, state = self._state(request, request.properties)
        return resource_pb2.ReadResourceResponse(urn=urn, properties=struct(state))

    def RegisterResourceOutputs(self, request):  # noqa: N802
        if f"::{STACK}::" in request.urn:
            self._outputs = readable(plain(request.outputs))
        return empty_pb2.Empty()

    def Invoke(self, request):  # noqa: N802
        if request.tok not in self.answers:
            raise LookupError(
                f"the program asks {request.tok}: give run_program an answer; there are {sorted(self.answers)}"
            )
        answer = struct(self.answers[request.tok](plain(request.args)))
        return resource_pb2.ResourceInvokeResponse(**{"return": answer})

    def RegisterPackage(self, request):  # noqa: N802
        return resource_pb2.RegisterPackageResponse(ref="")

    def SignalAndWaitForShutdown(self, request):  # noqa: N802
        return empty_pb2.Empty()

    def Log(self, request):  # noqa: N802
        """The engine's, rather than the monitor's. Debug messages (0) are the runtime's own chatter."""
        if request.severity > 0:
            self._log.append(request.message)

    def _urn(self, request) -> str:
        above = request.parent.split("::")[2] + "$" if request.parent and f"::{STACK}::" not in request.parent else ""
        return f"urn:pulumi:{self.stack}::{self.project}::{above}{request.type}::{request.name}"

    def _keep(self, registration: Registration) -> None:
        if self._found.setdefault(registration.urn, registration) is not registration:
            raise LookupError(f"{registration.urn} is registered twice: the engine refuses that")

    def _state(self, request, inputs) -> tuple[str, dict[str, Any]]:
        if request.type.startswith("pulumi:"):
            more = self.answers[request.type](plain(inputs)) if request.type in self.answers else {}
            return f"{request.name}-id", {**plain(inputs), **more}
        return fake_outputs.state(request.type, request.name, plain(inputs))


def _registration(request, urn: str, inputs: Mapping[str, Any]) -> Registration:
    dependencies = {
        name: tuple(sorted(dependency.urns))
        for name, dependency in request.propertyDependencies.items()
        if dependency.urns
    }
    return Registration(
        type=request.type,
        name=request.name,
        urn=urn,
        custom=request.custom,
        read=False,
        inputs=inputs,
        parent=request.parent,
        dependencies=tuple(sorted(request.dependencies)),
        property_dependencies=dependencies,
        protect=request.protect,
        retain_on_delete=request.retainOnDelete,
        aliases=tuple(sorted([*request.aliasURNs, *map(_alias, request.aliases)])),
        ignore_changes=tuple(sorted(request.ignoreChanges)),
        replace_on_changes=tuple(sorted(request.replaceOnChanges)),
        delete_before_replace=request.deleteBeforeReplace,
        version=request.version,
    )


def _read(request, urn: str, inputs: Mapping[str, Any]) -> Registration:
    return Registration(
        type=request.type,
        name=request.name,
        urn=urn,
        custom=True,
        read=True,
        inputs=inputs,
        parent=request.parent,
        dependencies=tuple(sorted(request.dependencies)),
        version=request.version,
    )


def _alias(alias) -> str:
    """A URN, or what the alias says was different: `name=old`, `type=old`, `parent=...`."""
    if alias.WhichOneof("alias") == "urn":
        return alias.urn
    return ", ".join(f"{descriptor.name}={value}" for descriptor, value in alias.spec.ListFields() if value)


def _of_stack(folder: Path, stack: str) -> dict[str, Any]:
    content = yaml.safe_load((folder / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))
    return (content or {}).get("config") or {}


def _run(program: Callable[[], Any], monitor: Monitor, config: dict[str, str]) -> None:
    """On an event loop of its own, which is closed with all that was left on it: a failed program leaves a lot."""
    configure(
        Settings(
            project=monitor.project,
            stack=monitor.stack,
            monitor=monitor,
            engine=monitor,
            dry_run=monitor.preview,
            organization="organization",
        )
    )
    set_all_config(config, [])

    def silent(loop, context) -> None:
        """Ignore what a failed resource breaks further on: the first error is raised."""

    with asyncio.Runner() as runner:
        runner.get_loop().set_exception_handler(silent)
        runner.run(run_in_stack(lambda: program() and None))


def _in_a_thread(task: Callable[[], None]) -> None:
    """In a fresh thread and a fresh context: the runtime keeps its state in context variables."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            Context().run(task)
        except BaseException as exc:  # noqa: BLE001 (raised where the caller sees it)
            failed.append(exc)

    thread = threading.Thread(target=run, name="pulumi-program")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


@contextmanager
def _no_warnings_of_an_sdk() -> Iterator[None]:
    """pulumi_aws.lambda_ warns of a module of its own that nobody asked for."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="pulumi_")
        yield


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """In the program's folder, as the engine runs it; afterwards the process is as before, without the program's modules."""
    modules, path, cwd = set(sys.modules), list(sys.path), Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(cwd)
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            if str(getattr(sys.modules[name], "__file__", None) or "").startswith(f"{folder.resolve()}{os.sep}"):
                del sys.modules[name]

"""The unmodified `pulumi` command on a program's folder, with stand-ins for the clouds, and no way to reach one.

    with Engine(ROOT / "infra" / "aws", [aws.cloud(sqs.endpoint_url, ROOT / "infra" / "aws")]) as engine:
        engine.init("dev")
        engine.up("dev").steps              # {"create": [...]}
        engine.outputs("dev")

The folder is only read: a stack's file is copied, because the command writes its salt into it. State and settings are in a
temporary folder.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pulumi.runtime.proto import language_pb2_grpc, provider_pb2_grpc

from cloudqueues.pulumi import command, stackfile, wire
from cloudqueues.pulumi.commands import Commands, EngineError
from cloudqueues.pulumi.environment import for_functions, hermetic
from cloudqueues.pulumi.language import Host
from cloudqueues.pulumi.program import FILES
from cloudqueues.pulumi.provider import Provider, serve
from cloudqueues.pulumi.refusing_proxy import RefusingProxy
from cloudqueues.pulumi.resources import Cloud

__all__ = ["Engine", "EngineError", "RunResult", "Step"]

LONGEST = 300.0
"""Seconds after which a command is stopped."""

GRACE = 10.0
"""Seconds between an interrupt, after which `pulumi` saves its state and unlocks the stack, and a kill."""

LOADED = "loaded.txt"
"""Name of the file, in the engine's own folder, that lists the files which the program has loaded."""

QUIET = frozenset({"same", "read", "refresh"})
"""Steps that change nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A change of one resource, done by the engine or announced by a preview."""

    op: str
    """The engine's own word: create, update, delete, replace, create-replacement, delete-replaced, ..."""
    urn: str
    changed: tuple[str, ...]
    """Names of the inputs that differ."""

    @property
    def name(self) -> str:
        return self.urn.rsplit("::", 1)[1]

    @property
    def type(self) -> str:
        return self.urn.split("::")[2].rsplit("$", 1)[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """Output and steps of one command."""

    output: str
    steps: tuple[Step, ...]
    """Steps that change something, by URN; without the stack itself and the providers."""

    def of(self, op: str) -> list[str]:
        """Return the names of the resources with this step."""
        return [step.name for step in self.steps if step.op == op]


class Engine:
    """The command, its state and its stand-ins, within a `with`.

    Few variables of `environ` (by default this process's) are passed on (environment.PASSED_ON); `program_environ` are
    additional variables of the program. `on_refused` is called, in a thread, with the address of each request beyond this
    machine. The engine's temporary folder is made in `home`, by default the system's; it stays where the process is killed.
    """

    def __init__(
        self,
        folder: Path,
        clouds: Iterable[Cloud],
        *,
        pulumi: Path | None = None,
        environ: Mapping[str, str] | None = None,
        program_environ: Mapping[str, str] | None = None,
        on_refused: Callable[[str], None] = lambda _: None,
        home: Path | None = None,
        longest: float = LONGEST,
    ) -> None:
        self.folder = folder.resolve()
        self._clouds = tuple(clouds)
        self._user_environ = dict(os.environ if environ is None else environ)
        self._pulumi = pulumi or command.find(path=self._user_environ.get("PATH"))
        self._program_environ = dict(program_environ or {})
        self._stack = ExitStack()
        self._proxy = RefusingProxy(on_refused)
        self._host = Host(lambda: self._for_programs)
        self._commands = Commands(longest, GRACE, self._host.close)
        self._providers: dict[str, Provider] = {}
        self._environment: dict[str, str] = {}
        self._copied: dict[str, str] = {}
        self._parent_folder = home
        self._home = Path()

    def __enter__(self) -> Self:
        """Start the servers. Raises OSError where one cannot start."""
        with ExitStack() as stack:
            folder = tempfile.TemporaryDirectory(prefix="peeklock-pulumi-", dir=self._parent_folder)
            self._home = Path(stack.enter_context(folder))
            (self._home / "state").mkdir()
            stack.enter_context(self._proxy)
            ports = {cloud.package: self._serve(stack, cloud) for cloud in self._clouds}
            host = self._host
            server, port = serve(lambda to: language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, to))
            stack.callback(lambda: server.stop(None).wait())
            stack.callback(host.close)
            self._environment = hermetic(
                self._user_environ, home=self._home, providers=ports, language=port, proxy_port=self._proxy.port
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _serve(self, stack: ExitStack, cloud: Cloud) -> int:
        stack.callback(cloud.close)
        provider = self._providers[cloud.package] = Provider(cloud)
        server, port = serve(lambda to: provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, to))
        stack.callback(lambda: server.stop(None).wait())
        return port

    @property
    def refused_addresses(self) -> tuple[str, ...]:
        """Addresses beyond this machine that a process of this engine has requested, in vain."""
        return self._proxy.refused_addresses

    @property
    def types(self) -> dict[str, str]:
        """Types that the program has asked for, each with `applied`, `recorded` or `refused`."""
        types = (item for provider in self._providers.values() for item in provider.types.items())
        return dict(sorted(types))

    @property
    def files(self) -> frozenset[Path]:
        """Files that the last run of the program has loaded, without installed packages."""
        listing = self._home / LOADED
        lines = listing.read_text(encoding="utf-8").splitlines() if listing.is_file() else ()
        return frozenset(map(Path, lines))

    @property
    def for_functions(self) -> dict[str, str]:
        """Environment of a process that runs a deployed function: few variables of the user, and no way to a cloud."""
        return for_functions(self._user_environ, home=self._home, proxy_port=self._proxy.port)

    @property
    def _for_programs(self) -> dict[str, str]:
        """Environment of a program, without the ports of the stand-ins: only the engine needs those."""
        own = {name: value for name, value in self._environment.items() if not name.startswith("PULUMI_DEBUG_")}
        return {**own, **self._program_environ, FILES: str(self._home / LOADED)}

    # -- commands

    def init(self, stack: str) -> None:
        """Run `pulumi stack init` on a copy of the stack's file. Raises ConfigError for a file with encrypted values."""
        copies = self._copies(stack)
        copies.mkdir()
        if (self.folder / "Pulumi.yaml").is_file():
            shutil.copyfile(self.folder / "Pulumi.yaml", copies / "Pulumi.yaml")
        (copies / f"Pulumi.{stack}.yaml").write_text(self._settings(stack), encoding="utf-8")
        self.command("stack", "init", stack, "--no-select", cwd=copies)

    def _settings(self, stack: str) -> str:
        """Return the text of the stack's file, as it is now."""
        text = stackfile.readable(self.folder / f"Pulumi.{stack}.yaml")
        self._copied[stack] = text
        return text

    def _renew(self, stack: str) -> Path:
        """Return the copy of the stack's file. It keeps values set by `--config` until the file itself changes."""
        copy, before = self._copies(stack) / f"Pulumi.{stack}.yaml", self._copied[stack]
        if (text := self._settings(stack)) != before:
            copy.write_text(text + stackfile.salt(copy.read_text(encoding="utf-8")), encoding="utf-8")
        return copy

    def preview(self, stack: str, *options: str) -> RunResult:
        return self._run("preview", stack, *options)

    def up(self, stack: str, *options: str) -> RunResult:
        return self._run("up", stack, "--yes", "--skip-preview", *options)

    def refresh(self, stack: str, *options: str) -> RunResult:
        return self._run("refresh", stack, "--yes", "--skip-preview", *options)

    def destroy(self, stack: str, *options: str) -> RunResult:
        return self._run("destroy", stack, "--yes", "--skip-preview", *options)

    def outputs(self, stack: str) -> Any:
        """Return the outputs that the program exports."""
        return json.loads(self.command("stack", "output", "--json", "--stack", stack))

    def resources(self, stack: str) -> list[dict[str, Any]]:
        """Return the resources of the state in the engine's own form (`pulumi stack export`), with secrets in plain text."""
        exported = json.loads(self.command("stack", "export", "--show-secrets", "--stack", stack))
        return [wire.exported(resource) for resource in exported["deployment"].get("resources", [])]

    def command(self, *arguments: str, cwd: Path | None = None) -> str:
        """Run any command and return its output. Raises EngineError when it fails, takes too long, or is stopped."""
        options = ["--non-interactive", "--color", "never", "-C", str(cwd or self.folder)]
        return self._commands.run([str(self._pulumi), *arguments, *options], self._environment, " ".join(arguments))

    def stop(self) -> None:
        """End the command that is running, if any; its caller gets an EngineError. Safe in a signal handler and a thread."""
        self._commands.stop()

    def _copies(self, stack: str) -> Path:
        return self._home / f"of-{stack}"

    def _run(self, verb: str, stack: str, *options: str) -> RunResult:
        log = self._home / "events.json"
        log.unlink(missing_ok=True)
        file = self._renew(stack)
        output = self.command(
            verb,
            "--stack",
            stack,
            "--config-file",
            str(file),
            "--event-log",
            str(log),
            "--suppress-permalink=true",
            *options,
        )
        return _run_result(output, log.read_text(encoding="utf-8"))


def _run_result(output: str, log: str) -> RunResult:
    """Read the steps from the event log. `up` announces a step before it; `refresh` reports one afterwards."""
    steps: dict[tuple[str, str], Step] = {}
    for line in log.splitlines():
        event = json.loads(line)
        before, after = event.get("resourcePreEvent"), event.get("resOutputsEvent")
        metadata = (before or after or {}).get("metadata")
        if metadata and not metadata["type"].startswith("pulumi:"):
            step = _step(metadata)
            steps.setdefault((step.urn, step.op), step)
    return RunResult(output=output, steps=tuple(step for _, step in sorted(steps.items()) if step.op not in QUIET))


def _step(metadata: Mapping[str, Any]) -> Step:
    changed = metadata.get("diffs") or metadata.get("detailedDiff") or ()
    return Step(op=metadata["op"], urn=metadata["urn"], changed=tuple(sorted(changed)))

"""The unmodified `pulumi` command on a program's folder, with stand-ins for the clouds, and no way to reach one.

    with Engine(ROOT / "infra" / "aws", [aws.cloud(sqs.endpoint_url, ROOT / "infra" / "aws")]) as engine:
        engine.init("dev")
        engine.up("dev").steps              # {"create": [...]}
        engine.outputs("dev")

The folder is only read: a stack's file is copied, since the command writes its salt into it. State and settings are in a
folder of their own, which is gone in the end.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pulumi.runtime.proto import language_pb2_grpc, provider_pb2_grpc

from cloudqueues.errors import CloudqueuesError
from cloudqueues.pulumi import command, stackfile, wire
from cloudqueues.pulumi.environment import for_functions, hermetic
from cloudqueues.pulumi.kinds import Cloud
from cloudqueues.pulumi.language import Host
from cloudqueues.pulumi.program import FILES
from cloudqueues.pulumi.provider import Provider, serve
from cloudqueues.pulumi.trap import Trap

LONGEST = 300.0
"""Seconds of one command."""

LOADED = "loaded.txt"
"""In the engine's own folder: the program's files."""

QUIET = frozenset({"same", "read", "refresh"})
"""Steps that change nothing."""


class EngineError(CloudqueuesError):
    """The command failed; its text is what it printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What the engine did, or in a preview would do, to one resource."""

    op: str
    """As the engine calls it: create, update, delete, replace, create-replacement, delete-replaced, ..."""
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
class Ran:
    """One run of the command."""

    output: str
    steps: tuple[Step, ...]
    """Those that change something, by URN; without the stack itself and the providers."""

    def of(self, op: str) -> list[str]:
        """Names of the resources with this step."""
        return [one.name for one in self.steps if one.op == op]


class Engine:
    """Within a `with`. `given` is the environment of which little is passed on (environment.PASSED_ON); `programs` are
    variables for the program besides; `reached` hears, in a thread, of each attempt to reach outside of this machine; `home` is
    the folder for the engine's own, in a folder that is removed at the end, unless it is killed: the system's where left out."""

    def __init__(
        self,
        folder: Path,
        clouds: Iterable[Cloud],
        *,
        pulumi: Path | None = None,
        given: Mapping[str, str] | None = None,
        programs: Mapping[str, str] | None = None,
        reached: Callable[[str], None] = lambda _: None,
        home: Path | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self._clouds = tuple(clouds)
        self._given = dict(os.environ if given is None else given)
        self._pulumi = pulumi or command.find(path=self._given.get("PATH"))
        self._programs = dict(programs or {})
        self._stack = ExitStack()
        self._trap = Trap(reached)
        self._providers: dict[str, Provider] = {}
        self._environment: dict[str, str] = {}
        self._copied: dict[str, str] = {}
        self._within = home
        self._home = Path()

    def __enter__(self) -> Self:
        """Raises whatever keeps a server from starting."""
        with ExitStack() as stack:
            folder = tempfile.TemporaryDirectory(prefix="peeklock-pulumi-", dir=self._within)
            self._home = Path(stack.enter_context(folder))
            (self._home / "state").mkdir()
            stack.enter_context(self._trap)
            ports = {one.package: self._serve(stack, one) for one in self._clouds}
            host = Host(lambda: self._for_programs)
            server, port = serve(lambda made: language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, made))
            stack.callback(lambda: server.stop(None).wait())
            stack.callback(host.close)
            self._environment = hermetic(
                self._given, home=self._home, providers=ports, language=port, trap=self._trap.port
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _serve(self, stack: ExitStack, cloud: Cloud) -> int:
        stack.callback(cloud.close)
        provider = self._providers[cloud.package] = Provider(cloud)
        server, port = serve(lambda made: provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, made))
        stack.callback(lambda: server.stop(None).wait())
        return port

    @property
    def reached_for(self) -> tuple[str, ...]:
        """What something under this engine tried to reach outside of this machine, in vain."""
        return self._trap.reached_for

    @property
    def types(self) -> dict[str, str]:
        """What became of each type that the program asked for: applied, recorded or refused."""
        return dict(sorted((type_, how) for one in self._providers.values() for type_, how in one.types.items()))

    @property
    def files(self) -> frozenset[Path]:
        """The program's own: what its last run loaded, but for the packages that are installed."""
        told = self._home / LOADED
        return frozenset(map(Path, told.read_text(encoding="utf-8").splitlines())) if told.is_file() else frozenset()

    @property
    def for_functions(self) -> dict[str, str]:
        """The environment of a process that runs what was deployed: as little of the user's, and as far from a cloud."""
        return for_functions(self._given, home=self._home, trap=self._trap.port)

    @property
    def _for_programs(self) -> dict[str, str]:
        """Without the ports of the stand-ins, which are the engine's."""
        mine = {name: value for name, value in self._environment.items() if not name.startswith("PULUMI_DEBUG_")}
        return {**mine, **self._programs, FILES: str(self._home / LOADED)}

    # -- commands

    def init(self, stack: str) -> None:
        """`pulumi stack init`, on a copy of the stack's file. Raises ConfigError for a file that cannot be read here."""
        copies = self._copies(stack)
        copies.mkdir()
        if (self.folder / "Pulumi.yaml").is_file():
            shutil.copyfile(self.folder / "Pulumi.yaml", copies / "Pulumi.yaml")
        (copies / f"Pulumi.{stack}.yaml").write_text(self._settings(stack), encoding="utf-8")
        self.command("stack", "init", stack, "--no-select", cwd=copies)

    def _settings(self, stack: str) -> str:
        """Of the stack's file, as it is now."""
        text = stackfile.readable(self.folder / f"Pulumi.{stack}.yaml")
        self._copied[stack] = text
        return text

    def _renew(self, stack: str) -> Path:
        """The copy of the stack's file. It has what `--config` has set, until the file itself changes."""
        copy, before = self._copies(stack) / f"Pulumi.{stack}.yaml", self._copied[stack]
        if (text := self._settings(stack)) != before:
            copy.write_text(text + stackfile.salt(copy.read_text(encoding="utf-8")), encoding="utf-8")
        return copy

    def preview(self, stack: str, *options: str) -> Ran:
        return self._run("preview", stack, *options)

    def up(self, stack: str, *options: str) -> Ran:
        return self._run("up", stack, "--yes", "--skip-preview", *options)

    def refresh(self, stack: str, *options: str) -> Ran:
        return self._run("refresh", stack, "--yes", "--skip-preview", *options)

    def destroy(self, stack: str, *options: str) -> Ran:
        return self._run("destroy", stack, "--yes", "--skip-preview", *options)

    def outputs(self, stack: str) -> Any:
        """What the program exported."""
        return json.loads(self.command("stack", "output", "--json", "--stack", stack))

    def resources(self, stack: str) -> list[dict[str, Any]]:
        """The state's, in the engine's own form (`pulumi stack export`), secrets in plain text: they are this machine's."""
        exported = json.loads(self.command("stack", "export", "--show-secrets", "--stack", stack))
        return [wire.exported(one) for one in exported["deployment"].get("resources", [])]

    def command(self, *arguments: str, cwd: Path | None = None) -> str:
        """Any command; returns what it printed. Raises EngineError when it fails."""
        ran = subprocess.run(  # noqa: S603 (the command that was found)
            [str(self._pulumi), *arguments, "--non-interactive", "--color", "never", "-C", str(cwd or self.folder)],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        if ran.returncode != 0:
            raise EngineError(f"pulumi {' '.join(arguments)}:\n{ran.stdout}{ran.stderr}")
        return ran.stdout

    def _copies(self, stack: str) -> Path:
        return self._home / f"of-{stack}"

    def _run(self, verb: str, stack: str, *options: str) -> Ran:
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
        return _ran(output, log.read_text(encoding="utf-8"))


def _ran(output: str, log: str) -> Ran:
    """What is to be done is said before it; what a refresh found is said after it, of the same resource."""
    said: dict[tuple[str, str], Step] = {}
    for line in log.splitlines():
        event = json.loads(line)
        before, after = event.get("resourcePreEvent"), event.get("resOutputsEvent")
        metadata = (before or after or {}).get("metadata")
        if metadata and not metadata["type"].startswith("pulumi:"):
            step = _step(metadata)
            said.setdefault((step.urn, step.op), step)
    steps = [one for _, one in sorted(said.items()) if one.op not in QUIET]
    return Ran(output=output, steps=tuple(steps))


def _step(metadata: Mapping[str, Any]) -> Step:
    changed = metadata.get("diffs") or metadata.get("detailedDiff") or ()
    return Step(op=metadata["op"], urn=metadata["urn"], changed=tuple(sorted(changed)))

"""Language host for Python, in Python: `pulumi` runs a program without `pulumi-language-python`.

As the real one, it runs the program in a process of its own and in the program's folder. The interpreter is the current
one, so that packages installed beside cloudqueues can be imported. proto/pulumi/language.proto of pulumi/pulumi
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from cloudqueues.pulumi.wire import empty

VERSION = "3.274.1"
"""Version of the language host that the engine expects: the engine's own."""


class Host(language_pb2_grpc.LanguageRuntimeServicer):
    """Runs programs and policy packs. `environment` returns their environment, and is called for each run."""

    def __init__(self, environment: Callable[[], Mapping[str, str]]) -> None:
        self._environment = environment
        self._engine = ""
        self._running: set[subprocess.Popen[Any]] = set()

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """Keep the engine's address, which `Run` does not have."""
        self._engine = request.engine_address
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """Return none: the engine would download them before it runs the program."""
        return language_pb2.GetRequiredPackagesResponse()

    def About(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return language_pb2.AboutResponse(executable=sys.executable, version=sys.version.split()[0])

    def Run(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """Run a program to its end. It has a pipe whose other end closes with this process, so that it ends as well."""
        folder = request.info.program_directory or request.pwd
        reading, writing = os.pipe()
        try:
            process = self._start(
                [
                    sys.executable,
                    "-m",
                    "cloudqueues.pulumi.program",
                    json.dumps(self._arguments(request, folder, reading)),
                ],
                folder,
                self._environment(),
                keep=(reading,),
            )
            output, _ = process.communicate()
            self._running.discard(process)
        finally:
            os.close(reading)
            os.close(writing)
        if process.returncode == 0:
            return language_pb2.RunResponse()
        text = output.decode(errors="replace").strip()
        return language_pb2.RunResponse(error=text or f"the program ended with {process.returncode}")

    def RunPlugin(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Run a policy pack, in the virtual environment that its PulumiPolicy.yaml names, if any. The first line that it
        prints is its port; it runs until the engine ends it."""
        folder = Path(request.info.program_directory or request.info.root_directory)
        process = self._start(
            [_python_of(folder, request.info.options), "-u", str(folder), *request.args],
            folder,
            {**self._environment(), **_pulumi_variables(request.env)},
        )
        context.add_callback(lambda: _kill(process))
        with process:
            for line in process.stdout or ():
                yield language_pb2.RunPluginResponse(stdout=line)
        self._running.discard(process)
        yield language_pb2.RunPluginResponse(exitcode=process.wait())

    def _start(
        self, command: list[str], folder: str | Path, environment: Mapping[str, str], *, keep: tuple[int, ...] = ()
    ) -> subprocess.Popen[bytes]:
        """Start a process in a session of its own, so that its children end with it. `keep` are open files it inherits."""
        process = subprocess.Popen(  # noqa: S603 (our own module, or the pack that was asked for)
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=keep,
            start_new_session=True,
        )
        self._running.add(process)
        return process

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        self.close()
        return empty()

    def close(self) -> None:
        """End the programs that still run, with their children."""
        for process in tuple(self._running):
            _kill(process)

    def _arguments(self, request: Any, folder: str, parent_pipe: int) -> dict[str, Any]:
        return {
            "folder": folder,
            "project": request.project,
            "stack": request.stack,
            "organization": request.organization or "organization",
            "monitor": request.monitor_address,
            "engine": self._engine,
            "preview": request.dryRun,
            "parallel": request.parallel,
            "config": dict(request.config),
            "secrets": list(request.configSecretKeys),
            "parent_pipe": parent_pipe,
        }


def _kill(process: subprocess.Popen[Any]) -> None:
    """Kill a process and its children, unless it has ended: its number may be another's by then."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _python_of(folder: Path, options: Any) -> str:
    """Return the interpreter of the virtual environment in the options, where it exists; else the current one."""
    name = dict(options).get("virtualenv") if options else None
    python = folder / str(name) / "bin" / "python" if name else None
    return str(python) if python is not None and python.exists() else sys.executable


def _pulumi_variables(assignments: Iterable[str]) -> dict[str, str]:
    """Return project, stack and configuration, without the ports of the stand-ins."""
    variables = dict(assignment.split("=", 1) for assignment in assignments if "=" in assignment)
    return {
        name: value
        for name, value in variables.items()
        if name.startswith("PULUMI_") and not name.startswith("PULUMI_DEBUG_")
    }

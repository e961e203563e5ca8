"""The engine's language host for Python, in Python: `pulumi` runs a program without `pulumi-language-python`.

Like the real one it runs the program in a process of its own, in the program's folder, and with this interpreter, so
that what is installed beside peeklock is there. proto/pulumi/language.proto of pulumi/pulumi
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from cloudqueues.pulumi.wire import empty

VERSION = "3.274.1"
"""Of the language host that the engine wants: its own."""


class Host(language_pb2_grpc.LanguageRuntimeServicer):
    """`environment` is asked for at each run: what the program, and what it starts, is to see."""

    def __init__(self, environment: Callable[[], Mapping[str, str]]) -> None:
        self._environment = environment
        self._engine = ""
        self._running: set[subprocess.Popen[Any]] = set()

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """The engine's address comes here, and not with `Run`."""
        self._engine = request.engine_address
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """None: the engine would fetch them before it runs the program."""
        return language_pb2.GetRequiredPackagesResponse()

    def About(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return language_pb2.AboutResponse(executable=sys.executable, version=sys.version.split()[0])

    def Run(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """An error that the program has told the engine itself is not told twice (`bail`)."""
        folder = request.info.program_directory or request.pwd
        process = subprocess.Popen(  # noqa: S603 (our own module)
            [sys.executable, "-m", "cloudqueues.pulumi.program", json.dumps(self._told(request, folder))],
            cwd=folder,
            env=dict(self._environment()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._running.add(process)
        said, _ = process.communicate()
        self._running.discard(process)
        if process.returncode == 0:
            return language_pb2.RunResponse()
        return language_pb2.RunResponse(error=said.strip() or f"the program ended with {process.returncode}")

    def RunPlugin(self, request: Any, context: Any) -> Any:  # noqa: N802
        """A policy pack: in its own environment, where its PulumiPolicy.yaml names one. The first line that it prints is its
        port; it runs until the engine is gone."""
        folder = Path(request.info.program_directory or request.info.root_directory)
        process = subprocess.Popen(  # noqa: S603 (the pack that was asked for)
            [_python_of(folder, request.info.options), "-u", str(folder), *request.args],
            cwd=folder,
            env={**self._environment(), **_told_by_engine(request.env)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._running.add(process)
        context.add_callback(process.kill)
        with process:
            for line in process.stdout or ():
                yield language_pb2.RunPluginResponse(stdout=line)
        self._running.discard(process)
        yield language_pb2.RunPluginResponse(exitcode=process.wait())

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        self.close()
        return empty()

    def close(self) -> None:
        """End the programs that still run."""
        for process in tuple(self._running):
            process.kill()

    def _told(self, request: Any, folder: str) -> dict[str, Any]:
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
        }


def _python_of(folder: Path, options: Any) -> str:
    """The interpreter of the virtual environment in the options, where it was made already; else this one."""
    named = dict(options).get("virtualenv") if options else None
    found = folder / str(named) / "bin" / "python" if named else None
    return str(found) if found is not None and found.exists() else sys.executable


def _told_by_engine(given: Iterable[str]) -> dict[str, str]:
    """Project, stack and configuration; not the ports of the stand-ins."""
    variables = dict(one.split("=", 1) for one in given if "=" in one)
    return {
        name: value
        for name, value in variables.items()
        if name.startswith("PULUMI_") and not name.startswith("PULUMI_DEBUG_")
    }

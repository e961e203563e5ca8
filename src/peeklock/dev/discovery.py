"""The entry points and queues of a project, read by importing its code in another process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from peeklock.dev.project import Project
from peeklock.errors import ConfigError, PeeklockError
from peeklock.queue import Queue

DESCRIBE_SECONDS = 60


class CodeError(PeeklockError):
    """The project's code does not load; the text says where and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A bound function of a module."""

    module: str
    name: str
    file: str
    queue: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """Handlers, queues and files of a project's code."""

    described: Mapping[str, Sequence[Mapping[str, Any]]]
    """Handlers by platform, as its `DevSupport.describe` returns them, each with the name of its `queue`."""
    queues: Mapping[str, Queue]
    files: frozenset[Path]
    """Files that are loaded when the entry points are imported, without installed packages."""

    def consumed(self, platform: str) -> set[str]:
        """Return the names of the queues that a platform consumes."""
        return {handler["queue"] for handler in self.described.get(platform, ())}

    def entries(self, platform: str) -> list[Entry]:
        """Return the bound functions of a platform whose `DevSupport` has neither an app nor a description of its own."""
        return [Entry(**handler) for handler in self.described.get(platform, ())]


def discover(project: Project) -> Discovery:
    """Import the entry points in a process of their own. Raises CodeError for code that does not load, ConfigError for
    entries that are not bound."""
    answer = describe(project.root, {"entries": project.entries})
    return Discovery(
        described=answer["handlers"],
        queues={queue["name"]: Queue(**queue) for queue in answer["queues"]},
        files=frozenset(map(Path, answer["files"])),
    )


def describe(root: Path, request: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the answer of `peeklock.dev.describe`, run with an environment (None: this process's). Raises CodeError for code
    that does not load, ConfigError for entries that are not what they should be."""
    command = [sys.executable, "-m", "peeklock.dev.describe", str(root), json.dumps(request)]
    # Not a pipe, whose end would come only with the last process that the code leaves behind.
    with TemporaryFile() as printed:
        try:
            process = subprocess.run(  # noqa: S603 - our own module
                command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=printed, timeout=DESCRIBE_SECONDS,
                check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise CodeError(f"importing the handlers took longer than {DESCRIBE_SECONDS} s") from None
        printed.seek(0)
        lines = printed.read().decode(errors="replace").strip()
    if process.returncode or not process.stdout:
        raise CodeError(f"importing the handlers ended the process, with exit status {process.returncode}\n{lines}")
    answer: dict[str, Any] = json.loads(process.stdout)
    if "error" in answer:
        raise (ConfigError if answer["config"] else CodeError)(answer["error"])
    return answer

"""What the stands of all platforms share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from peeklock.dev.project import Project
from peeklock.errors import ConfigError, PeeklockError
from peeklock.queue import Queue

FOLDER = ".peeklock"
"""In the project: stores, dead letters, and what `peeklock send` needs to know."""

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
class Trigger:
    """A Service Bus trigger of the function app."""

    function: str
    queue: str
    queue_name: str | None
    topic_name: str | None
    subscription_name: str | None
    sessions: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """What the project's code is bound to."""

    sqs: tuple[Entry, ...]
    cloudtasks: tuple[Entry, ...]
    servicebus: tuple[Trigger, ...]
    queues: Mapping[str, Queue]
    files: frozenset[Path]
    """The project's files that are loaded when its entry points are imported."""

    def consumed(self, platform: str) -> set[str]:
        """Names of the queues that a platform consumes."""
        entries: Sequence[Entry | Trigger] = getattr(self, platform)
        return {one.queue for one in entries}


def find(project: Project) -> Discovery:
    """Look into the code, in a process of its own. Raises CodeError for code that does not load, ConfigError for entries
    that are none."""
    told = {
        "sqs": project.sqs,
        "cloudtasks": project.cloudtasks,
        "servicebus": None if project.servicebus is None else str(project.servicebus),
    }
    command = [sys.executable, "-m", "peeklock.dev.describe", str(project.root), json.dumps(told)]
    try:
        ran = subprocess.run(  # noqa: S603 - our own module
            command, cwd=project.root, capture_output=True, text=True, timeout=DESCRIBE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise CodeError(f"importing the handlers took longer than {DESCRIBE_SECONDS} s") from None
    if ran.returncode:
        raise CodeError(
            f"importing the handlers ended the process, with exit status {ran.returncode}\n{ran.stderr.strip()}"
        )
    told = json.loads(ran.stdout)
    if "error" in told:
        raise (ConfigError if told["config"] else CodeError)(told["error"])
    return _found(told)


def _found(told: Mapping[str, Any]) -> Discovery:
    return Discovery(
        sqs=tuple(Entry(**one) for one in told["sqs"]),
        cloudtasks=tuple(Entry(**one) for one in told["cloudtasks"]),
        servicebus=tuple(Trigger(**one) for one in told["servicebus"]),
        queues={one["name"]: Queue(**one) for one in told["queues"]},
        files=frozenset(map(Path, told["files"])),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """Where it all happens, and who hears of it."""

    project: Project
    state: Path
    follow: str
    """The address for PEEKLOCK_FOLLOW."""
    on_line: Callable[[str, str], None]
    """Hears each line that a function prints: its platform, and the line. Called in any thread."""

    def variables(self, platform: str) -> dict[str, str]:
        """What every function of a platform gets. A store for each, since the same keys may be sent to all of them."""
        return {
            "PEEKLOCK_STORE": f"sqlite://{self.state}/{platform}.db",
            "PEEKLOCK_FOLLOW": self.follow,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(self.project.root), os.environ.get("PYTHONPATH", "")])),
            "PYTHONUNBUFFERED": "1",
        }


class Screen(Protocol):
    """Its methods are called from any thread."""

    def told(self, what: str, fields: Mapping[str, Any]) -> None:
        """A message was `started` or `settled`."""
        ...

    def line(self, platform: str, text: str) -> None:
        """A function printed this."""
        ...

    def say(self, text: str) -> None:
        """From `peeklock dev` itself."""
        ...

    def close(self) -> None: ...


class Runner(Protocol):
    """One platform: its emulator, its queues, and the processes of its functions."""

    platform: str

    def open(self) -> None:
        """Start the emulator."""
        ...

    def make(self, found: Discovery) -> None:
        """Make the queues that are not there yet. Raises PeeklockError."""
        ...

    def serve(self, found: Discovery, variables_across: Mapping[str, str]) -> None:
        """(Re)start the functions. `carried`: variables of theirs for queues of other platforms. Raises PeeklockError."""
        ...

    def variables(self) -> Mapping[str, str]:
        """What a client needs to send to it, for `export`."""
        ...

    def close(self) -> None:
        """End all that was started. Also a second time."""
        ...


def queues_of(found: Discovery, entries: Sequence[Entry]) -> list[tuple[Queue, Entry | None]]:
    """Every queue, with the entry that consumes it, where one does."""
    consumers = {entry.queue: entry for entry in entries}
    return [(queue, consumers.get(queue.name)) for queue in found.queues.values()]

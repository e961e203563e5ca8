"""Types shared by `peeklock dev` and the runners of the platforms."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from peeklock.dev.discovery import Discovery, Entry
from peeklock.dev.project import Project
from peeklock.queue import Queue


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """Project, state folder and listeners of one run."""

    project: Project
    state: Path
    follow: str
    """Address for PEEKLOCK_FOLLOW."""
    on_line: Callable[[str, str], None]
    """Called with the platform and each line that a function prints, in any thread."""

    def variables(self, platform: str) -> dict[str, str]:
        """Return the variables of every function of a platform. Each platform has its own store, since the same keys may be
        sent to all of them."""
        return {
            "PEEKLOCK_STORE": f"sqlite://{self.state}/{platform}.db",
            "PEEKLOCK_FOLLOW": self.follow,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(self.project.root), os.environ.get("PYTHONPATH", "")])),
            "PYTHONUNBUFFERED": "1",
        }


class Screen(Protocol):
    """Output of `peeklock dev`. Its methods are called from any thread."""

    def event(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Show that a message was `started` or `settled`."""
        ...

    def line(self, platform: str, text: str) -> None:
        """Show a line that a function printed."""
        ...

    def addresses(self, platforms: Mapping[str, Mapping[str, str]]) -> None:
        """Show the variables with which a client reaches each platform."""
        ...

    def ready(self, seconds: float, next_step: str) -> None:
        """Show that messages can be sent, how many seconds the start took, and how to send one."""
        ...

    def say(self, text: str) -> None:
        """Show a message of `peeklock dev` itself."""
        ...

    def close(self) -> None: ...


class Runner(Protocol):
    """One platform: its emulator, its queues, and the processes of its functions."""

    platform: str

    def open(self) -> None:
        """Start the emulator."""
        ...

    def make(self, discovery: Discovery) -> None:
        """Create the queues that do not exist yet. Raises PeeklockError."""
        ...

    def serve(self, discovery: Discovery, variables_across: Mapping[str, str]) -> None:
        """Start or restart the functions. `variables_across`: variables with which they reach queues of other platforms.
        Raises PeeklockError."""
        ...

    def variables(self) -> Mapping[str, str]:
        """Return the variables with which a client sends to it, for `export`."""
        ...

    def close(self) -> None:
        """Stop everything that was started. May be called twice."""
        ...


def queues_of(discovery: Discovery, entries: Sequence[Entry]) -> list[tuple[Queue, Entry | None]]:
    """Return every queue, with the entry that consumes it, if any."""
    consumers = {entry.queue: entry for entry in entries}
    return [(queue, consumers.get(queue.name)) for queue in discovery.queues.values()]

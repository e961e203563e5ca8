"""The folder `.peeklock` of a running `peeklock dev`, and what its functions report."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from peeklock import private_files as private
from peeklock.dev.events import EventListener
from peeklock.dev.printed_lines import visible_lines
from peeklock.dev.runner import Screen
from peeklock.errors import ConfigError
from peeklock.queue import Queue

FOLDER = ".peeklock"
"""Folder in the project: stores, dead letters, and what `peeklock send` needs to know."""

ADDRESSES = "dev.json"
"""File in the folder: the process, and each platform's variables."""

LOCK = "lock"
"""File in the folder that a running `peeklock dev` holds a lock on, with its process id. The system releases the lock when
the process ends, in whatever way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Folder and listeners of one run."""

    folder: Path
    follow: str
    """Address for PEEKLOCK_FOLLOW."""
    on_line: Callable[[str, str], None]
    """Called with the platform and each line that a function prints, in any thread."""
    dead_letters: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """Variables with the addresses of dead-letter queues, by platform."""

    def write_addresses(self, platforms: Mapping[str, Mapping[str, str]]) -> None:
        """Write each platform's variables for `peeklock send`."""
        private.write_text(self.folder / ADDRESSES, json.dumps({"pid": os.getpid(), "platforms": platforms}, indent=2))


@contextmanager
def opened(root: Path, screen: Screen) -> Iterator[State]:
    """Empty and lock a project's folder: the queues start empty, so no store may remember messages of an earlier run. Raises
    ConfigError where another run has it."""
    folder = root / FOLDER
    private.make_folder(folder)
    with _locked(folder):
        for path in folder.iterdir():
            if path.name != LOCK:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        (folder / ".gitignore").write_text("*\n")
        dead_letters: dict[str, Mapping[str, str]] = {}
        listener = EventListener(partial(_event, screen, dead_letters))
        try:
            yield State(
                folder=folder,
                follow=listener.address,
                on_line=partial(_line, screen),
                dead_letters=dead_letters,
            )
        finally:
            listener.close()
            (folder / ADDRESSES).unlink(missing_ok=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    import fcntl

    private.make_file(str(folder / LOCK))
    with (folder / LOCK).open("r+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            process = file.read() or "another"
            raise ConfigError(f"`peeklock dev` runs here already, as process {process}: stop it first") from None
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield


def addresses(folder: Path) -> dict[str, dict[str, str]] | None:
    """Return each platform's variables of the `peeklock dev` that serves from a folder; None when none does, as on Windows,
    which has no fcntl."""
    with suppress(OSError, ImportError), (folder / LOCK).open("rb") as file:
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            platforms: dict[str, dict[str, str]] = json.loads((folder / ADDRESSES).read_text())["platforms"]
            return platforms
    return None


def _event(screen: Screen, dead_letters: Mapping[str, Mapping[str, str]], kind: str, fields: Mapping[str, Any]) -> None:
    """Show an event; of a dead letter also the queue where it lies."""
    if fields.get("disposition") == "dead_letter":
        with suppress(ConfigError, KeyError):  # any process on this machine may write other names
            variable = Queue(str(fields.get("queue"))).variable("DEAD_LETTER")
            fields = {**fields, "dead_letter_queue": dead_letters[str(fields.get("platform"))][variable]}
    screen.event(kind, fields)


def _line(screen: Screen, platform: str, text: str) -> None:
    """Show what a function printed, line by line."""
    for line in visible_lines(text):
        screen.line(platform, line)

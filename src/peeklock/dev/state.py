"""The folder `.peeklock` of a running `peeklock dev`, and who hears of what its functions do."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from peeklock import private_files as private
from peeklock.dev.events import EventListener
from peeklock.dev.runner import FOLDER, Screen
from peeklock.errors import ConfigError

TOLD = "dev.json"
"""In the folder: the process, and each platform's variables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Of one run."""

    folder: Path
    follow: str
    """The address for PEEKLOCK_FOLLOW."""
    on_line: Callable[[str, str], None]
    """Hears each line that a function prints: its platform, and the line. Called in any thread."""

    def tell(self, platforms: Mapping[str, Mapping[str, str]]) -> None:
        """`peeklock send` reads it: each platform's variables."""
        private.write_text(self.folder / TOLD, json.dumps({"pid": os.getpid(), "platforms": platforms}, indent=2))


@contextmanager
def opened(root: Path, screen: Screen) -> Iterator[State]:
    """Of a project. Raises ConfigError where another run has it."""
    folder = _fresh(root / FOLDER)
    listener = EventListener(screen.told)
    try:
        yield State(folder=folder, follow=listener.address, on_line=partial(_line, screen))
    finally:
        listener.close()
        (folder / TOLD).unlink(missing_ok=True)


def _line(screen: Screen, platform: str, text: str) -> None:
    """Show a text line by line, without what the screen shows already, and without the SDKs' own gossip. A record of a settlement has the
    traceback of what was raised below its first line."""
    for line in text.replace("\xa0", " ").splitlines():  # Lambda's client indents with spaces that do not break
        if (
            line
            and "peeklock.settled" not in line
            and not line.startswith(("INFO azure.", "INFO botocore.", '{"_aws":'))
        ):
            screen.line(platform, line)


def _fresh(folder: Path) -> Path:
    """Emptied: the queues start empty, so nothing of an earlier run may be remembered of their messages."""
    other = running(folder)
    if other is not None:
        raise ConfigError(f"`peeklock dev` runs here already, as process {other}: stop it first")
    shutil.rmtree(folder, ignore_errors=True)
    private.make_folder(folder)
    (folder / ".gitignore").write_text("*\n")
    return folder


def running(folder: Path) -> int | None:
    """The process that serves from a folder; None when none does."""
    try:
        pid = int(json.loads((folder / TOLD).read_text())["pid"])
        os.kill(pid, 0)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid


def announce(screen: Screen, platforms: Mapping[str, Mapping[str, str]]) -> None:
    """Where each platform is, for people to paste."""
    for platform, variables in platforms.items():
        screen.say(f"\n{platform}: paste this where a client runs")
        for name, value in variables.items():
            screen.say(f"  export {name}='{value}'")

"""Files with messages in them: for the user who runs the process, and for nobody else. What is there already keeps its mode."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

FILE, FOLDER = 0o600, 0o700


def make_folder(path: Path) -> None:
    """Make a folder and those above it, as far as they are not there. Raises OSError."""
    for missing in reversed([folder for folder in (path, *path.parents) if not folder.exists()]):
        missing.mkdir(FOLDER, exist_ok=True)


def make_file(path: str) -> None:
    """Make an empty file where there is none. One that is there is not opened: closing it again would release the locks
    that this process has on it. https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_"""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE))


def write_text(path: Path, text: str) -> None:
    """Replace a file's content, in one step for who reads it meanwhile. Raises OSError."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.unlink(missing_ok=True)
    make_file(str(scratch))
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)

"""Files that contain messages, readable by the current user only. Existing files and folders keep their mode."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

FILE, FOLDER = 0o600, 0o700


def make_folder(path: Path) -> None:
    """Create a folder and its missing parents. Raises OSError."""
    for missing in reversed([folder for folder in (path, *path.parents) if not folder.exists()]):
        missing.mkdir(FOLDER, exist_ok=True)


def make_file(path: str) -> None:
    """Create an empty file unless it exists. An existing one is not opened, because closing it would release the locks that
    this process holds on it. https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_"""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE))


def write_text(path: Path, text: str) -> None:
    """Replace the content of a file atomically. Raises OSError."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.unlink(missing_ok=True)
    make_file(str(scratch))
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)

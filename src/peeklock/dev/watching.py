"""Noticing changed files of a project."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cloudqueues.shutdown import Wakeup
from peeklock.dev.state import FOLDER
from peeklock.errors import ConfigError


class Changes:
    """Files that changed since they were last taken, below the folders that are watched."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._lock = threading.Lock()
        self._files: set[Path] = set()
        self._folders = frozenset(folders)
        self._again = threading.Event()
        """Set to make the watcher look at the folders anew."""

    def add(self, files: set[Path]) -> None:
        with self._lock:
            self._files |= files

    def take(self) -> set[Path]:
        with self._lock:
            files, self._files = self._files, set()
            return files

    def watch(self, files: Iterable[Path]) -> None:
        """Watch the folders of files, too, where they are not below a folder that is watched already."""
        folders = {file.parent for file in files if not any(file.is_relative_to(each) for each in self._folders)}
        if folders:
            with self._lock:
                self._folders |= folders
                self._again.set()

    def next_folders(self) -> tuple[frozenset[Path], threading.Event]:
        """Return the folders to watch, and the event that is set when there are more of them, or none to watch any more."""
        with self._lock:
            self._again = threading.Event()
            return self._folders, self._again

    def end(self) -> None:
        with self._lock:
            self._again.set()


@contextmanager
def watching(
    root: Path, wakeup: Wakeup, *, reload: bool, kinds: Sequence[str] = (), also: Sequence[Path] = ()
) -> Iterator[Changes]:
    """Notify when Python, JSON or TOML files of a project change, or files of `kinds` (`.yaml`); `also`: folders elsewhere.
    Raises ConfigError where watchfiles is missing."""
    changes = Changes({root, *also})
    if not reload:
        yield changes
        return
    try:
        from watchfiles import PythonFilter, watch
    except ImportError as exc:
        raise ConfigError("reloading needs watchfiles: pip install 'peeklock[dev]', or say --no-reload") from exc
    ignored = [root / name for name in (FOLDER, "build", "tests")]
    code = PythonFilter(ignore_paths=ignored, extra_extensions=(".json", ".toml", *kinds))
    ended = threading.Event()
    thread = threading.Thread(
        target=_look, args=(watch, code, changes, wakeup, ended), name="peeklock-dev-watch", daemon=True
    )
    thread.start()
    try:
        yield changes
    finally:
        ended.set()
        changes.end()
        thread.join()


def _look(
    watch: Callable[..., Iterable[Any]], code: object, changes: Changes, wakeup: Wakeup, ended: threading.Event
) -> None:
    while not ended.is_set():
        folders, again = changes.next_folders()
        if ended.is_set():
            return
        for batch in watch(*folders, watch_filter=code, stop_event=again, raise_interrupt=False, rust_timeout=500):
            changes.add({Path(file).resolve() for _, file in batch})
            wakeup.notify()

"""Who looks at the files of a project, and what changed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from peeklock.dev.runner import FOLDER
from peeklock.dev.shutdown import Wakeup
from peeklock.errors import ConfigError


class Changes:
    """Files that changed since they were taken."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: set[Path] = set()

    def add(self, files: set[Path]) -> None:
        with self._lock:
            self._files |= files

    def take(self) -> set[Path]:
        with self._lock:
            files, self._files = self._files, set()
            return files


@contextmanager
def watching(
    root: Path, wakeup: Wakeup, *, reload: bool, kinds: Sequence[str] = (), also: Sequence[Path] = ()
) -> Iterator[Changes]:
    """Ring when Python, JSON or TOML files of a project change, or such of `kinds` (`.yaml`); `also`: folders elsewhere.
    Raises ConfigError where watchfiles is missing."""
    changes = Changes()
    if not reload:
        yield changes
        return
    try:
        from watchfiles import PythonFilter, watch
    except ImportError as exc:
        raise ConfigError("reloading needs watchfiles: pip install 'peeklock[dev]', or say --no-reload") from exc
    ended = threading.Event()
    ignored = [root / name for name in (FOLDER, "build", "tests")]
    code = PythonFilter(ignore_paths=ignored, extra_extensions=(".json", ".toml", *kinds))

    def look() -> None:
        for found in watch(root, *also, watch_filter=code, stop_event=ended, raise_interrupt=False, rust_timeout=500):
            changes.add({Path(file).resolve() for _, file in found})
            wakeup.ring()

    thread = threading.Thread(target=look, name="peeklock-dev-watch", daemon=True)
    thread.start()
    try:
        yield changes
    finally:
        ended.set()
        thread.join()

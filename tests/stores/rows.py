"""A database with tags, in memory: what Tables and Firestore are to `TaggedStore`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from peeklock.errors import StoreError
from peeklock.stores.etag_store import Row, Write
from peeklock.stores.record_json import dump


class MemoryRows:
    """Rows in a dict. Goes wrong as often as told, at the next calls."""

    def __init__(self, keys_per_call: int = 100) -> None:
        self.keys_per_call = keys_per_call
        self.rows: dict[str, Row] = {}
        self.calls: list[tuple[str, int]] = []
        """The trips so far: `read` or `write`, and the keys in it."""
        self.fail = 0
        """Calls to fail before anything is done."""
        self.lose = 0
        """Writes to make, and then to fail."""
        self.refuse: set[str] = set()
        """Keys that are throttled, the others of their call not."""
        self.before_write: Callable[[], None] = lambda: None
        """Called just before a write, for example to make another client's write."""
        self._tag = 0
        self._lock = threading.Lock()

    def read(self, keys: Sequence[str], /) -> Sequence[Row]:
        with self._lock:
            self._call("read", len(keys))
            return [self.rows.get(key, Row()) for key in keys]

    def write(self, writes: Sequence[Write], /) -> Sequence[Row | None]:
        self.before_write()
        with self._lock:
            self._call("write", len(writes))
            answers = [self._write(write) for write in writes]
            if self.lose:
                self.lose -= 1
                raise ConnectionError("the answer is lost")
            return answers

    def touch(self, key: str) -> None:
        """Somebody writes the same row again: only its tag changes."""
        with self._lock:
            self._tag += 1
            self.rows[key] = Row(etag=self._tag, text=self.rows[key].text)

    def _call(self, what: str, keys: int) -> None:
        self.calls.append((what, keys))
        if self.fail:
            self.fail -= 1
            raise ConnectionError("no connection")

    def _write(self, write: Write) -> Row | None:
        if write.key in self.refuse:
            return Row(error=StoreError("throttled"))
        if self.rows.get(write.key, Row()).etag != write.etag:
            return None
        if write.record is None:
            del self.rows[write.key]
            return Row()
        self._tag += 1
        self.rows[write.key] = Row(etag=self._tag, text=dump(write.record))
        return Row(etag=self._tag)

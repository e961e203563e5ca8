"""Cache of the etags that this process's last writes and reads returned."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

from peeklock.idempotency.record import Record

MAX_ETAGS = 4096
"""Etags kept, about a megabyte: many times as many as there are messages in progress."""


class ETagCache:
    """Etags of the rows written or read last, each for one version of its record."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[int, Any]] = OrderedDict()

    def get(self, key: str, version: int) -> Any:
        with self._lock:
            cached_version, etag = self._kept.get(key, (None, None))
        return etag if cached_version == version else None

    def put(self, key: str, record: Record | None, etag: Any) -> None:
        with self._lock:
            self._kept.pop(key, None)
            if record is not None:
                self._kept[key] = (record.version, etag)
            if len(self._kept) > MAX_ETAGS:
                self._kept.popitem(last=False)

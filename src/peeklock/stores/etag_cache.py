"""The tags that rows got with this process's last writes and reads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

from peeklock.idempotency.record import Record

MAX_ETAGS = 4096
"""Rows whose tags are remembered, about a megabyte: those of the messages under way, many times over."""


class ETagCache:
    """The tags of the rows written or read last, each for one version of its record."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[int, Any]] = OrderedDict()

    def get(self, key: str, version: int) -> Any:
        with self._lock:
            known, etag = self._kept.get(key, (None, None))
        return etag if known == version else None

    def put(self, key: str, record: Record | None, etag: Any) -> None:
        with self._lock:
            self._kept.pop(key, None)
            if record is not None:
                self._kept[key] = (record.version, etag)
            if len(self._kept) > MAX_ETAGS:
                self._kept.popitem(last=False)

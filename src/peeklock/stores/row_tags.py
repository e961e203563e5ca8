"""The tags that rows got with this process's last writes and reads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

from peeklock.idempotency.record import Record

TAGS = 4096
"""Rows whose tags are remembered, about a megabyte: those of the messages under way, many times over."""


class Tags:
    """The tags of the rows written or read last, each for one version of its record."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[int, Any]] = OrderedDict()

    def get(self, key: str, version: int) -> Any:
        with self._lock:
            known, tag = self._kept.get(key, (None, None))
        return tag if known == version else None

    def put(self, key: str, record: Record | None, tag: Any) -> None:
        with self._lock:
            self._kept.pop(key, None)
            if record is not None:
                self._kept[key] = (record.version, tag)
            if len(self._kept) > TAGS:
                self._kept.popitem(last=False)

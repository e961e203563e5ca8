"""Check of a queue's lock, after transforms and of existing queues: its batches must end within it.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-service-bus#hostjson-settings
"""

from __future__ import annotations

import re
from typing import Any

from peeklock.errors import ConfigError
from peeklock.infra.settings.azure import Settings, iso
from peeklock.queue import Queue

_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_UNITS = (86_400, 3600, 60, 1)


def check(queue: Queue, settings: Settings, lock_duration: Any) -> None:
    """Raise ConfigError for a lock, an ISO 8601 duration, that is shorter than the longest event of a batch.

    The lock of a single message may be shorter, since the Functions host renews it. A text in another form is left to Azure.
    """
    parts = _DURATION.fullmatch(str(lock_duration))
    if parts is None or settings.batch == 1:
        return
    seconds = sum(float(part or 0) * unit for part, unit in zip(parts.groups(), _UNITS, strict=True))
    if seconds < settings.limit:
        raise ConfigError(
            f"queue {queue.name!r}: its lock of {seconds:g} s is shorter than the {settings.limit} s that a batch may take, and"
            " the locks of a batch are not renewed, so that others would receive its messages while it runs; set"
            f" lockDuration to {iso(settings.limit)}, or use batch=1"
        )

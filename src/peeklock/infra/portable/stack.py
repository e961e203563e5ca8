"""Stack that a document is computed for, and values as JSON writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any

from peeklock.infra.options import Capacity, Stage
from peeklock.queue import Queue
from peeklock.retry_span import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Names and numbers that the queues' declarations do not have."""

    app: str
    name: str = "dev"
    """Name of the stack; part of the names on Google Cloud, and of the host's id on Azure."""
    capacity: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Capacity by queue, each as `Capacity.from_mapping` takes it."""
    stage: Stage = field(default_factory=Stage)
    project: str = ""
    region: str = ""
    """Project and region on Google Cloud, which are part of the functions' addresses."""

    def capacity_of(self, queue: Queue) -> Capacity:
        """Return a queue's capacity. Raises ConfigError for an unknown option."""
        return Capacity.from_mapping(self.capacity.get(queue.name, {}))


def plain_fields(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass as JSON writes them: durations in seconds, tuples as lists."""
    return {column.name: plain(getattr(value, column.name)) for column in fields(value)}


def plain(value: Any) -> Any:
    """Return a value as JSON writes it."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Span):
        return plain_fields(value)
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return dict(value) if isinstance(value, Mapping) else value

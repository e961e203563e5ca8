"""State of the emulator: queues with their tasks, names that are not free yet, and finished operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import Any

from cloudqueues.cloudtasks import config
from cloudqueues.cloudtasks.dispatch_policy import RetryPolicy, TokenBucket
from cloudqueues.cloudtasks.errors import (
    QUEUE_EXISTED,
    QUEUE_EXISTS,
    TASK_EXISTED,
    TASK_EXISTS,
    TASK_IS_GONE,
    Code,
    Refused,
    no_queue,
    not_found,
)
from cloudqueues.cloudtasks.name_index import NameIndex
from cloudqueues.cloudtasks.sdk import new, seconds_of, stamp

QUEUE_BLOCKED = 3 * 86400.0
"""Seconds until a deleted queue's name is free: https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues/delete"""
TASK_BLOCKED = 24 * 3600.0
"""Seconds until a finished task's name is free: "up to 24 hours", https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues.tasks/create"""
MAX_OPERATIONS = 10_000


class Tombstones:
    """Used names, each of which stays blocked for the same time."""

    __slots__ = ("_for", "_until")

    def __init__(self, seconds: float) -> None:
        self._for = seconds
        self._until: dict[str, float] = {}

    def add(self, name: str, now: float) -> None:
        self._drop(now)
        self._until[name] = now + self._for

    def holds(self, name: str, now: float) -> bool:
        self._drop(now)
        return name in self._until

    def _drop(self, now: float) -> None:
        """Remove the names that are free again; the oldest come first."""
        while self._until:
            name, until = next(iter(self._until.items()))
            if until > now:
                return
            del self._until[name]


class StoredTask:
    """Task, and the state of its attempts."""

    __slots__ = ("attempt", "began", "gone", "message", "previous", "queue", "ticket")

    def __init__(self, message: Any, queue: StoredQueue) -> None:
        self.message = message
        self.queue = queue
        self.attempt = 0
        """Number of the newest attempt. RunTask may start one beside another; of earlier ones only success counts."""
        self.began = 0.0
        """Start of the first attempt; 0 before it."""
        self.ticket = 0
        """Number of its entry among the waiting tasks; 0 while it has none."""
        self.previous: int | None = None
        """Status of the last response: 504 for none in time, 0 for none at all."""
        self.gone = False

    @property
    def name(self) -> str:
        return str(self.message.name)

    @property
    def due(self) -> float:
        return seconds_of(self.message.schedule_time)

    def retry(self) -> RetryPolicy:
        """Return the task's own settings, or else its queue's."""
        own = self.message.HasField("retry_config")
        return config.retry_of(self.message.retry_config if own else self.queue.message.retry_config)


class StoredQueue:
    """Queue and its tasks."""

    def __init__(self, message: Any, now: float) -> None:
        self.message = message
        self.tasks = NameIndex[StoredTask]()
        self.tombstones = Tombstones(TASK_BLOCKED)
        self.policy: Any = None
        rate = message.rate_limits
        self.bucket = TokenBucket(rate.max_dispatches_per_second, rate.max_burst_size, now)
        self.running = 0

    @property
    def paused(self) -> bool:
        return bool(self.message.state == self.message.PAUSED)

    def remove(self, task: StoredTask, now: float) -> None:
        task.gone = True
        self.tasks.pop(task.name)
        self.tombstones.add(task.name, now)


class State:
    """Queues, operations and encryption keys. Methods raise Refused for names that are missing, or used already."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.queues = NameIndex[StoredQueue]()
        self._deleted = Tombstones(QUEUE_BLOCKED)
        self.operations: dict[str, Any] = {}
        self.keys: dict[str, str] = {}
        """Encryption key of each location, which is only remembered."""

    def queue(self, name: str) -> StoredQueue:
        if name not in self.queues:
            raise no_queue()
        return self.queues[name]

    def queues_after(self, parent: str, after: str = "") -> Iterator[StoredQueue]:
        """Return the queues of a location that come after a name, by name."""
        first = f"{parent}/queues/"
        return takewhile(lambda queue: queue.message.name.startswith(first), self.queues.after(max(first, after)))

    def add_queue(self, definition: Any) -> StoredQueue:
        if definition.name in self.queues:
            raise Refused(Code.ALREADY_EXISTS, QUEUE_EXISTS)
        return self._create_queue(definition)

    def _create_queue(self, definition: Any) -> StoredQueue:
        if self._deleted.holds(definition.name, self._now()):
            raise Refused(Code.FAILED_PRECONDITION, QUEUE_EXISTED)
        message = new("Queue")
        message.CopyFrom(definition)
        message.ClearField("purge_time")
        message.state = message.RUNNING
        config.fill(message)
        queue = StoredQueue(message, self._now())
        self.queues.add(message.name, queue)
        return queue

    def update_queue(self, update: Any, paths: list[str]) -> StoredQueue:
        """Change the settings of a queue, or create a queue with them."""
        queue = self.queues.get(update.name)
        changed = new("Queue", name=update.name)
        if queue is not None:
            changed.CopyFrom(queue.message)
        config.apply(changed, update, paths)
        if queue is None:
            return self._create_queue(changed)
        queue.message = changed
        rate = changed.rate_limits
        queue.bucket.change(rate.max_dispatches_per_second, rate.max_burst_size, self._now())
        return queue

    def delete_queue(self, name: str) -> None:
        if name not in self.queues:
            raise not_found()
        queue = self.queues.pop(name)
        for task in queue.tasks.values():
            task.gone = True
        queue.tasks.clear()
        self._deleted.add(name, self._now())

    def purge(self, queue: StoredQueue) -> None:
        for task in queue.tasks.values():
            queue.remove(task, self._now())
        queue.message.purge_time.CopyFrom(stamp(self._now()))

    def task(self, name: str, *, explain: bool = False) -> StoredTask:
        """Return a task. `explain`: distinguish a former task from one that never existed, as only GetTask does."""
        queue = self.queues.get(name.partition("/tasks/")[0])
        if queue is None:
            raise not_found()
        if name in queue.tasks:
            return queue.tasks[name]
        if explain and queue.tombstones.holds(name, self._now()):
            raise Refused(Code.NOT_FOUND, TASK_IS_GONE)
        raise not_found()

    def add_task(self, queue: StoredQueue, message: Any) -> StoredTask:
        if message.name in queue.tasks:
            raise Refused(Code.ALREADY_EXISTS, TASK_EXISTS)
        if queue.tombstones.holds(message.name, self._now()):
            raise Refused(Code.ALREADY_EXISTS, TASK_EXISTED)
        task = StoredTask(message, queue)
        queue.tasks.add(message.name, task)
        return task

    def add_operation(self, operation: Any) -> None:
        """Add an operation; the oldest is removed when there are too many."""
        if len(self.operations) >= MAX_OPERATIONS:
            del self.operations[next(iter(self.operations))]
        self.operations[operation.name] = operation

"""Message move tasks of SQS, which redrive dead letters: moto has none.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html. A task ends within its
own request here, so that none of them is ever running and can be cancelled.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from cloudqueues.sqs_checks import Refused

RATE = 500
"""Largest MaxNumberOfMessagesPerSecond."""

LISTED = 10
"""Largest MaxResults.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ListMessageMoveTasks.html"""

UNKNOWN_SOURCE = "CouldNotDetermineMessageSource"
"""FailureReason for a message that was sent to the dead-letter queue, rather than moved there by SQS."""


class MoveTasks:
    """Message move tasks of all queues of this process, the last one first."""

    def __init__(self) -> None:
        self._tasks: list[dict[str, Any]] = []
        self._sources: WeakKeyDictionary[Any, str] = WeakKeyDictionary()

    def note_sources(self) -> None:
        """Remember the queue of each message that SQS may move to a dead-letter queue. To be called before each receive,
        which is when SQS moves messages."""
        for queue in _queues():
            if queue.dead_letter_queue is not None:
                self._sources.update(dict.fromkeys(queue._messages, queue.queue_arn))  # noqa: SLF001 - moto shows the visible ones only

    def start_task(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Move all visible messages of a dead-letter queue to a queue, or each to the one it came from. Raises Refused."""
        source = _queue("SourceArn", request.get("SourceArn", ""))
        if not any(queue.dead_letter_queue is source for queue in _queues()):
            raise Refused("InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue.")
        destination = _queue("DestinationArn", request["DestinationArn"]) if "DestinationArn" in request else None
        if destination is not None and destination.fifo_queue != source.fifo_queue:
            raise Refused("InvalidParameterValue", "Source and destination must be of one type, standard or FIFO.")
        _number("MaxNumberOfMessagesPerSecond", request.get("MaxNumberOfMessagesPerSecond", 1), RATE)
        task = {**request, "Status": "COMPLETED", "StartedTimestamp": int(time.time() * 1000)}
        self._tasks.insert(0, task)
        self._move(source, destination, task)
        return {"TaskHandle": str(uuid.uuid4())}

    def _move(self, source: Any, destination: Any, task: dict[str, Any]) -> None:
        waiting = source.messages
        moved = 0
        for message in waiting:
            target = destination or self._source_of(message)
            if target is None:
                task |= {"Status": "FAILED", "FailureReason": UNKNOWN_SOURCE}
                break
            source._messages.remove(message)  # noqa: SLF001 - as above
            target.add_message(_renewed(message))
            moved += 1
        task["ApproximateNumberOfMessagesMoved"] = moved
        task["ApproximateNumberOfMessagesToMove"] = len(waiting)

    def _source_of(self, message: Any) -> Any:
        arn = self._sources.get(message)
        return next((queue for queue in _queues() if queue.queue_arn == arn), None)

    def list_tasks(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the last tasks of a queue. Raises Refused."""
        arn = _queue("SourceArn", request.get("SourceArn", "")).queue_arn
        count = _number("MaxResults", request.get("MaxResults", 1), LISTED)
        return {"Results": [task for task in self._tasks if task["SourceArn"] == arn][:count]}

    def cancel_task(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        """Raise Refused: no task is running."""
        raise Refused("ResourceNotFoundException", "Task does not exist: only a running task can be cancelled.")


def _queues() -> Iterator[Any]:
    from moto.sqs.models import sqs_backends

    for account in sqs_backends.values():
        for backend in account.values():
            yield from backend.queues.values()


def _queue(parameter: str, arn: str) -> Any:
    """Return moto's queue of an ARN. Raises Refused."""
    for queue in _queues():
        if queue.queue_arn == arn:
            return queue
    raise Refused(
        "ResourceNotFoundException", f"The resource that you specified for the {parameter} parameter doesn't exist."
    )


def _number(parameter: str, value: int, largest: int) -> int:
    if not 1 <= value <= largest:
        raise Refused("InvalidParameterValue", f"Value for parameter {parameter} must be between 1 and {largest}.")
    return value


def _renewed(message: Any) -> Any:
    """Return the message as a new one: another id, never received, sent now."""
    from moto.sqs.models import Message

    copy = Message(str(uuid.uuid4()), message.body, dict(message.system_attributes))
    for name in ("message_attributes", "deduplication_id", "group_id", "sequence_number"):
        setattr(copy, name, getattr(message, name))
    copy.mark_sent()
    return copy

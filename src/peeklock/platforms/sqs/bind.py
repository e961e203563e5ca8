"""SQS on AWS Lambda: `handler = sqs.bind(charge)`.

The event source mapping must report batch item failures, as `peeklock.infra` configures it. A delayed message stays in the
queue with a changed visibility timeout. A dead letter is sent to the dead-letter queue before its message is completed.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Unpack

from peeklock.binding.bind import Binding, Options, mark
from peeklock.binding.settling import Settling, left_of, tighter
from peeklock.engine.bound_consumer import LOOKING_SECONDS, RESERVE, Delays
from peeklock.errors import ConfigError
from peeklock.observability.observer import Settled, log_event
from peeklock.outcome import DONE
from peeklock.platforms.sqs.client import client as process_client
from peeklock.platforms.sqs.client import places_of
from peeklock.platforms.sqs.receive import receive
from peeklock.platforms.sqs.retry_span import LONGEST_DELAY
from peeklock.platforms.sqs.sender import from_url, refusal
from peeklock.quotas.aws import ENTRIES as MAX_ENTRIES
from peeklock.quotas.aws import MANAGED_FUNCTION_SECONDS
from peeklock.timing.clock import Clock
from peeklock.timing.delays import ZERO

LONGEST = timedelta(seconds=MANAGED_FUNCTION_SECONDS)
# The longest of any function: how long this one may run is known only at an event.

MAX_VISIBILITY = int(LONGEST_DELAY.total_seconds())

LOOKING = timedelta(seconds=LOOKING_SECONDS)

Entry = Callable[[Any, Any], dict[str, Any]]


def bind(function: Callable[..., Any], *, client: Any = None, **options: Unpack[Options]) -> Entry:
    """Return a Lambda handler that runs a consumer over SQS events and reports the messages that must come back.

    `client`: a boto3 SQS client, for delays; by default one that is made when first needed.

    Raises ConfigError for a declaration that cannot work on SQS. The handler raises EventError for an event that is not from
    SQS, and ConfigError where the environment does not fit the declaration; it does so before any message runs, so that all
    of them come back.
    """
    binding = Binding(
        function,
        "sqs",
        delays=Delays.NATIVE,
        longest=LONGEST,
        longest_delay=timedelta(seconds=MAX_VISIBILITY),
        options=options,
    )
    queue_name = binding.queue.name

    def entry(event: Any, context: Any = None) -> dict[str, Any]:
        began, invocation = time.monotonic(), _left(context)
        messages = receive(event, queue_name)
        clock = binding.bound().clock
        _check_queue(binding, str(messages[0].raw.get("eventSourceARN")))
        _check_left(binding, invocation)  # at the start of the function: a cold start's own time is no setting
        left = left_of(tighter(invocation, binding.lock()), began)
        limit = None if left is None else clock.monotonic() + left.total_seconds()
        settled = binding.run(messages, left)
        return settle(settled, client, clock, limit)

    return mark(entry, binding)


def _check_queue(binding: Binding, arn: str) -> None:
    """Raise ConfigError for a fifo declaration on a standard queue, and for dead letters that go to the queue itself."""
    if binding.queue.fifo and arn.startswith("arn:") and not arn.endswith(".fifo"):
        raise ConfigError(
            f"queue {binding.queue.name!r} is fifo, but its events come from a standard queue, which keeps no order: use a"
            " queue whose name ends in .fifo, or leave fifo=True out"
        )
    binding.check_dead_letter(*places_of(arn))


def _check_left(binding: Binding, left: timedelta | None) -> None:
    """Raise ConfigError for an invocation too short for one message: its messages would come back at once, without a run, for
    ever."""
    needed = binding.queue.timeout + RESERVE
    if left is not None and left < needed - LOOKING:
        raise ConfigError(
            f"queue {binding.queue.name!r}: the function has {left.total_seconds():.3g} s left, and a message may take"
            f" {binding.queue.timeout.total_seconds():g} s: set the function's timeout above {needed.total_seconds():g} s, or"
            " lower timeout= of the queue"
        )


def _left(context: Any) -> timedelta | None:
    left = getattr(context, "get_remaining_time_in_millis", None)
    return None if left is None else timedelta(milliseconds=left())


def settle(settled: Sequence[Settled], client: Any, clock: Clock, limit: float | None) -> dict[str, Any]:
    """Return Lambda's answer, with the messages that come back, after setting the visibility timeout of those with a delay.

    `limit`: when Lambda ends the event, on the clock's monotonic time; None where that is not known.
    """
    failures = [
        settlement for settlement in settled if settlement.outcome is not DONE and not settlement.outcome.finished
    ]
    delayed = [settlement for settlement in failures if settlement.outcome.delay is not None]
    if delayed:
        _delay(delayed, client, Settling(clock, limit, calls=math.ceil(len(delayed) / MAX_ENTRIES)))
    return {"batchItemFailures": [{"itemIdentifier": settlement.message.native_id} for settlement in failures]}


def _delay(delayed: Sequence[Settled], client: Any, settling: Settling) -> None:
    """Set the visibility timeout of the messages with a delay. A failure only means another delay, so it is logged; a call
    without an answer in time holds up neither the event's answer nor the next call."""
    for start in range(0, len(delayed), MAX_ENTRIES):
        chunk = delayed[start : start + MAX_ENTRIES]
        try:
            answer = settling.call(functools.partial(_change_visibility, chunk, client))
            failures = [(chunk[int(failed["Id"])], str(failed.get("Code"))) for failed in answer.get("Failed") or ()]
        except Exception as exc:  # noqa: BLE001 - whatever the SDK raises or answers, the messages come back all the same
            _log_failure(chunk[0], len(chunk), type(exc).__name__, exc)
            continue
        for settlement, code in failures:
            _log_failure(settlement, 1, code, None)


def _change_visibility(chunk: Sequence[Settled], client: Any) -> Mapping[str, Any]:
    sqs = client or process_client()
    url = _queue_url(sqs, str(chunk[0].message.raw.get("eventSourceARN")))
    answer: Mapping[str, Any] = sqs.change_message_visibility_batch(QueueUrl=url, Entries=_entries(chunk))
    return answer


def _entries(chunk: Sequence[Settled]) -> list[dict[str, Any]]:
    return [
        {
            "Id": str(n),
            "ReceiptHandle": str(settlement.message.raw.get("receiptHandle")),
            "VisibilityTimeout": min(math.ceil((settlement.outcome.delay or ZERO).total_seconds()), MAX_VISIBILITY),
        }
        for n, settlement in enumerate(chunk)
    ]


def _log_failure(settlement: Settled, messages: int, error: str, exc: Exception | None) -> None:
    details = {
        "queue": settlement.message.queue,
        "message_id": settlement.message.id,
        "messages": messages,
        "error": error,
    }
    log_event("peeklock.visibility_failed %s", details, error=exc)


@functools.lru_cache(maxsize=32)
def _queue_url(sqs: Any, arn: str) -> str:
    """Return the URL of an event source's queue, from SQS: its form differs between partitions and emulators."""
    *_, account, name = arn.split(":")
    answer = sqs.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)
    return str(answer["QueueUrl"])


SHAPE = 'Lambda\'s event, {"Records": [{"eventSource": "aws:sqs", ...}]}'

SOURCE = "queue"


def source_of(event: Any) -> str | None:
    """Return the queue that a sample event names, without `.fifo`; None where it names none. An event of SQS comes from one
    queue: several names are joined into one that no queue can have."""
    records = event.get("Records") if isinstance(event, dict) else None
    arns = {str(record.get("eventSourceARN") or "") for record in records or () if isinstance(record, dict)}
    names = sorted(arn.rpartition(":")[2].removesuffix(".fifo") for arn in arns)
    return ", ".join(names) or None


def matches(event: object) -> bool:
    """Return whether a sample event has the shape of one from SQS."""
    records = event.get("Records") if isinstance(event, dict) else None
    first = records[0] if isinstance(records, list) and records else None
    return isinstance(first, dict) and first.get("eventSource") == "aws:sqs"


class _Recorder:
    """Stand-in for SQS in a local run, which records changes of visibility."""

    def __init__(self) -> None:
        self.changes: list[dict[str, Any]] = []

    def get_queue_url(self, **request: str) -> dict[str, str]:
        return {"QueueUrl": f"https://sqs.invalid/{request['QueueOwnerAWSAccountId']}/{request['QueueName']}"}

    def change_message_visibility_batch(self, **request: Any) -> dict[str, Any]:
        self.changes.extend(request["Entries"])
        return {}


def run_sample(function: Callable[..., Any], event: Any, **options: Unpack[Options]) -> object:
    """Run a sample event and return the answer to Lambda, with the changes of visibility. Reaches no network."""
    recorder = _Recorder()
    answer: dict[str, Any] = bind(function, client=recorder, **options)(event, None)
    if recorder.changes:
        ids = {str(record.get("receiptHandle")): record["messageId"] for record in event["Records"]}
        answer["changeMessageVisibility"] = [
            {"messageId": ids[entry["ReceiptHandle"]], "visibilityTimeout": entry["VisibilityTimeout"]}
            for entry in recorder.changes
        ]
    return answer


__all__ = ["SHAPE", "SOURCE", "bind", "from_url", "matches", "receive", "refusal", "run_sample", "settle", "source_of"]

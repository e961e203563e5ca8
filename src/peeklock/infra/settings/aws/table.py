"""Table of the settings of SQS and Lambda.

The deadline of an event comes from Lambda's context, and the visibility timeout is six times as long: the function needs no
`PEEKLOCK_<QUEUE>_LOCK`.
"""

from __future__ import annotations

from dataclasses import dataclass

from peeklock.infra.settings.table import SPAN, Documented, documented, setting
from peeklock.quotas.aws import CONCURRENCY, FUNCTION_SECONDS, IN_FLIGHT, LEAST_CONCURRENCY, POLL_SECONDS, RECEIVES
from peeklock.retry_span import Span

LAMBDA = "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"
MAPPING = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-parameters.html"
CONFIGURE = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"
SCALING = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html"
ERRORS = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html"
METRICS = "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html"
QUEUES = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html"
DEAD_LETTERS = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html"
MESSAGES = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html"
FIFO = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/high-throughput-fifo.html"
POLLING = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of a queue, its dead-letter queue, its function and the mapping between them. Durations are whole seconds."""

    visibility: int = setting(
        "VisibilityTimeout",
        "6 * function timeout + window",
        "a throttled event is tried again while its messages are still locked; Lambda refuses less than one timeout",
        CONFIGURE,
    )
    receives: int = setting(
        "maxReceiveCount",
        f"{RECEIVES}, SQS's most; max_attempts at most half of it",
        "the backstop: max_attempts is counted by peeklock, and a poll (Retry with counts=False) or a delivery without a run is"
        " not an attempt",
        DEAD_LETTERS,
    )
    retention: int = setting(
        "MessageRetentionPeriod",
        "7 days; the delays of all attempts are at most half of it",
        "shorter than that of the dead letters, which keep the time of sending",
        QUEUES,
    )
    poll: int = setting("ReceiveMessageWaitTimeSeconds", f"{POLL_SECONDS}", "long polls cost least", POLLING)
    fifo: bool = documented(
        Documented("FifoQueue", "fifo", "order within a group; cannot be changed later", FIFO),
        Documented(
            "FifoThroughputLimit",
            "fifo: perMessageGroupId, with DeduplicationScope messageGroup",
            "high throughput: groups do not slow each other",
            FIFO,
            lambda fifo: "perMessageGroupId" if fifo else "",
        ),
    )
    span: Span = documented(SPAN)  # noqa: RUF009 - returns a field
    filling_rate: float | None = setting(
        f"failing messages/s that fill {IN_FLIGHT:,} in flight",
        f"{IN_FLIGHT} / median of the attempts' span, while that many fail each second for longer than the span",
        f"a message that waits for its next attempt is in flight; beyond {IN_FLIGHT:,} SQS delivers no more, not even new ones",
        MESSAGES,
        lambda rate: "" if rate is None else round(rate),
    )
    """None where there are no delays."""
    dead_letters_retention: int = setting(
        "MessageRetentionPeriod of the dead letters",
        "14 days",
        "the longest: time to fix the cause and redrive",
        DEAD_LETTERS,
    )
    timeout: int = setting(
        "Timeout",
        f"waves * timeout + 5, at most {FUNCTION_SECONDS} (waves = batch / parallel, rounded up)",
        "every message of an event may take its whole timeout, and claiming, recording and settling take five seconds",
        LAMBDA,
    )
    parallel: int = setting(
        "PEEKLOCK_<QUEUE>_PARALLEL",
        "parallel",
        "the timeout is computed for it; a handler bound with another number refuses to start",
        LAMBDA,
    )
    memory: int = setting("MemorySize", "memory", "128 to 10240 MB; processor power grows with it", LAMBDA)
    batch: int = setting("BatchSize", "batch", "at most 10000, FIFO 10", MAPPING)
    window: int = setting(
        "MaximumBatchingWindowInSeconds",
        "window; 1 where batch > 10, else 0; none on FIFO",
        "a batch of more than 10 needs one; a longer one means fewer and later events",
        MAPPING,
    )
    response_types: tuple[str, ...] = setting(
        "FunctionResponseTypes",
        "always",
        "without it a batch with one failure comes back whole, or a failure is deleted",
        ERRORS,
        list,
    )
    concurrency: int = setting(
        "MaximumConcurrency",
        f"instances, {LEAST_CONCURRENCY} to {CONCURRENCY}",
        "caps the function without throttling it: a delivery that reserved concurrency refuses counts as a receive",
        SCALING,
    )
    ready: int = setting(
        "ProvisionedConcurrentExecutions",
        "ready; none where it is 0",
        "instances that wait for events, and are charged by the hour",
        "https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html",
        lambda ready: ready or "",
    )
    mapping_metrics: tuple[str, ...] = setting(
        "Metrics", "always", "the outcome of each polled message, including filtered ones", METRICS, list
    )

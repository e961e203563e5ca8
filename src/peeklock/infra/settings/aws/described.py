"""The settings on AWS for people: where each number comes from and why."""

from __future__ import annotations

from typing import Any

from peeklock.infra.options import Setting, row_of_span
from peeklock.infra.settings.aws.numbers import (
    CONFIGURE,
    DEAD_LETTERS,
    FIFO,
    LAMBDA,
    MAPPING,
    MESSAGES,
    QUEUES,
    SCALING,
    Settings,
)
from peeklock.quotas.aws import CONCURRENCY, FUNCTION_SECONDS, IN_FLIGHT, LEAST_CONCURRENCY, POLL_SECONDS, RECEIVES

ERRORS = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html"
METRICS = "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html"
POLLING = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html"


def described(settings: Settings) -> list[Setting]:
    """Each setting that a queue or a capacity decides, in the order of the page: queue, outages, dead letters, function, mapping."""
    return [
        *_of_queue(settings),
        *_of_outages(settings),
        *_of_dead_letters(settings),
        *_of_function(settings),
        *_of_mapping(settings),
    ]


def _of_queue(settings: Settings) -> list[Setting]:
    return [
        _row(
            "VisibilityTimeout",
            settings.visibility,
            "6 * function timeout + window",
            "a throttled event is tried again while the message is still lent; Lambda refuses less than one timeout",
            CONFIGURE,
        ),
        _row(
            "maxReceiveCount",
            settings.receives,
            f"{RECEIVES}, SQS's most; max_attempts at most half of it",
            "the backstop: max_attempts is counted by peeklock, and a poll (Retry with counts=False) or a delivery without a"
            " run is no attempt",
            DEAD_LETTERS,
        ),
        _row(
            "MessageRetentionPeriod",
            settings.retention,
            "7 days; the delays of all attempts are at most half of it",
            "shorter than that of the dead letters, which keep the time of sending",
            QUEUES,
        ),
        _row("ReceiveMessageWaitTimeSeconds", POLL_SECONDS, f"{POLL_SECONDS}", "long polls cost least", POLLING),
        _row("FifoQueue", settings.fifo, "fifo", "order within a group; cannot be changed later", FIFO),
        _row(
            "FifoThroughputLimit",
            "perMessageGroupId" if settings.fifo else None,
            "fifo: perMessageGroupId, with DeduplicationScope messageGroup",
            "high throughput: groups do not slow each other",
            FIFO,
        ),
    ]


def _of_outages(settings: Settings) -> list[Setting]:
    return [
        row_of_span(settings.span),
        _row(
            "failing messages/s that fill 120,000 in flight",
            "" if settings.filling_rate is None else round(settings.filling_rate),
            f"{IN_FLIGHT} / median of the attempts' span, while that many fail each second for longer than the span",
            "a message that waits for its next attempt is in flight; beyond 120,000 SQS gives out no more, new ones neither",
            MESSAGES,
        ),
    ]


def _of_dead_letters(settings: Settings) -> list[Setting]:
    return [
        _row(
            "MessageRetentionPeriod of the dead letters",
            settings.dead_letters_retention,
            "14 days",
            "the longest: time to mend the cause and redrive",
            DEAD_LETTERS,
        ),
    ]


def _of_function(settings: Settings) -> list[Setting]:
    return [
        _row(
            "Timeout",
            settings.timeout,
            f"waves * timeout + 5, at most {FUNCTION_SECONDS} (waves = batch / parallel, rounded up)",
            "every message of an event may take its whole timeout, and five seconds claim, record and settle",
            LAMBDA,
        ),
        _row(
            "PEEKLOCK_<QUEUE>_PARALLEL",
            settings.parallel,
            "parallel",
            "the timeout is computed for it; a handler bound with another number refuses to start",
            LAMBDA,
        ),
        _row("MemorySize", settings.memory, "memory", "128 to 10240 MB; processors come with it", LAMBDA),
    ]


def _of_mapping(settings: Settings) -> list[Setting]:
    return [
        _row("BatchSize", settings.batch, "batch", "at most 10000, FIFO 10", MAPPING),
        _row(
            "MaximumBatchingWindowInSeconds",
            settings.window,
            "window; 1 where batch > 10, else 0; none on FIFO",
            "a batch of more than 10 needs one; longer means fewer events and later ones",
            MAPPING,
        ),
        _row(
            "FunctionResponseTypes",
            ["ReportBatchItemFailures"],
            "always",
            "without it a batch with one failure comes back whole, or a failure is deleted",
            ERRORS,
        ),
        _row(
            "MaximumConcurrency",
            settings.concurrency,
            f"instances, {LEAST_CONCURRENCY} to {CONCURRENCY}",
            "caps the function without throttling it: what reserved concurrency refuses counts as a receive",
            SCALING,
        ),
        _row("Metrics", ["EventCount"], "always", "what became of each polled message, filtered ones too", METRICS),
    ]


def _row(name: str, value: Any, formula: str, why: str, source: str) -> Setting:
    return Setting(name=name, value=value, formula=formula, why=why, source=source)

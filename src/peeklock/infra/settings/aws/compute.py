"""Computation of the settings of SQS and Lambda from the queue and the capacity."""

from __future__ import annotations

from peeklock.errors import ConfigError
from peeklock.infra.options import Capacity, whole_seconds
from peeklock.infra.settings.aws.table import Settings
from peeklock.platforms.sqs.retry_span import LONGEST_DELAY
from peeklock.queue import Queue
from peeklock.quotas.aws import BATCH as MOST_BATCH
from peeklock.quotas.aws import BATCH_AT_ONCE as MOST_BATCH_AT_ONCE
from peeklock.quotas.aws import BATCH_OF_FIFO as MOST_BATCH_FIFO
from peeklock.quotas.aws import CONCURRENCY as MOST_CONCURRENCY
from peeklock.quotas.aws import FUNCTION_MEGABYTES as MOST_MEMORY
from peeklock.quotas.aws import FUNCTION_SECONDS as LONGEST_FUNCTION
from peeklock.quotas.aws import IN_FLIGHT as MOST_IN_FLIGHT
from peeklock.quotas.aws import LEAST_CONCURRENCY, LOG_DAYS, POLL_SECONDS, RETENTION_SECONDS
from peeklock.quotas.aws import LEAST_FUNCTION_MEGABYTES as LEAST_MEMORY
from peeklock.quotas.aws import RECEIVES as MOST_RECEIVES
from peeklock.quotas.aws import WINDOW_SECONDS as LONGEST_WINDOW
from peeklock.retry_span import Span

MARGIN = 5
"""Seconds for claiming, recording and settling around the runs of an event."""

TIMES = 6
"""Function timeouts within a visibility timeout, so that a throttled event is tried again under the same lock. See `CONFIGURE` of
the table."""

MOST_ATTEMPTS = MOST_RECEIVES // 2
"""Half of the receives. The other half is left to deliveries that are not attempts: polls with `Retry(counts=False)`, busy or
halted messages, a store that is down."""

DAY = 86_400
RETENTION = 7 * DAY
DEAD_LETTERS_RETENTION = RETENTION_SECONDS
"""Seconds; SQS's longest. Longer than the queue's, since a dead letter of a standard queue keeps its first time of sending. See
`DEAD_LETTERS` of the table."""


def compute(queue: Queue, capacity: Capacity, *, window: int | None = None) -> Settings:
    """Return the settings.

    `window`: seconds that an event may wait to be filled; as short as the batch allows if left out. Raises ConfigError, with
    the number to change, for settings that SQS or Lambda does not accept.
    """
    _check_capacity(capacity)
    batch = capacity.messages(whole_seconds(queue.timeout), LONGEST_FUNCTION - MARGIN)
    _check_batch(queue, batch)
    window = _window(queue, batch, window)
    timeout = _timeout(queue, batch, capacity.parallel)
    visibility = TIMES * timeout + window
    _check_attempts(queue)
    span = queue.span("sqs")
    _check_delays(queue, span)
    _check_age(queue)
    return Settings(
        batch=batch,
        parallel=capacity.parallel,
        window=window,
        timeout=timeout,
        visibility=visibility,
        receives=MOST_RECEIVES,
        retention=RETENTION,
        poll=POLL_SECONDS,
        dead_letters_retention=DEAD_LETTERS_RETENTION,
        concurrency=capacity.instances,
        memory=capacity.memory,
        ready=capacity.ready,
        fifo=queue.fifo,
        span=span,
        filling_rate=_filling_rate(span),
        response_types=("ReportBatchItemFailures",),
        mapping_metrics=("EventCount",),
    )


def _filling_rate(span: Span) -> float | None:
    """Return the messages a second, failing in every attempt, that fill the limit of messages in flight if they keep coming.
    Each is in flight for its delays, whose mean is their median, as they are uniform. None without delays."""
    held = span.median.total_seconds()
    return MOST_IN_FLIGHT / held if held else None


def check_log_days(days: int) -> int:
    """Return the days if CloudWatch offers this retention. Raises ConfigError with the next number of days that it offers."""
    if days not in LOG_DAYS:
        near = next((offered for offered in LOG_DAYS if offered > days), LOG_DAYS[-1])
        raise ConfigError(
            f"stage: log_days={days}, but CloudWatch keeps logs for certain numbers of days only; use {near}"
        )
    return days


def _check_capacity(capacity: Capacity) -> None:
    if not LEAST_CONCURRENCY <= capacity.instances <= MOST_CONCURRENCY:
        near = min(max(capacity.instances, LEAST_CONCURRENCY), MOST_CONCURRENCY)
        raise ConfigError(
            f"capacity: instances={capacity.instances}, but a mapping's maximum concurrency is {LEAST_CONCURRENCY} to"
            f" {MOST_CONCURRENCY}; use instances={near}"
        )
    if not LEAST_MEMORY <= capacity.memory <= MOST_MEMORY:
        near = min(max(capacity.memory, LEAST_MEMORY), MOST_MEMORY)
        raise ConfigError(
            f"capacity: memory={capacity.memory}, but a function has {LEAST_MEMORY} to {MOST_MEMORY} MB; use memory={near}"
        )


def _check_batch(queue: Queue, batch: int) -> None:
    most = MOST_BATCH_FIFO if queue.fifo else MOST_BATCH
    if batch > most:
        kind = "a FIFO queue" if queue.fifo else "SQS"
        raise ConfigError(
            f"queue {queue.name!r}: batch={batch}, but {kind} gives at most {most} messages an event; use batch={most}"
        )


def _window(queue: Queue, batch: int, requested: int | None) -> int:
    least = 1 if batch > MOST_BATCH_AT_ONCE else 0
    window = least if requested is None else requested
    if queue.fifo and window:
        raise ConfigError(
            f"queue {queue.name!r}: window={window}, but a FIFO queue has no batching window; leave it out"
        )
    if not least <= window <= LONGEST_WINDOW:
        near = min(max(window, least), LONGEST_WINDOW)
        raise ConfigError(
            f"queue {queue.name!r}: window={window} s with batch={batch}, but it is {least} to {LONGEST_WINDOW} s;"
            f" use window={near}"
        )
    return window


def _timeout(queue: Queue, batch: int, parallel: int) -> int:
    """Return the seconds of one event: its waves of parallel runs, and a margin."""
    run = whole_seconds(queue.timeout)
    timeout = -(-batch // parallel) * run + MARGIN
    if timeout <= LONGEST_FUNCTION:
        return timeout
    waves = (LONGEST_FUNCTION - MARGIN) // run
    fix = (
        f"lower batch to {waves * parallel}, or raise parallel to {-(-batch // waves)}"
        if waves
        else f"lower timeout to {LONGEST_FUNCTION - MARGIN}, or start a job and poll it"
    )
    raise ConfigError(
        f"queue {queue.name!r}: {batch} messages, {parallel} at once, of {run} s each take {timeout} s, and"
        f" Lambda ends an event after {LONGEST_FUNCTION} s; {fix}"
    )


def _check_attempts(queue: Queue) -> None:
    if queue.max_attempts > MOST_ATTEMPTS:
        raise ConfigError(
            f"queue {queue.name!r}: max_attempts={queue.max_attempts}, but a message is delivered at most {MOST_RECEIVES} times"
            f" before SQS gives it up, and half of them are for deliveries that are not attempts; use at most"
            f" max_attempts={MOST_ATTEMPTS}"
        )


def _check_delays(queue: Queue, span: Span) -> None:
    longest = whole_seconds(LONGEST_DELAY)
    if whole_seconds(queue.max_delay) > longest:
        raise ConfigError(
            f"queue {queue.name!r}: max_delay={queue.max_delay.total_seconds():g} s, but SQS hides a message for 12 hours in"
            f" all, a run included; use at most max_delay={longest}"
        )
    total, half = span.longest.total_seconds(), RETENTION // 2
    if total > half:
        raise ConfigError(
            f"queue {queue.name!r}: the delays of {queue.max_attempts} attempts are up to {total:g} s, and SQS deletes a"
            f" message after {RETENTION} s, half of which are for waiting; lower max_delay to {_delay_that_fits(queue, half)},"
            " or max_attempts"
        )


def _delay_that_fits(queue: Queue, total: int) -> int:
    return total // (queue.max_attempts - 1)


def _check_age(queue: Queue) -> None:
    """Raise ConfigError for a `max_age` within which SQS deletes the message: it does so without a dead letter."""
    if queue.max_age is not None and whole_seconds(queue.max_age) > RETENTION - DAY:
        raise ConfigError(
            f"queue {queue.name!r}: max_age={queue.max_age.total_seconds():g} s, but SQS deletes a message after {RETENTION} s,"
            f" without a dead letter; use at most max_age={RETENTION - DAY}"
        )

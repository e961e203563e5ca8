"""SQS and Lambda: each number from the queue and the capacity.

The deadline of an event comes from Lambda's context, and the visibility timeout is six times as long: the function needs no
`PEEKLOCK_<QUEUE>_LOCK`.
"""

from __future__ import annotations

from dataclasses import dataclass

from peeklock.errors import ConfigError
from peeklock.infra.options import Capacity, seconds_of
from peeklock.queue import Queue
from peeklock.quotas.aws import BATCH as MOST_BATCH
from peeklock.quotas.aws import BATCH_AT_ONCE as MOST_BATCH_AT_ONCE
from peeklock.quotas.aws import BATCH_OF_FIFO as MOST_BATCH_FIFO
from peeklock.quotas.aws import CONCURRENCY as MOST_CONCURRENCY
from peeklock.quotas.aws import FUNCTION_MEGABYTES as MOST_MEMORY
from peeklock.quotas.aws import FUNCTION_SECONDS as LONGEST_FUNCTION
from peeklock.quotas.aws import IN_FLIGHT as MOST_IN_FLIGHT
from peeklock.quotas.aws import LEAST_CONCURRENCY, LOG_DAYS, RETENTION_SECONDS
from peeklock.quotas.aws import LEAST_FUNCTION_MEGABYTES as LEAST_MEMORY
from peeklock.quotas.aws import RECEIVES as MOST_RECEIVES
from peeklock.quotas.aws import WINDOW_SECONDS as LONGEST_WINDOW
from peeklock.retry_span import LONGEST_ON_SQS, Span

LAMBDA = "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"
MAPPING = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-parameters.html"
CONFIGURE = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"
SCALING = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html"
VISIBILITY = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html"
QUEUES = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html"
DEAD_LETTERS = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html"
MESSAGES = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html"
FIFO = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/high-throughput-fifo.html"

MARGIN = 5
"""Seconds for claiming, recording and settling around the runs of an event."""

TIMES = 6
"""Function timeouts within a visibility timeout, so that a throttled event is tried again under the same lock. See CONFIGURE."""

MOST_ATTEMPTS = MOST_RECEIVES // 2
"""The other half of the receives is left to deliveries that are no attempts: polls with `Retry(counts=False)`, busy or halted
ones, a store that is down."""

DAY = 86_400
RETENTION = 7 * DAY
DEAD_LETTERS_RETENTION = RETENTION_SECONDS
"""Seconds; SQS's longest. Longer than the queue's, since a dead letter of a standard queue keeps its first time of sending. See DEAD_LETTERS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a queue, its dead letters, its function and the mapping between them are given. Seconds are whole; counts are counts."""

    batch: int
    """Messages in one event, at most."""
    parallel: int
    """Handlers at once within one event."""
    window: int
    """Seconds that an event may wait to be filled; 0 on a FIFO queue, which has none."""
    timeout: int
    """Seconds of the function."""
    visibility: int
    """Seconds that a message is lent for."""
    receives: int
    """Deliveries after which SQS itself moves a message to the dead letters: the backstop."""
    retention: int
    dead_letters_retention: int
    concurrency: int
    """Events at once, hence instances of the function."""
    memory: int
    fifo: bool
    span: Span
    """How long the attempts of a failing message last."""

    @property
    def filling_rate(self) -> float | None:
        """Messages a second whose every attempt fails that, kept up, fill what may be in flight: each is in flight for its
        delays, whose mean is their median, as they are uniform. None where there are no delays."""
        held = self.span.median.total_seconds()
        return MOST_IN_FLIGHT / held if held else None


def of(queue: Queue, capacity: Capacity, *, window: int | None = None) -> Settings:
    """The settings.

    `window`: seconds that an event may wait to be filled; left out, as short as the batch allows. Raises ConfigError, with the
    number to change, for what SQS or Lambda cannot do.
    """
    _check_capacity(capacity)
    _check_batch(queue, capacity)
    window = _window(queue, capacity, window)
    timeout = _timeout(queue, capacity)
    visibility = TIMES * timeout + window
    _check_attempts(queue)
    span = queue.span("sqs")
    _check_delays(queue, span)
    _check_age(queue)
    return Settings(
        batch=capacity.batch,
        parallel=capacity.parallel,
        window=window,
        timeout=timeout,
        visibility=visibility,
        receives=MOST_RECEIVES,
        retention=RETENTION,
        dead_letters_retention=DEAD_LETTERS_RETENTION,
        concurrency=capacity.instances,
        memory=capacity.memory,
        fifo=queue.fifo,
        span=span,
    )


def check_log_days(days: int) -> int:
    """The days, where CloudWatch keeps logs for so long. Raises ConfigError with the next number of days that it offers."""
    if days not in LOG_DAYS:
        near = next((one for one in LOG_DAYS if one > days), LOG_DAYS[-1])
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


def _check_batch(queue: Queue, capacity: Capacity) -> None:
    most = MOST_BATCH_FIFO if queue.fifo else MOST_BATCH
    if capacity.batch > most:
        kind = "a FIFO queue" if queue.fifo else "SQS"
        raise ConfigError(
            f"queue {queue.name!r}: batch={capacity.batch}, but {kind} gives at most {most} messages an event; use batch={most}"
        )


def _window(queue: Queue, capacity: Capacity, given: int | None) -> int:
    least = 1 if capacity.batch > MOST_BATCH_AT_ONCE else 0
    window = least if given is None else given
    if queue.fifo and window:
        raise ConfigError(
            f"queue {queue.name!r}: window={window}, but a FIFO queue has no batching window; leave it out"
        )
    if not least <= window <= LONGEST_WINDOW:
        near = min(max(window, least), LONGEST_WINDOW)
        raise ConfigError(
            f"queue {queue.name!r}: window={window} s with batch={capacity.batch}, but it is {least} to {LONGEST_WINDOW} s;"
            f" use window={near}"
        )
    return window


def _timeout(queue: Queue, capacity: Capacity) -> int:
    """Seconds for one event: its runs, one after the other as far as they are not parallel, and a margin."""
    one = seconds_of(queue.timeout)
    timeout = -(-capacity.batch // capacity.parallel) * one + MARGIN
    if timeout <= LONGEST_FUNCTION:
        return timeout
    waves = (LONGEST_FUNCTION - MARGIN) // one
    fix = (
        f"lower batch to {waves * capacity.parallel}, or raise parallel to {-(-capacity.batch // waves)}"
        if waves
        else f"lower timeout to {LONGEST_FUNCTION - MARGIN}, or start a job and poll it"
    )
    raise ConfigError(
        f"queue {queue.name!r}: {capacity.batch} messages, {capacity.parallel} at once, of {one} s each take {timeout} s, and"
        f" Lambda ends an event after {LONGEST_FUNCTION} s; {fix}"
    )


def _check_attempts(queue: Queue) -> None:
    if queue.max_attempts > MOST_ATTEMPTS:
        raise ConfigError(
            f"queue {queue.name!r}: max_attempts={queue.max_attempts}, but a message is delivered at most {MOST_RECEIVES} times"
            f" before SQS gives it up, and half of them are for deliveries that are no attempts; use at most"
            f" max_attempts={MOST_ATTEMPTS}"
        )


def _check_delays(queue: Queue, span: Span) -> None:
    longest = seconds_of(LONGEST_ON_SQS)
    if seconds_of(queue.max_delay) > longest:
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
    """What SQS deletes is told to nobody, so a message must expire before."""
    if queue.max_age is not None and seconds_of(queue.max_age) > RETENTION - DAY:
        raise ConfigError(
            f"queue {queue.name!r}: max_age={queue.max_age.total_seconds():g} s, but SQS deletes a message after {RETENTION} s,"
            f" without a dead letter; use at most max_age={RETENTION - DAY}"
        )

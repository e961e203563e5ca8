"""Time between the first and the last attempt of a message if all of them fail."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate, pairwise

from peeklock.errors import ConfigError
from peeklock.quotas.aws import MANAGED_FUNCTION_SECONDS, VISIBILITY_SECONDS, WINDOW_SECONDS
from peeklock.quotas.google import SUBSCRIPTION_BACKOFF, TASK_DELAY
from peeklock.timing.delays import MAX_EXPONENT, ZERO

CELLS = 500
"""Steps of the grid on which the distribution is computed. Each computed value is accurate to one step."""

MANY = 100
"""Number of delays from which their sum is treated as normally distributed, which costs the same for any number. At least
seventy of them then have the same ceiling."""

SCORE_1 = -2.326
"""The 1st percentile of the standard normal distribution."""

LONGEST_ON_SQS = timedelta(seconds=VISIBILITY_SECONDS - WINDOW_SECONDS - MANAGED_FUNCTION_SECONDS)
"""The longest visibility timeout that `peeklock.platforms.sqs.bind` sets. SQS limits the total since the message was received,
so the longest that it can have been held until then is subtracted: Lambda's batching window, and the function's time.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html"""

LONGEST_TASK_BACKOFF = timedelta(hours=1)
"""The longest time between two dispatches of a task, as `peeklock.infra` configures it.
https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues#retryconfig"""

SERVICEBUS_HOLD = timedelta(seconds=20)
"""How long `servicebus.bind` holds a message before it abandons it (its `hold=`)."""

SECOND = timedelta(seconds=1)
FOR_EVER = timedelta(days=999_999_999)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike:
    """A number of delays with the same distribution: uniform between 0 and the ceiling, in seconds."""

    count: int
    ceiling: float
    kept: float
    """The longest delay that the platform supports; longer ones are cut to it."""

    @property
    def mean(self) -> float:
        return self.kept - self.kept**2 / (2 * self.ceiling)

    @property
    def variance(self) -> float:
        return self.kept**2 - 2 * self.kept**3 / (3 * self.ceiling) - self.mean**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Sum of the delays between the first and the last attempt of a message if all of them fail, without the runs.

    One message in a hundred has less than `percentile_1`, half of them less than `median`, none more than `longest`.
    """

    percentile_1: timedelta
    median: timedelta
    longest: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential delays of a queue: their number, and the first and the longest ceiling."""

    delays: int
    first: timedelta
    most: timedelta
    fifo: bool


def span_of(asked: Backoff, platform: str, *, store: bool) -> Span:
    """Return the span on a platform. Raises ConfigError for an unknown platform."""
    if platform == "sqs":
        return _jittered(asked, LONGEST_ON_SQS)
    if platform == "servicebus":
        return _on_servicebus(asked, store=store)
    if platform == "cloudtasks":
        return _on_cloudtasks(asked, store=store)
    if platform == "pubsub":
        most = SUBSCRIPTION_BACKOFF
        return _exactly(_doubling(min(asked.first, most), min(asked.most, most), asked.delays))
    raise ConfigError(f"span({platform!r}): the platform has to be cloudtasks, pubsub, servicebus or sqs")


def _on_servicebus(asked: Backoff, *, store: bool) -> Span:
    """Return the span on Service Bus. In a session, delays are waited out under its lock. Without a store, a message is held
    longer on each delivery."""
    if asked.fifo:
        return _jittered(asked, SERVICEBUS_HOLD)
    return _jittered(asked, None) if store else _exactly(_doubling(SECOND, SERVICEBUS_HOLD, asked.delays))


def _on_cloudtasks(asked: Backoff, *, store: bool) -> Span:
    """Return the span on Cloud Tasks. With a store, each delay is that of a new task; without one, the queue's retryConfig
    applies."""
    if store:
        return _jittered(asked, TASK_DELAY)
    first = min(max(asked.first, SECOND), LONGEST_TASK_BACKOFF)
    return _exactly(_doubling(first, min(max(asked.most, first), LONGEST_TASK_BACKOFF), asked.delays))


def _doubling(first: timedelta, most: timedelta, delays: int) -> list[tuple[float, int]]:
    """Return the ceilings of delays that double up to the longest, in seconds, each with the number of its delays."""
    seconds, longest = first.total_seconds(), most.total_seconds()
    counts: Counter[float] = Counter()
    for n in range(min(delays, MAX_EXPONENT)):
        counts[min(seconds * 2.0**n, longest)] += 1
    counts[min(seconds * 2.0**MAX_EXPONENT, longest)] += max(delays - MAX_EXPONENT, 0)
    return [(delay, count) for delay, count in counts.items() if delay and count]


def _exactly(delays: Sequence[tuple[float, int]]) -> Span:
    total = _time(sum(delay * count for delay, count in delays))
    return Span(percentile_1=total, median=total, longest=total)


def _time(seconds: float) -> timedelta:
    """Return a duration, limited to what a timedelta can hold: a queue may ask for years, a million times."""
    return timedelta(seconds=min(max(seconds, 0.0), FOR_EVER.total_seconds()))


def _jittered(asked: Backoff, at_most: timedelta | None) -> Span:
    """Return the span of delays that are uniform between 0 and their ceiling, and cut to `at_most` by the platform."""
    cut = math.inf if at_most is None else at_most.total_seconds()
    delays = [
        Alike(count=count, ceiling=ceiling, kept=min(ceiling, cut))
        for ceiling, count in _doubling(asked.first, asked.most, asked.delays)
    ]
    if not delays:
        return Span(percentile_1=ZERO, median=ZERO, longest=ZERO)
    percentile_1, median = (_normal if asked.delays >= MANY else _on_a_grid)(delays)
    longest = sum(each.count * each.kept for each in delays)
    return Span(percentile_1=_time(percentile_1), median=_time(median), longest=_time(longest))


def _normal(delays: Sequence[Alike]) -> tuple[float, float]:
    """Return percentiles of the normal distribution with the mean and variance of the delays."""
    mean = sum(each.count * each.mean for each in delays)
    return mean + SCORE_1 * math.sqrt(sum(each.count * each.variance for each in delays)), mean


def _on_a_grid(delays: Sequence[Alike]) -> tuple[float, float]:
    """Return percentiles of the distribution of the sum, to which one delay after the other is added.

    The longest come first, so that the distribution is smooth when short ones are added.
    """
    step = sum(each.count * each.kept for each in delays) / CELLS
    first, *rest = (
        each for each in sorted(delays, key=lambda each: each.ceiling, reverse=True) for _ in range(each.count)
    )
    shares = [n * step / first.ceiling if n * step < first.kept else 1.0 for n in range(CELLS + 1)]
    for each in rest:
        shares = _with_delay(shares, step, each)
    return step * _reached(shares, 0.01), step * _reached(shares, 0.5)


def _with_delay(shares: list[float], step: float, delay: Alike) -> list[float]:
    """Return the cumulative distribution with one more delay: uniform up to `kept`, and `kept` itself if it would be longer.

    At each point it is the mean of the previous distribution over the last `kept` seconds, interpolated linearly.
    """
    areas = list(accumulate((step * (left + right) / 2 for left, right in pairwise(shares)), initial=0.0))
    shift = math.ceil(delay.kept / step)
    part, cut_share = shift - delay.kept / step, 1.0 - delay.kept / delay.ceiling
    widened = [area / delay.ceiling for area in areas[:shift]]
    for area, earlier, left, right in zip(areas[shift:], areas, shares, shares[1:], strict=False):
        share = left + (right - left) * part
        widened.append((area - earlier - (left + share) / 2 * part * step) / delay.ceiling + cut_share * share)
    return widened


def _reached(shares: Sequence[float], share: float) -> float:
    """Return the position, in steps, where a cumulative distribution that begins with 0 reaches a share."""
    after = bisect_left(shares, share)
    before, reached = shares[after - 1], shares[after]
    return after - 1 + (share - before) / (reached - before)

"""How long a queue's attempts last: the time between the first and the last, where every one of them fails. No I/O."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate, pairwise

from peeklock.delays import MAX_EXPONENT, ZERO
from peeklock.errors import ConfigError

CELLS = 500
"""Steps of the grid on which the distribution is computed: each of its values is right within one of them."""

LONGEST_ON_SQS = timedelta(hours=12) - timedelta(seconds=60)
"""The longest visibility timeout that `peeklock.sqs` sets.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html"""

LONGEST_TASK_DELAY = timedelta(days=30)
"""https://cloud.google.com/tasks/docs/quotas"""

LONGEST_TASK_BACKOFF = timedelta(hours=1)
"""Between two dispatches of the same task, as infrastructure sets it.
https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues#retryconfig"""

LONGEST_SUBSCRIPTION_BACKOFF = timedelta(seconds=600)
"""https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions#retrypolicy"""

HOLD = timedelta(seconds=20)
"""How long `servicebus.bind` holds a message before it abandons it (its `hold=`)."""

SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Time between the first and the last attempt of a message whose every attempt fails: the delays, without the runs.

    A message in a hundred has less than `percentile_1`, half of all have less than `median`, none has more than `longest`.
    """

    percentile_1: timedelta
    median: timedelta
    longest: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """What a queue asks for: how many delays, and the ceilings between which they grow."""

    delays: int
    first: timedelta
    most: timedelta
    fifo: bool

    def ceilings(self) -> list[float]:
        """Seconds that each delay has at most."""
        return _doubling(self.first, self.most, self.delays)


def span_of(asked: Backoff, platform: str, *, store: bool) -> Span:
    """The span on a platform. Raises ConfigError for a platform that there is not."""
    if platform == "sqs":
        return jittered(asked.ceilings(), LONGEST_ON_SQS)
    if platform == "servicebus":
        return _on_servicebus(asked, store=store)
    if platform == "cloudtasks":
        return _on_cloudtasks(asked, store=store)
    if platform == "pubsub":
        most = LONGEST_SUBSCRIPTION_BACKOFF
        return _exactly(_doubling(min(asked.first, most), min(asked.most, most), asked.delays))
    raise ConfigError(f"span({platform!r}): there are cloudtasks, pubsub, servicebus and sqs")


def _on_servicebus(asked: Backoff, *, store: bool) -> Span:
    """A session waits inside its lock; without a store a message is held for longer with each delivery."""
    if asked.fifo:
        return jittered(asked.ceilings(), HOLD)
    return jittered(asked.ceilings(), None) if store else _exactly(_doubling(SECOND, HOLD, asked.delays))


def _on_cloudtasks(asked: Backoff, *, store: bool) -> Span:
    """With a store each delay is a new task's; without one it is the queue's retryConfig."""
    if store:
        return jittered(asked.ceilings(), LONGEST_TASK_DELAY)
    first = min(max(asked.first, SECOND), LONGEST_TASK_BACKOFF)
    return _exactly(_doubling(first, min(max(asked.most, first), LONGEST_TASK_BACKOFF), asked.delays))


def _doubling(first: timedelta, most: timedelta, delays: int) -> list[float]:
    seconds, longest = first.total_seconds(), most.total_seconds()
    return [min(seconds * 2.0 ** min(n, MAX_EXPONENT), longest) for n in range(delays)]


def _exactly(delays: Sequence[float]) -> Span:
    total = timedelta(seconds=sum(delays))
    return Span(percentile_1=total, median=total, longest=total)


def jittered(ceilings: Sequence[float], at_most: timedelta | None) -> Span:
    """The span of delays between nothing and each ceiling, all equally likely, of which the platform keeps `at_most`."""
    cut = float("inf") if at_most is None else at_most.total_seconds()
    delays = [(ceiling, min(ceiling, cut)) for ceiling in sorted(ceilings, reverse=True) if ceiling]
    if not delays:
        return Span(percentile_1=ZERO, median=ZERO, longest=ZERO)
    longest = sum(kept for _, kept in delays)
    step = longest / CELLS
    ceiling, kept = delays[0]
    shares = [n * step / ceiling if n * step < kept else 1.0 for n in range(CELLS + 1)]
    for ceiling, kept in delays[1:]:
        shares = _with_delay(shares, step, ceiling, kept)
    percentile_1, median = (timedelta(seconds=step * _reached(shares, share)) for share in (0.01, 0.5))
    return Span(percentile_1=percentile_1, median=median, longest=timedelta(seconds=longest))


def _with_delay(shares: list[float], step: float, ceiling: float, kept: float) -> list[float]:
    """The cumulative distribution with one more delay: uniform up to `kept`, and `kept` itself where it would be longer.

    At each point it is the mean of the distribution before over the last `kept` seconds, between the points taken as straight.
    """
    areas = list(accumulate((step * (left + right) / 2 for left, right in pairwise(shares)), initial=0.0))
    shift = math.ceil(kept / step)
    part, cut_share = shift - kept / step, 1.0 - kept / ceiling
    moved = [area / ceiling for area in areas[:shift]]
    for area, earlier, left, right in zip(areas[shift:], areas, shares, shares[1:], strict=False):
        share = left + (right - left) * part
        moved.append((area - earlier - (left + share) / 2 * part * step) / ceiling + cut_share * share)
    return moved


def _reached(shares: Sequence[float], share: float) -> float:
    """The place, in cells, where a cumulative distribution that begins with 0 reaches a share."""
    after = bisect_left(shares, share)
    before, reached = shares[after - 1], shares[after]
    return after - 1 + (share - before) / (reached - before)

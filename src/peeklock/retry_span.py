"""Time between the first and the last attempt of a message if all of them fail. Each platform has its own rule, in its package."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate, pairwise

from peeklock.timing.delays import MAX_EXPONENT, ZERO

CELLS = 500
"""Steps of the grid on which the distribution is computed. Each computed value is accurate to one step."""

MANY = 100
"""Number of delays from which their sum is treated as normally distributed, which costs the same for any number. At least
seventy of them then have the same ceiling."""

SCORE_1 = -2.326
"""The 1st percentile of the standard normal distribution."""

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


def jittered(backoff: Backoff, longest: timedelta | None = None) -> Span:
    """Return the span of delays that are uniform between 0 and their ceiling. `longest`: the longest delay that the platform
    supports; longer ones are cut to it."""
    cut = math.inf if longest is None else longest.total_seconds()
    delays = [
        Alike(count=count, ceiling=ceiling, kept=min(ceiling, cut))
        for ceiling, count in _ceilings(backoff.delays, backoff.first, backoff.most)
    ]
    if not delays:
        return Span(percentile_1=ZERO, median=ZERO, longest=ZERO)
    percentile_1, median = (_normal if backoff.delays >= MANY else _on_a_grid)(delays)
    total = sum(each.count * each.kept for each in delays)
    return Span(percentile_1=_time(percentile_1), median=_time(median), longest=_time(total))


def doubling(delays: int, first: timedelta, most: timedelta) -> Span:
    """Return the span of a number of delays without jitter, the first of which doubles up to the longest."""
    total = _time(sum(delay * count for delay, count in _ceilings(delays, first, most)))
    return Span(percentile_1=total, median=total, longest=total)


def _ceilings(delays: int, first: timedelta, most: timedelta) -> list[tuple[float, int]]:
    """Return the ceilings of delays that double up to the longest, in seconds, each with the number of its delays."""
    seconds, longest = first.total_seconds(), most.total_seconds()
    counts: Counter[float] = Counter()
    for n in range(min(delays, MAX_EXPONENT)):
        counts[min(seconds * 2.0**n, longest)] += 1
    counts[min(seconds * 2.0**MAX_EXPONENT, longest)] += max(delays - MAX_EXPONENT, 0)
    return [(delay, count) for delay, count in counts.items() if delay and count]


def _time(seconds: float) -> timedelta:
    """Return a duration, limited to what a timedelta can hold: a queue may ask for years, a million times."""
    return timedelta(seconds=min(max(seconds, 0.0), FOR_EVER.total_seconds()))


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

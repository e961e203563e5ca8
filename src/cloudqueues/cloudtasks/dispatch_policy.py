"""When a queue may dispatch, and when it tries again: arithmetic alone."""

from __future__ import annotations

from dataclasses import dataclass

MAX_RATE = 500.0
MAX_CONCURRENT = 5000
# https://cloud.google.com/tasks/docs/quotas
DEFAULT_CONCURRENT = 1000
DEFAULT_ATTEMPTS = 100
DEFAULT_DOUBLINGS = 16
DEFAULT_MIN_BACKOFF = 0.1
DEFAULT_MAX_BACKOFF = 3600.0
# https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues#RetryConfig
UNLIMITED = -1
_ALL_DOUBLINGS = 64  # 2**64 times the least back-off is above any greatest one
_ROUNDING = 1e-3
"""Of a token. The time is a float of some 1.8e9 seconds: what is due must not be missed by its rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and when a task that failed is tried again."""

    max_attempts: int
    """With the first one; -1: without limit."""
    max_duration: float
    """Seconds since the first attempt began; 0: without limit."""
    min_backoff: float
    """Seconds."""
    max_backoff: float
    """Seconds."""
    max_doublings: int

    def backoff(self, attempts: int) -> float:
        """Seconds to wait after so many attempts: doubled a number of times, then longer by the last doubled one."""
        doubled = min(attempts - 1, self.max_doublings)
        base = self.min_backoff * 2.0 ** min(doubled, _ALL_DOUBLINGS)
        return min(base * (attempts - doubled), self.max_backoff)

    def spent(self, attempts: int, duration: float) -> bool:
        """Whether a task is given up: when both limits are reached, or the only one that is set."""
        if self.max_attempts == UNLIMITED and not self.max_duration:
            return False
        tries = self.max_attempts == UNLIMITED or attempts >= self.max_attempts
        return tries and duration >= self.max_duration


def burst_of(rate: float) -> int:
    """How many tasks may go at once after a pause: recorded for five rates, and stated nowhere."""
    return max(10, int(rate / 5))


class TokenBucket:
    """A queue's tokens: one a dispatch, refilled at its rate, never more than its burst."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._at = now

    def change(self, rate: float, burst: int, now: float) -> None:
        """Go on with the tokens that are there."""
        self._refill(now)
        self._rate, self._burst = rate, burst
        self._tokens = min(self._tokens, float(burst))

    def take(self, now: float) -> bool:
        """A token, if there is one."""
        self._refill(now)
        if self._tokens < 1 - _ROUNDING:
            return False
        self._tokens = max(self._tokens - 1, 0.0)
        return True

    def next(self, now: float) -> float:
        """When there is a token, if none is taken until then."""
        self._refill(now)
        return now + max(1 - self._tokens, 0.0) / self._rate

    def _refill(self, now: float) -> None:
        self._tokens = min(float(self._burst), self._tokens + (now - self._at) * self._rate)
        self._at = now

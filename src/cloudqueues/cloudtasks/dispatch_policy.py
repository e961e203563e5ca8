"""Rate limits and retries of a queue: quotas, retry policy and token bucket, without I/O."""

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
"""Part of a token that rounding may cost: the time is a float of some 1.8e9 seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Number and times of the retries of a task."""

    max_attempts: int
    """Attempts including the first; -1: without limit."""
    max_duration: float
    """Seconds since the first attempt began; 0: without limit."""
    min_backoff: float
    """Seconds."""
    max_backoff: float
    """Seconds."""
    max_doublings: int

    def backoff(self, attempts: int) -> float:
        """Return the seconds to wait after so many attempts: doubled `max_doublings` times, then growing linearly."""
        doubled = min(attempts - 1, self.max_doublings)
        base = self.min_backoff * 2.0 ** min(doubled, _ALL_DOUBLINGS)
        return min(base * (attempts - doubled), self.max_backoff)

    def spent(self, attempts: int, duration: float) -> bool:
        """Return True when a task is given up: both limits are reached, or the only one that is set."""
        if self.max_attempts == UNLIMITED and not self.max_duration:
            return False
        tries = self.max_attempts == UNLIMITED or attempts >= self.max_attempts
        return tries and duration >= self.max_duration


def burst_of(rate: float) -> int:
    """Return the burst of a rate: recorded for five rates, and not documented."""
    return max(10, int(rate / 5))


class TokenBucket:
    """Tokens of a queue: one a dispatch, refilled at its rate up to its burst."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._at = now

    def change(self, rate: float, burst: int, now: float) -> None:
        """Change rate and burst, and keep the present tokens."""
        self._refill(now)
        self._rate, self._burst = rate, burst
        self._tokens = min(self._tokens, float(burst))

    def take(self, now: float) -> bool:
        """Take a token; return False when there is none."""
        self._refill(now)
        if self._tokens < 1 - _ROUNDING:
            return False
        self._tokens = max(self._tokens - 1, 0.0)
        return True

    def next(self, now: float) -> float:
        """Return the time of the next token, if none is taken until then."""
        self._refill(now)
        return now + max(1 - self._tokens, 0.0) / self._rate

    def _refill(self, now: float) -> None:
        self._tokens = min(float(self._burst), self._tokens + (now - self._at) * self._rate)
        self._at = now

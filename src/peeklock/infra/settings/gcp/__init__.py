"""Cloud Tasks and Cloud Run functions: each number from the queue and the capacity."""

from peeklock.infra.settings.gcp.described import described
from peeklock.infra.settings.gcp.numbers import Settings, duration, of

__all__ = ["Settings", "described", "duration", "of"]

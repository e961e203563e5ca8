"""SQS and Lambda: each number from the queue and the capacity."""

from peeklock.infra.settings.aws.described import described
from peeklock.infra.settings.aws.numbers import Settings, check_log_days, of

__all__ = ["Settings", "check_log_days", "described", "of"]

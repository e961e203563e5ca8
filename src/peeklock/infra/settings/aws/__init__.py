"""SQS and Lambda: each setting computed from the queue and the capacity."""

from peeklock.infra.settings.aws.compute import check_log_days, compute
from peeklock.infra.settings.aws.table import Settings
from peeklock.infra.settings.table import rows

__all__ = ["Settings", "check_log_days", "compute", "rows"]

"""Cloud Tasks and Cloud Run functions: each setting computed from the queue and the capacity."""

from peeklock.infra.settings.gcp.compute import compute
from peeklock.infra.settings.gcp.table import Settings, duration
from peeklock.infra.settings.table import rows

__all__ = ["Settings", "compute", "duration", "rows"]

"""Service Bus and Functions (Flex Consumption): each setting computed from the queue and the capacity."""

from peeklock.infra.settings.azure.compute import compute, host_json
from peeklock.infra.settings.azure.table import Settings, clock, iso
from peeklock.infra.settings.table import rows

__all__ = ["Settings", "clock", "compute", "host_json", "iso", "rows"]
